"""The accepting side of an association: negotiate, serve messages until it ends, close."""
from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from dicomserver.session.association import (
    RECEIVE_BUFFER,
    Association,
    AssociationEnded,
    Deadlines,
    Ending,
    MessageLimits,
)
from dicomserver.session.backlog import Backlog, Deferred
from dicomserver.session.errands import Errands
from dicomserver.session.machine import StateMachine
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.session.negotiator import Negotiator
from dicomserver.session.requester import AssociationRequester
from dicomserver.session.states import Event
from dicomserver.session.transport import SocketInlet
from dicomserver.session.window import OperationsWindow
from dicomserver.standard.statuses import DUPLICATE_INVOCATION, UNRECOGNISED_OPERATION
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import C_CANCEL_RQ, C_STORE_RQ, RESPONSE, SERVICES, response_to
from dicomserver.wire.errors import PduError
from dicomserver.wire.stream import TIMEOUT, StreamEnded

MOST_OPERATIONS = 8     # at once, where the peer would take any number
LONGEST_LOOK = 1.0      # seconds, between two responses of ours, in which we read what comes: its end may never come

# Answers one message: reads its dataset, sends its responses, returns the final status, or what `answer` returned.
Handler = Callable[["AssociationAcceptor", AcceptedContext, CommandSet], int | None]
# Told the status of the response to a request of ours; None: the association ended before it came.
OnResponse = Callable[[int | None], None]


def _told_nothing(_command_field: int, _status: int) -> None:
    """Nobody wants to know what was answered; after the end nothing is."""


def _nothing() -> None:
    """After the end nothing is sent."""


def _is_request(command: CommandSet) -> bool:
    """Whether it is one that can be answered."""
    field = command.command_field
    return field is not None and not field & RESPONSE and command.message_id is not None


class AssociationAcceptor:
    """One association from its A-ASSOCIATE-RQ to its end: `begin`, `serve`, `close`, on one thread; `run` is all three.

    connection: the connected socket, owned from now on. request: the whole A-ASSOCIATE-RQ PDU; behind: what was
    received after it. negotiator: of the policy in force. handlers: by Command Field. on_answered: told (Command Field,
    final status) of each message. peer: its host, for the log. executor: for several operations at once, where the peer
    negotiates that; None: one.
    """

    def __init__(self, connection, request: bytes, behind: bytes, negotiator: Negotiator,
                 handlers: Mapping[int, Handler], *, deadlines: Deadlines = Deadlines(),
                 limits: MessageLimits = MessageLimits(), on_answered: Callable[[int, int], None] = _told_nothing,
                 peer: str = "", executor: Executor | None = None, log: logging.Logger) -> None:
        self.inlet = SocketInlet(RECEIVE_BUFFER, connection, deadlines.idle, deadlines.progress, deadlines.write,
                                 deadlines.minimum_rate, deadlines.sending_rate)
        self.inlet.take(behind)
        self.limits = limits
        self.log = log
        self.calling_ae_title = ""
        self.called_ae_title = ""
        # By SOP class, what we granted of its extended negotiation (PS3.7 D.3.3.5).
        self.application_information: Mapping[str, bytes] = {}
        self._peer = peer
        self._answered: Counter[int] = Counter()
        self.association = Association(self.inlet, StateMachine(requestor=False),
                                       negotiator.policy.maximum_length, limits.command, limits.control_pdu)
        self.per_association: dict[object, object] = {}     # what handlers keep for this association's time
        self._request = request
        self._negotiator = negotiator
        self._handlers = handlers
        self._on_answered = on_answered
        self._executor = executor
        self._window: OperationsWindow | None = None    # None: one operation at a time
        self._backlog = Backlog(limits.identifier)
        self._deferred: Deferred | None = None          # that is answered now
        self._cancelled: set[int] = set()               # message ids
        self._stopping = False
        self._unsent = b""              # of the A-ASSOCIATE-AC
        self._errands: Errands | None = None
        self._awaited: tuple[int, int, OnResponse] | None = None    # Command Field and message id of our request
        self._own_message_id = 0
        self._over = False
        self._companions: set[AssociationRequester] = set()
        self._grace_over = False

    def run(self) -> None:
        """The whole association; raises nothing for what a peer does."""
        try:
            self.begin()
            self.serve()
        finally:
            self.close()

    def begin(self) -> None:
        """Answers the request, without waiting for a peer that is slow to read the answer; the rest is `serve`'s."""
        try:
            self._negotiate()
        except AssociationEnded as ended:
            self._end(ended)

    def serve(self) -> None:
        """Serves messages until the association ends; raises nothing for what a peer does."""
        try:
            if self._unsent:
                self.association.transmit(self._unsent)
            while not self._over:
                if self._backlog and not self._stopping:
                    self._serve_deferred(self._backlog.next())
                else:
                    self._do_errands()
                    self._serve(*self.association.next_command())
        except AssociationEnded as ended:
            self._end(ended)
        finally:
            self.association.settle()
            self._close_errands()
            self.per_association.clear()

    def close(self) -> None:
        """Closes the connection, when the peer has read what ended the association."""
        self.association.close()
        # Who refers to us, and we to him, would live until Python looks for cycles: with all that the peer has sent.
        self._request = b""
        self._on_answered = _told_nothing
        self.association.settle = _nothing

    def stop(self, grace_over: bool) -> None:
        """From another thread: ends when the request under way is answered, or now where the grace period is over."""
        self._stopping = True
        if grace_over:
            self._grace_over = True
            self.inlet.abandon()
            for companion in self._companions.copy():
                companion.stop()
        else:
            self.inlet.stop()

    def accompany(self, companion: AssociationRequester) -> None:
        """A handler opens another association to answer this one's request: it is stopped with this one."""
        self._companions.add(companion)
        if self._grace_over:    # looked at after it was added: `stop` does it the other way round
            companion.stop()

    def part(self, companion: AssociationRequester) -> None:
        """It is over."""
        self._companions.discard(companion)

    def respond(self, context: AcceptedContext, response: CommandSet, dataset: bytes | None = None) -> None:
        """Sends one response. Raises AssociationEnded."""
        self.association.send(context.context_id, response, dataset)

    def answer(self, context: AcceptedContext, request: CommandSet, work: Callable[[], CommandSet]) -> int | None:
        """Does the work, which makes the response, and sends that; -> its status, None where another thread does it.

        Nothing of the request may be left to receive. Raises AssociationEnded, what `work` raises, and NotBegun.
        """
        if self._window is None:
            response = work()
            self.respond(context, response)
            return response.status
        self._window.run(request.message_id, lambda: self._answer_beside(context, request, work))
        return None

    def _answer_beside(self, context: AcceptedContext, request: CommandSet, work: Callable[[], CommandSet]) -> None:
        try:
            response = work()
        except Exception as error:
            self.log.error("a request failed for a fault of ours: %s", type(error).__name__)
            self.association.give_up("a fault of ours")
            return
        self._count(request.command_field, response.status)
        self._window.close(request.message_id)
        self.association.send_beside(context.context_id, response)

    def _count(self, command_field: int, status: int) -> None:
        self._answered[command_field] += 1
        self._on_answered(command_field, status)

    @property
    def errands(self) -> Errands:
        """For what other threads want done between two messages. To be taken by a handler, which may hand it on."""
        if self._errands is None:
            self._errands = Errands()
        return self._errands

    def request(self, context: AcceptedContext, command: CommandSet, dataset: bytes | None,
                on_response: OnResponse) -> None:
        """Sends a request of our own, and returns; to be called by errands, of which none is done before the response
        is there: our window is one operation. It gets its message id here. Raises AssociationEnded."""
        self._own_message_id = self._own_message_id % 0xFFFF + 1
        command.message_id = self._own_message_id
        self._awaited = command.command_field, self._own_message_id, on_response
        self.association.send(context.context_id, command, dataset)

    def read_dataset(self) -> bytes | None:
        """For handlers: the dataset of the request that is to be answered; None: it is longer than the limits'
        identifier. Raises StreamEnded, PduError."""
        if self._deferred is not None:
            return self._deferred.dataset
        return self.association.stream.read_dataset(self.limits.identifier)

    def next_response(self, request: CommandSet) -> CommandSet | None:
        """For a handler that sends requests of its own to answer `request`: waits for the peer's next message, a
        response; None: it was another one, and is dealt with: a cancel, a further request. Raises AssociationEnded."""
        context, command = self.association.next_command()
        if self._take_awaited(command):
            return None
        if command.command_field == C_CANCEL_RQ:
            cancelled = command.message_id_being_responded_to
            if cancelled == request.message_id or cancelled in self._backlog:
                self._cancelled.add(cancelled)
            return None
        if not _is_request(command):
            return command
        self._put_off(context, command, request)
        return None

    def cancelled(self, request: CommandSet) -> bool:
        """Whether the peer has cancelled a request that is being answered (PS3.7 9.3.2.3). To be asked between two
        pending responses; does not wait for a peer that has sent half a PDU. Raises AssociationEnded."""
        until = time.monotonic() + LONGEST_LOOK
        while request.message_id not in self._cancelled and self._may_be_cancelled():
            if self.next_response(request) is not None:
                raise self.association.abort("a response that nobody asked for", Ending.VIOLATED)
            if time.monotonic() >= until:
                break       # images, above all
        return request.message_id in self._cancelled

    def unheard(self) -> list[int]:
        """What to wait on, beside something else, for a word of the peer, as `cancelled` looks for: the connection's
        descriptor, or nothing where a word is there that is not its turn."""
        return [] if self.inlet.pending else [self.inlet.fileno()]

    def _may_be_cancelled(self) -> bool:
        if self.inlet.stopping:
            return True     # the next message is the end
        if self._window is not None and len(self._backlog) >= self._window.size:
            return False    # more than the window allows: they are read when this one is answered
        return self.association.stream.in_pdu or self.inlet.pending

    def _put_off(self, context: AcceptedContext, command: CommandSet, request: CommandSet) -> None:
        """Another request before the first is answered; how many there may be says our window (PS3.7 D.3.3.3)."""
        window, message_id = self._window, command.message_id
        if message_id == request.message_id or message_id in self._backlog or (window and window.is_open(message_id)):
            self._receive(0)
            self._refuse_duplicate(context, command)
        elif window is None:
            raise self.association.abort("a message while a request is being answered", Ending.VIOLATED)
        elif command.command_field == C_STORE_RQ:
            self._serve(context, command)       # now: its dataset may be longer than memory
        elif len(self._backlog) >= window.size:
            raise self.association.abort("more requests than the window allows", Ending.VIOLATED)
        else:
            self._backlog.add(Deferred(context, command, self._receive(self._backlog.room)))

    def _receive(self, most: int) -> bytes | None:
        """The dataset of a message that came beside another one; None where it has none, or a longer one."""
        try:
            return self.association.stream.read_dataset(most) if self.association.stream.in_dataset else None
        except StreamEnded as ended:
            raise self.association.interrupted(ended.event) from None
        except PduError as error:
            raise self.association.violated(error) from None

    def _refuse_duplicate(self, context: AcceptedContext, command: CommandSet) -> int:
        self.association.stream.drain()
        self.respond(context, response_to(command, DUPLICATE_INVOCATION))
        return DUPLICATE_INVOCATION

    def _do_errands(self) -> None:
        """Until the peer says something, or has to answer us."""
        if self._errands is None:
            return
        try:
            while self._awaited is None and (errand := self._errands.next(self.inlet)) is not None:
                errand(self)
        except TimeoutError:
            raise self.association.interrupted(TIMEOUT) from None

    def _take_awaited(self, command: CommandSet) -> bool:
        """Whether it is the response to a request of our own, which is dealt with then."""
        if self._awaited is None:
            return False
        field, message_id, on_response = self._awaited
        if (command.command_field != field | RESPONSE or command.message_id_being_responded_to != message_id
                or command.status is None):
            return False
        self._receive(0)
        self._awaited = None
        on_response(command.status)
        return True

    def _close_errands(self) -> None:
        if self._errands is not None:
            awaited, self._awaited = self._awaited, None
            if awaited is not None:
                awaited[-1](None)
            self._errands.close()

    def _end(self, ended: AssociationEnded) -> None:
        """One line for each association, but for those that only knocked and left: monitors do, every minute."""
        # Nobody keeps the exception, not even in a log record: its traceback would keep us, and the receive buffer.
        self._over = True
        quietly = logging.INFO if C_STORE_RQ in self._answered else logging.DEBUG
        level = quietly if ended.orderly else logging.WARNING
        if self.log.isEnabledFor(level):
            self.log.log(level, "association of %s at %s: %s%s",
                         self.calling_ae_title.encode("unicode_escape").decode("ascii") or "?", self._peer,
                         "".join(f"{number} {SERVICES.get(field, 'unknown request')}, "
                                 for field, number in self._answered.items()), str(ended))

    def _negotiate(self) -> None:
        machine = self.association.machine
        machine.on(Event.EVT5)
        try:
            outcome = self._negotiator.negotiate(self._request)
        except PduError as error:
            raise self.association.violated(error) from None
        machine.on(Event.EVT6)
        self.calling_ae_title, self.called_ae_title = outcome.calling_ae_title, outcome.called_ae_title
        rejection = outcome.rejection
        if rejection is not None:
            machine.on(Event.EVT8)
            self.association.transmit(outcome.pdu)      # ten bytes, the first of the connection: they find room
            raise AssociationEnded(f"rejected (result {rejection.result}, source {rejection.source}, "
                                   f"reason {rejection.reason})", Ending.REJECTED, rejection)
        machine.on(Event.EVT7)
        self.application_information = outcome.application_information
        self.association.establish(outcome.contexts, outcome.peer_maximum_length)
        if outcome.operations != 1 and self._executor is not None:
            self._window = OperationsWindow(outcome.operations or MOST_OPERATIONS, self._executor)
            self.association.settle = self._window.settle
        self._unsent = self.association.transmit(outcome.pdu, wait=False)

    def _serve(self, context: AcceptedContext, command: CommandSet) -> None:
        """Answers one message, whatever it is; afterwards its dataset is read to its end."""
        if command.command_field == C_CANCEL_RQ:
            return      # nothing is under way that it could cancel (PS3.7 9.3.2.3: it has no response)
        if self._take_awaited(command):
            return
        if not _is_request(command):
            raise self.association.abort("a response that nobody asked for, or a request without an id",
                                         Ending.VIOLATED)
        association = self.association
        answering, self.inlet.answering = self.inlet.answering, True
        try:
            handler = self._handlers.get(command.command_field)
            if self._window is not None and self._window.is_open(command.message_id):
                status = self._refuse_duplicate(context, command)
            elif handler is None:
                status = self._unrecognized(context, command)
            else:
                status = handler(self, context, command)
            association.stream.drain()
        except StreamEnded as ended:
            raise association.interrupted(ended.event) from None
        except PduError as error:
            raise association.violated(error) from None
        finally:
            self.inlet.answering = answering
            self._cancelled.discard(command.message_id)
        if status is not None:
            self._count(command.command_field, status)

    def _serve_deferred(self, deferred: Deferred) -> None:
        self._deferred = deferred
        self._serve(deferred.context, deferred.command)
        self._deferred = None

    def _unrecognized(self, context: AcceptedContext, command: CommandSet) -> int:
        self.association.stream.drain()
        self.respond(context, response_to(command, UNRECOGNISED_OPERATION))
        return UNRECOGNISED_OPERATION
