"""The requesting side of an association: connect, propose, send messages and receive their answers, release."""
from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from dicomserver.session.association import (
    RECEIVE_BUFFER,
    Association,
    AssociationEnded,
    Deadlines,
    Ending,
    MessageLimits,
)
from dicomserver.session.machine import StateMachine
from dicomserver.session.negotiation import AcceptedContext, NegotiationError, peer_maximum_length
from dicomserver.session.proposal import accepted
from dicomserver.session.states import EVENT_OF_PDU_TYPE, Event, State
from dicomserver.session.transport import SocketInlet
from dicomserver.wire import stream
from dicomserver.wire.command import CommandSet
from dicomserver.wire.errors import PduError
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import AssociateAC, AssociateRQ
from dicomserver.wire.stream import PduStream, StreamEnded


@dataclass(frozen=True, slots=True)
class Message:
    """One DIMSE message: its command, and its dataset as it came, None if it has none."""

    context_id: int
    command: CommandSet
    dataset: bytes | None


class AssociationRequester:
    """One association that we have asked for; owned by one thread, but for `stop`.

    connection: a connected socket, owned from now on. When the constructor returns the association stands; when
    it raises AssociationEnded the connection is closed. on_begun: told of it before anything is sent or awaited, so
    that another thread can stop it from then on.
    All methods but `abort` and `close` raise AssociationEnded, after which only `close` is left to do.
    As a context manager: released at the end, aborted if the block raised, closed in any case.

    contexts: those in force, by id. answer: all that the peer said to our request. round_trip: seconds from our
    A-ASSOCIATE-RQ to its answer.
    """

    def __init__(self, connection: socket.socket, request: AssociateRQ, *, deadlines: Deadlines = Deadlines(),
                 limits: MessageLimits = MessageLimits(),
                 on_begun: Callable[[AssociationRequester], None] = lambda requester: None) -> None:
        self.inlet = SocketInlet(RECEIVE_BUFFER, connection, deadlines.idle, deadlines.progress, deadlines.write,
                                 deadlines.minimum_rate, deadlines.sending_rate)
        self.is_same_machine = _is_same_machine(connection)
        self.association = Association(self.inlet, StateMachine(requestor=True),
                                       request.user_information.maximum_length or 0, limits.command, limits.control_pdu)
        self.contexts: dict[int, AcceptedContext] = {}
        self._connection = connection
        self._limits = limits
        try:
            on_begun(self)
            self._negotiate(request)
        except BaseException:
            self.close()
            raise

    def context_for(self, abstract_syntax: str, transfer_syntax: str | None = None) -> AcceptedContext | None:
        """The first context in force in which we may be the SCU of `abstract_syntax`, in any or one transfer syntax."""
        return next((context for context in self.contexts.values()
                     if context.abstract_syntax == abstract_syntax and context.as_scu
                     and transfer_syntax in (None, context.transfer_syntax)), None)

    def send(self, context_id: int, command: CommandSet, dataset: bytes | None = None) -> None:
        """Sends one message."""
        self.association.send(context_id, command, dataset)

    def send_from_file(self, context_id: int, command: CommandSet, file: int, offset: int, length: int,
                       checksum: int | None) -> None:
        """Sends one message whose dataset is in an open file; see Association.send_from_file."""
        self.association.send_from_file(context_id, command, file, offset, length, checksum)

    @property
    def is_over(self) -> bool:
        """Whether the association has ended."""
        return self.association.machine.state is not State.STA6

    def receive(self) -> Message:
        """The peer's next message; its dataset may be as long as the limits' identifier."""
        context, command = self.next_command()
        return Message(context.context_id, command, self.read_dataset() if command.has_dataset else None)

    def next_command(self) -> tuple[AcceptedContext, CommandSet]:
        """The next message's context and command; its dataset, where it has one, is to be read before the next call."""
        self._acknowledge()
        return self.association.next_command()

    @property
    def has_arrived(self) -> bool:
        """Whether `next_command` would not wait, but for a message's rest; for who waits on several descriptors."""
        arrived = self.inlet.pending
        if not arrived:
            self._acknowledge()
        return arrived

    def _acknowledge(self) -> None:
        """Many peers write an answer in two pieces, and send the second when the first is acknowledged, which the
        kernel puts off for 40 ms where it may."""
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def read_dataset(self) -> bytes:
        """The dataset of the command that came last; it may be as long as the limits' identifier."""
        with self.dataset() as arriving:
            dataset = arriving.read_dataset(self._limits.identifier)
        if dataset is None:
            raise self.association.violated(PduError("longer than we take", "dataset"))
        return dataset

    @contextmanager
    def dataset(self) -> Iterator[PduStream]:
        """The stream with the dataset of the command that came last, to be read to its end within the block."""
        try:
            yield self.association.stream
        except StreamEnded as ended:
            raise self.association.interrupted(ended.event) from None
        except PduError as error:
            raise self.association.violated(error) from None

    def release(self) -> None:
        """Ends the association in good order; what still comes from the peer is dropped."""
        ended = self.association.release()
        self.close()
        if ended.ending is not Ending.RELEASED:
            raise ended

    def abort(self) -> None:
        """Ends the association at once (A-ABORT), if it has not ended yet; never raises."""
        if self.association.machine.state not in (State.STA1, State.STA13):
            self.association.abort("given up")
        self.close()

    def stop(self) -> None:
        """From another thread: whatever the association waits for, it ends now."""
        self.inlet.abandon()

    def close(self) -> None:
        """Closes the connection; safe twice. A peer that has yet to read our last PDU gets a moment for it."""
        if self._connection.fileno() < 0:
            return
        try:
            self._connection.shutdown(socket.SHUT_WR)   # it shall not wait for more from us
        except OSError:
            pass    # the peer has gone already
        self.association.close()

    def __enter__(self) -> AssociationRequester:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        if kind is None and self.association.machine.state is State.STA6:
            self.release()
        else:
            self.abort()

    def _negotiate(self, request: AssociateRQ) -> None:
        association = self.association
        association.machine.on(Event.EVT1)
        association.machine.on(Event.EVT2)
        begun = time.monotonic()
        association.transmit(encode_pdu(request))
        self.answer = answer = self._answer()
        self.round_trip = time.monotonic() - begun
        try:
            most = peer_maximum_length(answer.user_information)
        except NegotiationError as error:
            raise association.abort(str(error), Ending.VIOLATED, error) from None
        self.contexts = accepted(request, answer)
        association.establish(self.contexts, most)

    def _answer(self) -> AssociateAC:
        association = self.association
        try:
            event, pdu = association.stream.next()
            kind = EVENT_OF_PDU_TYPE[pdu[0]] if event == stream.PDU else None
            if kind not in (Event.EVT3, Event.EVT4):
                raise association.interrupted(event, pdu)
            answer = decode_pdu(pdu)
        except PduError as error:
            ended = association.violated(error)
            if error.problem == "presentation context id":
                ended.ending = Ending.OUT_OF_TURN   # a P-DATA-TF: no context is in force yet
            raise ended from None
        association.machine.on(kind)
        if kind is Event.EVT4:
            raise AssociationEnded(f"rejected (result {answer.result}, source {answer.source}, reason {answer.reason})",
                                   Ending.REJECTED, answer)
        return answer


def _is_same_machine(connection: socket.socket) -> bool:
    try:
        return connection.getpeername()[0] == connection.getsockname()[0]
    except OSError:
        # The peer took the connection and has reset it since.
        connection.close()
        raise AssociationEnded("the connection broke", Ending.CLOSED) from None


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """A connection for an association. Raises TimeoutError, socket.gaierror, OSError."""
    connection = socket.create_connection((host, port), timeout)
    try:
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection
