"""What the two sides of an association share: the state machine driven over a connection, one message at a time.

An Association is used by one thread; `stop`, `abandon` and the counters of its inlet may be used from others.
Whatever ends it - release, abort, a broken rule, a deadline, a stop - is sent as PS3.8 Table 9-10 says and then
raised as AssociationEnded, so that the code that serves messages has one way out.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from dicomserver.session.machine import StateMachine
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.session.states import EVENT_OF_PDU_TYPE, Event, State
from dicomserver.session.transport import Abandoned, FileUnusable, SocketInlet
from dicomserver.wire import stream
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.errors import CommandError, PduError, WireError
from dicomserver.wire.pdata import encode_message
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import Abort, ReleaseRP, ReleaseRQ

RECEIVE_BUFFER = 1 << 20        # bytes, see PEERS: large buffers cost the same at every PDU size a peer chooses
LONGEST_LINGER = 2.0            # seconds until a peer that was answered has closed; at most ARTIM

_TAKES_TOO_LITTLE = "the peer takes no data, or too little"
UNEXPECTED_PDU = 2              # A-ABORT reasons of the service provider, PS3.8 9.3.8
NOT_SPECIFIED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds, and bytes a second: of what comes inside a message, of what is sent. What each means:
    dicomserver.session.transport."""
    idle: float = 60
    progress: float = 30
    write: float = 30
    minimum_rate: float = 1024
    sending_rate: float = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLimits:
    """Bytes."""
    command: int = 65536
    identifier: int = 1 << 20
    control_pdu: int = 262144


class Ending(Enum):
    """How an association came to its end."""
    RELEASED = auto()
    STOPPED = auto()        # we were asked to stop
    REJECTED = auto()       # A-ASSOCIATE-RJ
    ABORTED = auto()        # by the peer
    CLOSED = auto()         # the connection, without a word
    SILENT = auto()         # the peer sent nothing, or too little, for too long; we aborted
    STALLED = auto()        # the peer took nothing, or too little, for too long
    OUT_OF_TURN = auto()    # the peer sent a PDU that may not come in this state; we aborted
    VIOLATED = auto()       # the peer broke another rule; we aborted
    GIVEN_UP = auto()       # we aborted for a reason of our own


class AssociationEnded(Exception):
    """The association is over; what had to be sent is sent. The text says how, without patient data.

    cause: the peer's Abort or AssociateRJ, or the error that says which rule was broken, where there is one.
    """

    def __init__(self, how: str, ending: Ending, cause: object = None):
        super().__init__(how)
        self.ending = ending
        self.cause = cause

    @property
    def orderly(self) -> bool:
        """Whether it was released, or we were asked to stop."""
        return self.ending in (Ending.RELEASED, Ending.STOPPED)


class Association:
    """Drives `machine` over `inlet`. maximum_length: of P-DATA-TF PDUs, as we announce it.

    contexts: by presentation context id, what was negotiated. peer_maximum_length: 0 is no limit.
    """

    def __init__(self, inlet: SocketInlet, machine: StateMachine, maximum_length: int,
                 maximum_command: int = 65536, maximum_control: int = 262144) -> None:
        self.inlet = inlet
        self.machine = machine
        self.stream = stream.PduStream(inlet, maximum_length, maximum_command, maximum_control)
        self.contexts: Mapping[int, AcceptedContext] = {}
        self.peer_maximum_length = 0
        # What other threads still send, is sent first: before the end, and before what a peer may take long to read.
        self.settle: Callable[[], None] = lambda: None
        self._lost = ""         # why sending from another thread failed

    def establish(self, contexts: Mapping[int, AcceptedContext], peer_maximum_length: int) -> None:
        """The negotiation is over: messages may use these contexts."""
        self.contexts = contexts
        self.peer_maximum_length = peer_maximum_length
        self.stream.accept(contexts)

    # -- messages ----------------------------------------------------------------------------------------

    def next_command(self) -> tuple[AcceptedContext, CommandSet]:
        """Waits for the next message; -> its context and command set. Its dataset, where it has one, is to be read
        from `stream` before the next call. Raises AssociationEnded."""
        try:
            event, data = self.stream.next()
        except PduError as error:
            raise self.violated(error) from None
        if event != stream.COMMAND:
            raise self.interrupted(event, data)
        self.machine.on(Event.EVT10)
        try:
            command = decode_command(data)
        except CommandError as error:
            raise self.violated(error) from None
        if command.has_dataset:
            self.stream.expect_dataset()
        return self.contexts[self.stream.context_id], command

    def send(self, context_id: int, command: CommandSet, dataset: bytes | None = None) -> None:
        """Sends one message in one write. Raises AssociationEnded where the connection fails."""
        self.machine.on(Event.EVT9)
        self.transmit(encode_message(context_id, encode_command(command), dataset, self.peer_maximum_length))

    def send_beside(self, context_id: int, command: CommandSet) -> None:
        """From another thread than the association's: sends one message. Where that fails the association ends, as its
        own thread will notice."""
        try:
            self.inlet.send(encode_message(context_id, encode_command(command), None, self.peer_maximum_length))
        except OSError as error:    # TimeoutError is one
            self._lost = _TAKES_TOO_LITTLE if isinstance(error, TimeoutError) else "the connection broke"
            self.inlet.abandon()

    def give_up(self, why: str) -> None:
        """From another thread: the association ends, for a reason of our own."""
        self._lost = why
        self.inlet.abandon()

    def send_from_file(self, context_id: int, command: CommandSet, file: int, offset: int, length: int,
                       checksum: int | None) -> None:
        """Sends one message whose dataset is `length` bytes of an open file from `offset` on, as they are there.

        checksum: XXH3-64 of these bytes, None where it is not known. Raises FileUnusable where the file is not what it
        should be and nothing was sent; AssociationEnded where the connection fails, or where that comes out too late:
        then we have aborted.
        """
        self.settle()
        self.machine.on(Event.EVT9)
        head = encode_message(context_id, encode_command(command), None, self.peer_maximum_length)
        try:
            self.inlet.send_file(head, context_id, file, offset, length, checksum, self.peer_maximum_length)
        except FileUnusable as error:
            if not error.is_begun:
                raise
            raise self.abort(f"a stored file: {error}", Ending.GIVEN_UP, error) from None
        except Abandoned:
            raise self.abort(*self._why_abandoned()) from None
        except TimeoutError:
            raise self._stalled() from None
        except OSError:
            raise self._broken() from None

    def send_encoded(self, messages: bytes) -> None:
        """Sends messages that are P-DATA-TF PDUs already, within the peer's maximum length, in one write. Raises
        AssociationEnded where the connection fails."""
        self.settle()
        self.machine.on(Event.EVT9)
        self.transmit(messages)

    # -- ends --------------------------------------------------------------------------------------------

    def interrupted(self, event: str, pdu: bytes | None = None) -> AssociationEnded:
        """What PduStream.next or StreamEnded reported instead of data; -> how the association ended by it."""
        self.settle()
        if event == stream.PDU and pdu is None:
            try:
                event, pdu = self.stream.next()     # it may prove to be none, or to be cut off
            except PduError as error:
                return self.violated(error)
        if event == stream.PDU:
            return self._other_pdu(pdu)
        if event == stream.TIMEOUT:
            return self.abort("the peer was silent or too slow for too long", Ending.SILENT)
        if event == stream.STOPPED:
            return self.abort(*self._why_abandoned())
        self.machine.on(Event.EVT17)
        return AssociationEnded("the peer closed the connection without a release" if event == stream.CLOSED
                                else "the connection broke", Ending.CLOSED)

    def violated(self, error: WireError) -> AssociationEnded:
        """The peer broke a rule of the protocol."""
        self.settle()
        self.machine.on(Event.EVT19)
        self._send_abort(error.abort_reason)
        return AssociationEnded(f"aborted by us: {error}", Ending.VIOLATED, error)

    def abort(self, why: str, ending: Ending = Ending.GIVEN_UP, cause: object = None) -> AssociationEnded:
        """Ends the association from our side (A-ABORT request)."""
        self.settle()
        self.machine.on(Event.EVT15)
        self._send_abort(NOT_SPECIFIED)
        return AssociationEnded(f"aborted by us: {why}", ending, cause)

    def release(self) -> AssociationEnded:
        """Ends the association in good order; -> how it really ended. What still comes is read and forgotten."""
        try:
            self.machine.on(Event.EVT11)
            self.transmit(encode_pdu(ReleaseRQ()))
            while True:
                event, data = self.stream.next()
                if event != stream.COMMAND:
                    return self.interrupted(event, data)
                self.machine.on(Event.EVT10)
                if decode_command(data).has_dataset:
                    self.stream.expect_dataset()
                    self.stream.drain()
        except (PduError, CommandError) as error:
            return self.violated(error)
        except stream.StreamEnded as ended:
            return self.interrupted(ended.event)
        except AssociationEnded as ended:
            return ended

    def close(self) -> None:
        """Closes the connection, after the peer has had a moment to read what ended the association (Sta13)."""
        if self.machine.state is State.STA13:
            self.inlet.wait_for_close(LONGEST_LINGER)
            self.machine.on(Event.EVT17)
        self.inlet.close()

    def _other_pdu(self, pdu: bytes) -> AssociationEnded:
        event = EVENT_OF_PDU_TYPE[pdu[0]]
        try:
            decoded = decode_pdu(pdu) if event is Event.EVT16 else None
        except PduError as error:
            return self.violated(error)
        self.machine.on(event)
        if self.machine.effect.sends == "A-ABORT":
            self._send_abort(UNEXPECTED_PDU)
            return AssociationEnded(f"aborted by us: a PDU of type {pdu[0]} at this point", Ending.OUT_OF_TURN)
        if event is Event.EVT12:
            return self._answer_release()
        if decoded is not None:
            return AssociationEnded(f"aborted by the peer (source {decoded.source}, reason {decoded.reason})",
                                    Ending.ABORTED, decoded)
        return AssociationEnded("released", Ending.RELEASED)

    def _answer_release(self) -> AssociationEnded:
        """Answers the peer's A-RELEASE-RQ; after a collision both answers are due (PS3.8 7.2.2.7)."""
        if self.machine.state is State.STA10:
            event, data = self.stream.next()
            if event != stream.PDU or EVENT_OF_PDU_TYPE[data[0]] is not Event.EVT13:
                return self.interrupted(event, data)
            self.machine.on(Event.EVT13)
        self.machine.on(Event.EVT14)
        self.transmit(encode_pdu(ReleaseRP()))
        if self.machine.state is State.STA11:
            return self.interrupted(*self.stream.next())
        return AssociationEnded("released", Ending.RELEASED)

    def _send_abort(self, reason: int) -> None:
        """Sends the A-ABORT that the state table asks for, as far as the connection still takes it."""
        source = self.machine.effect.abort_source
        if source is None:
            return
        try:
            self.inlet.send(encode_pdu(Abort(source, reason if source == 2 else NOT_SPECIFIED)))
        except OSError:
            self.machine.on(Event.EVT17)    # the peer has gone already

    def transmit(self, data: bytes, *, wait: bool = True) -> bytes:
        """Sends PDUs that the machine knows of; -> what is left of them, where we do not wait for a slow peer.

        Raises AssociationEnded where the connection fails.
        """
        try:
            return data[self.inlet.send(data, wait):]
        except Abandoned:
            self.machine.on(Event.EVT17)    # as in _stalled
            why, ending = self._why_abandoned()
            raise AssociationEnded(f"given up: {why}", ending) from None
        except TimeoutError:
            raise self._stalled() from None
        except OSError:
            raise self._broken() from None

    def _why_abandoned(self) -> tuple[str, Ending]:
        return (self._lost, Ending.STALLED) if self._lost else ("the server stops", Ending.STOPPED)

    def _stalled(self) -> AssociationEnded:
        self.machine.on(Event.EVT17)    # an A-ABORT would wait behind the data that nobody takes
        return AssociationEnded(_TAKES_TOO_LITTLE, Ending.STALLED)

    def _broken(self) -> AssociationEnded:
        self.machine.on(Event.EVT17)
        return AssociationEnded("the connection broke", Ending.CLOSED)
