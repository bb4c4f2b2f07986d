"""An association that we ask for (PS3.8 7): a blocking socket with a deadline for every wait."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from dicomserver.scu.failures import Aborted, Refused, Silent, Unreachable, Violated
from dicomserver.session.machine import StateMachine
from dicomserver.session.negotiation import AcceptedContext, NegotiationError, peer_maximum_length
from dicomserver.session.proposal import accepted
from dicomserver.session.states import EVENT_OF_PDU_TYPE, Event, State
from dicomserver.wire.command import CommandSet, decode_command
from dicomserver.wire.errors import WireError
from dicomserver.wire.pdata import encode_message
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import Abort, AssociateRJ, AssociateRQ, DataTF, ReleaseRP, ReleaseRQ

HEADER_LENGTH = 6
LONGEST_ANSWER = 256 << 10
LONGEST_COMMAND = 64 << 10
LONGEST_DATASET = 16 << 20
_UNEXPECTED_PDU = 2
_INVALID_VALUE = 6


@dataclass(frozen=True, slots=True)
class Message:
    """One DIMSE message: its command, and its dataset as it came, None if it has none."""

    context_id: int
    command: CommandSet
    dataset: bytes | None


class Requester:
    """One association, from the A-ASSOCIATE-RQ to the release; owned by one thread.

    Every wait (for the connection, an answer, a whole message, the release) takes `timeout` seconds at most.
    All methods raise AssociationFailed; after that the connection is closed. As a context manager: released
    at the end, aborted if the block raised.

    contexts: those in force, by id. round_trip: seconds from our A-ASSOCIATE-RQ to its answer.
    """

    def __init__(self, host: str, port: int, request: AssociateRQ, *, timeout: float):
        self._machine = StateMachine(requestor=True)
        self._timeout = timeout
        self._machine.on(Event.EVT1)
        self._socket = _connected(host, port, timeout)
        try:
            self._machine.on(Event.EVT2)
            self._longest_data = request.user_information.maximum_length or LONGEST_DATASET
            begun = time.monotonic()
            self._send(encode_pdu(request))
            answer = self._receive(time.monotonic() + timeout)
            self.round_trip = time.monotonic() - begun
            if isinstance(answer, AssociateRJ):
                raise Refused(answer.result, answer.source, answer.reason)
            self._maximum_length = peer_maximum_length(answer.user_information)
            self.contexts: dict[int, AcceptedContext] = accepted(request, answer)
        except NegotiationError:
            self.abort()
            raise Violated("accepted the association with a maximum length that has no room for data") from None
        except BaseException:
            self._socket.close()
            raise

    def context_for(self, abstract_syntax: str) -> AcceptedContext | None:
        """The first context in force in which we may be the SCU of `abstract_syntax`."""
        contexts = self.contexts.values()
        return next((c for c in contexts if c.abstract_syntax == abstract_syntax and c.as_scu), None)

    @property
    def is_same_machine(self) -> bool:
        """Whether the peer has our own address."""
        return self._socket.getpeername()[0] == self._socket.getsockname()[0]

    def send(self, context_id: int, command: bytes, dataset: bytes | None = None) -> None:
        """Sends one message; `command` is an encoded command set."""
        self._machine.on(Event.EVT9)
        self._send(encode_message(context_id, command, dataset, self._maximum_length))

    def receive(self) -> Message:
        """The next message of the peer."""
        deadline = time.monotonic() + self._timeout
        parts: dict[bool, bytearray] = {True: bytearray(), False: bytearray()}
        command: CommandSet | None = None
        context_id = 0
        while True:
            for pdv in self._receive_data(deadline).pdvs:
                is_command, is_last = bool(pdv.control & 1), bool(pdv.control & 2)
                context_id = context_id or pdv.context_id
                if pdv.context_id != context_id or context_id not in self.contexts or is_command != (command is None):
                    raise self._violation("mixed up the parts of a message")
                part = parts[is_command]
                part += pdv.data
                if len(part) > (LONGEST_COMMAND if is_command else LONGEST_DATASET):
                    raise self._violation("sent a message that is too long")
                if not is_last:
                    continue
                if command is None:
                    command = self._decoded(part)
                    if command.has_dataset:
                        continue
                return Message(context_id, command, bytes(parts[False]) if command.has_dataset else None)

    def release(self) -> None:
        """Ends the association in the orderly way; what still comes from the peer is dropped."""
        self._machine.on(Event.EVT11)
        self._send(encode_pdu(ReleaseRQ()))
        deadline = time.monotonic() + self._timeout
        while self._machine.state is not State.STA1:
            if isinstance(self._receive(deadline), ReleaseRQ):
                self._machine.on(Event.EVT14)
                self._send(encode_pdu(ReleaseRP()))
        self._socket.close()

    def abort(self) -> None:
        """Ends the association at once (A-ABORT); never raises."""
        if self._machine.state is not State.STA1:
            self._machine.on(Event.EVT15)
            self._farewell(Abort(source=0, reason=0))
        self._socket.close()

    def __enter__(self) -> Requester:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        if kind is None:
            self.release()
        elif self._socket.fileno() >= 0:
            self.abort()

    def _receive_data(self, deadline: float) -> DataTF:
        pdu = self._receive(deadline)
        if isinstance(pdu, DataTF):
            return pdu
        self._machine.on(Event.EVT14)
        self._farewell(ReleaseRP())
        self._socket.close()
        raise Aborted("ended the association instead of answering")

    def _receive(self, deadline: float) -> Any:
        """The next PDU, in a state that allows it."""
        data = self._read_pdu(deadline)
        try:
            pdu = decode_pdu(data)
        except WireError as error:
            raise self._violation("sent a malformed PDU", Event.EVT19, error.abort_reason) from None
        self._machine.on(EVENT_OF_PDU_TYPE[data[0]])
        effect = self._machine.effect
        if isinstance(pdu, Abort):
            self._socket.close()
            raise Aborted(f"aborted the association (source {pdu.source}, reason {pdu.reason})")
        if effect is not None and effect.sends == "A-ABORT":
            raise self._violation("sent a PDU out of turn", None, _UNEXPECTED_PDU)
        return pdu

    def _read_pdu(self, deadline: float) -> bytes:
        header = self._read(HEADER_LENGTH, deadline)
        length = int.from_bytes(header[2:], "big")
        longest = self._longest_data if header[0] == 4 else LONGEST_ANSWER
        if header[0] not in EVENT_OF_PDU_TYPE:
            raise self._violation("does not speak DICOM", Event.EVT19, 1)
        if length > longest:
            raise self._violation("sent a PDU that is longer than allowed", Event.EVT19, _INVALID_VALUE)
        return header + self._read(length, deadline)

    def _read(self, count: int, deadline: float) -> bytes:
        data = bytearray(count)
        view, got = memoryview(data), 0
        try:
            while got < count:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                received = self._socket.recv_into(view[got:])
                if not received:
                    raise ConnectionResetError
                got += received
        except TimeoutError:
            self.abort()
            raise Silent(f"did not answer within {self._timeout:g} s") from None
        except OSError:
            raise self._lost() from None
        return bytes(data)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(data)
        except TimeoutError:
            self._socket.close()
            raise Silent(f"did not take what we sent within {self._timeout:g} s") from None
        except OSError:
            raise self._lost() from None

    def _lost(self) -> Aborted:
        self._machine.on(Event.EVT17)
        self._socket.close()
        return Aborted("closed the connection")

    def _decoded(self, command: bytearray) -> CommandSet:
        try:
            return decode_command(bytes(command))
        except WireError:
            raise self._violation("sent a malformed command") from None

    def _violation(self, what: str, event: Event | None = Event.EVT15, reason: int = _INVALID_VALUE) -> Violated:
        """Aborts, for `event` has happened (None: the machine knows already)."""
        if event is not None:
            self._machine.on(event)
        # A reason counts only in the abort of the service-provider (PS3.8 9.3.8).
        source = self._machine.effect.abort_source
        self._farewell(Abort(source=source, reason=reason if source else 0))
        self._socket.close()
        return Violated(what)

    def _farewell(self, pdu: Abort | ReleaseRP) -> None:
        """Sends the last PDU if it goes out at once; the connection ends either way."""
        try:
            self._socket.settimeout(1)
            self._socket.sendall(encode_pdu(pdu))
        except OSError:
            return


def _connected(host: str, port: int, timeout: float) -> socket.socket:
    try:
        connection = socket.create_connection((host, port), timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    except TimeoutError:
        raise Silent(f"did not take the connection within {timeout:g} s") from None
    except socket.gaierror:
        raise Unreachable("cannot be reached: its host name is not known") from None
    except OSError as error:
        raise Unreachable(f"cannot be reached: {error.strerror or 'no route'}") from None
