"""What the two sides of an association share: the state machine driven over a connection, one message at a time.

An Association is used by one thread; `stop`, `abandon` and the counters of its inlet may be used from others.
Whatever ends it - release, abort, a broken rule, a deadline, a stop - is sent as PS3.8 Table 9-10 says and then
raised as AssociationEnded, so that the code that serves messages has one way out.
"""
from __future__ import annotations

from collections.abc import Mapping

from dicomserver.session.machine import StateMachine
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.session.states import EVENT_OF_PDU_TYPE, Event, State
from dicomserver.session.transport import SocketInlet
from dicomserver.wire import stream
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.errors import CommandError, PduError, WireError
from dicomserver.wire.pdata import encode_message
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import Abort, ReleaseRP, ReleaseRQ

RECEIVE_BUFFER = 1 << 20        # bytes, see PEERS: large buffers cost the same at every PDU size a peer chooses
LONGEST_LINGER = 2.0            # seconds until a peer that was answered has closed; at most ARTIM

UNEXPECTED_PDU = 2              # A-ABORT reasons of the service provider, PS3.8 9.3.8
NOT_SPECIFIED = 0


class AssociationEnded(Exception):
    """The association is over; what had to be sent is sent. The text says how, without patient data.

    orderly: it was released, or we were asked to stop.
    """

    def __init__(self, how: str, orderly: bool = False):
        super().__init__(how)
        self.orderly = orderly


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
        self._transmit(encode_message(context_id, encode_command(command), dataset, self.peer_maximum_length))

    # -- ends --------------------------------------------------------------------------------------------

    def interrupted(self, event: str, pdu: bytes | None = None) -> AssociationEnded:
        """What PduStream.next or StreamEnded reported instead of data; -> how the association ended by it."""
        if event == stream.PDU and pdu is None:
            try:
                event, pdu = self.stream.next()     # it may be cut short, or be none at all
            except PduError as error:
                return self.violated(error)
        if event == stream.PDU:
            return self._other_pdu(pdu)
        if event == stream.TIMEOUT:
            return self.abort("the peer was silent or too slow for too long")
        if event == stream.STOPPED:
            return self.abort("the server stops", orderly=True)
        self.machine.on(Event.EVT17)
        return AssociationEnded("the peer closed the connection without a release" if event == stream.CLOSED
                                else "the connection broke")

    def violated(self, error: WireError) -> AssociationEnded:
        """The peer broke a rule of the protocol."""
        self.machine.on(Event.EVT19)
        self._send_abort(error.abort_reason)
        return AssociationEnded(f"aborted by us: {error}")

    def abort(self, why: str, orderly: bool = False) -> AssociationEnded:
        """Ends the association from our side (A-ABORT request)."""
        self.machine.on(Event.EVT15)
        self._send_abort(NOT_SPECIFIED)
        return AssociationEnded(f"aborted by us: {why}", orderly)

    def release(self) -> AssociationEnded:
        """Ends the association in good order; -> how it really ended. What still comes is read and forgotten."""
        try:
            self.machine.on(Event.EVT11)
            self._transmit(encode_pdu(ReleaseRQ()))
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
        if event is Event.EVT12:
            return self._answer_release()
        if self.machine.effect.sends == "A-ABORT":
            self._send_abort(UNEXPECTED_PDU)
            return AssociationEnded(f"aborted by us: a PDU of type {pdu[0]} at this point")
        if decoded is not None:
            return AssociationEnded(f"aborted by the peer (source {decoded.source}, reason {decoded.reason})")
        return AssociationEnded("released", orderly=True)

    def _answer_release(self) -> AssociationEnded:
        """Answers the peer's A-RELEASE-RQ; after a collision both answers are due (PS3.8 7.2.2.7)."""
        if self.machine.state is State.STA10:
            event, data = self.stream.next()
            if event != stream.PDU or EVENT_OF_PDU_TYPE[data[0]] is not Event.EVT13:
                return self.interrupted(event, data)
            self.machine.on(Event.EVT13)
        self.machine.on(Event.EVT14)
        self._transmit(encode_pdu(ReleaseRP()))
        if self.machine.state is State.STA11:
            return self.interrupted(*self.stream.next())
        return AssociationEnded("released", orderly=True)

    def _send_abort(self, reason: int) -> None:
        """Sends the A-ABORT that the state table asks for, as far as the connection still takes it."""
        source = self.machine.effect.abort_source
        if source is None:
            return
        try:
            self.inlet.send(encode_pdu(Abort(source, reason if source == 2 else NOT_SPECIFIED)))
        except OSError:
            self.machine.on(Event.EVT17)    # the peer has gone already

    def _transmit(self, data: bytes) -> None:
        try:
            self.inlet.send(data)
        except TimeoutError:
            self.machine.on(Event.EVT17)    # an A-ABORT would wait behind the data that nobody takes
            raise AssociationEnded("the peer takes no data") from None
        except OSError:
            self.machine.on(Event.EVT17)
            raise AssociationEnded("the connection broke") from None
