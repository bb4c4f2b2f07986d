"""Several operations at once on one association: what the acceptor hands to other threads, and how that ends."""
from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomserver.session.acceptor import MOST_OPERATIONS, AssociationAcceptor
from dicomserver.session.errands import Errand
from dicomserver.session.negotiator import Negotiator
from dicomserver.session.policy import AcceptorPolicy
from dicomserver.session.window import OperationsWindow
from dicomserver.standard.statuses import CANCEL, SUCCESS
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.commands import C_ECHO_RQ, C_STORE_RQ, N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP, response_to
from tests.interop.sender import DATASET, NO_DATASET, Sender, command_set, data_tf
from tests.session.test_acceptor_cancel import cancel
from tests.wire.test_stream import pdu, pdv

VERIFICATION = "1.2.840.10008.1.1"
LITTLE = "1.2.840.10008.1.2.1"


class Slow:
    """Answers when it is told to. began: message ids, in the order in which they were handed on.
    errand: asked for once, by the first request. acceptor: of the association under way."""

    def __init__(self) -> None:
        self.acceptor: AssociationAcceptor | None = None
        self.errand: Errand | None = None
        self.go = threading.Event()
        self.began: list[int] = []
        self.answered: list[int] = []
        self.fails = False
        self.heeds_cancels = False

    def __call__(self, acceptor: AssociationAcceptor, context, request: CommandSet) -> int | None:
        self.acceptor = acceptor
        self.began.append(request.message_id)
        if self.heeds_cancels:
            cancelled = False
            while not cancelled and not self.go.wait(0.001):
                cancelled = acceptor.cancelled(request)
            acceptor.respond(context, response_to(request, CANCEL if cancelled else SUCCESS))
            return None
        if self.errand is not None:
            acceptor.errands.ask(self.errand)
            self.errand = None
        return acceptor.answer(context, request, lambda: self._work(request))

    def _work(self, request: CommandSet) -> CommandSet:
        assert self.go.wait(10)
        if self.fails:
            raise KeyError("a fault of ours")
        self.answered.append(request.message_id)
        return response_to(request, 0)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def port(slow: Slow) -> Iterator[int]:
    door = socket.create_server(("127.0.0.1", 0))
    negotiator = Negotiator(AcceptorPolicy("US", asynchronous_operations=(8, 1)))

    def serve() -> None:
        while True:
            try:
                connection, _ = door.accept()
            except OSError:
                return
            header = connection.recv(6, socket.MSG_WAITALL)
            request = header + connection.recv(int.from_bytes(header[2:], "big"), socket.MSG_WAITALL)
            AssociationAcceptor(connection, request, b"", negotiator, {C_ECHO_RQ: slow}, executor=executor,
                                log=logging.getLogger("test.window")).run()

    with ThreadPoolExecutor(16) as executor:
        thread = threading.Thread(target=serve)
        thread.start()
        yield door.getsockname()[1]
        slow.go.set()
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join(10)
    assert not thread.is_alive()


def ask(association: Sender, message: int) -> None:
    association.request(1, command_set(VERIFICATION, C_ECHO_RQ, message, NO_DATASET))


@pytest.mark.parametrize(("proposed", "at_once"), [(3, 3), (0, MOST_OPERATIONS), (100, 8)])
def test_so_many_are_taken_before_one_is_answered(slow: Slow, port: int, proposed: int, at_once: int) -> None:
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=proposed) as association:
        for message in range(1, at_once + 4):
            ask(association, message)
        end = time.monotonic() + 10
        while len(slow.began) < at_once + 1 and time.monotonic() < end:     # one more waits for a place
            time.sleep(0.001)
        assert not slow.answered and len(slow.began) == at_once + 1
        slow.go.set()
        assert {association.answer().status for _ in range(at_once + 3)} == {0}


def test_one_at_a_time_where_nobody_asked_for_more(slow: Slow, port: int) -> None:
    slow.go.set()
    with Sender(port, [(VERIFICATION, [LITTLE])]) as association:
        for message in (1, 1, 2):
            ask(association, message)
            assert association.answer().status == 0
    assert slow.began == slow.answered == [1, 1, 2]


def test_an_id_that_is_open_is_refused(slow: Slow, port: int) -> None:
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=8) as association:
        ask(association, 5)
        ask(association, 5)
        assert association.answer().status == 0x0210
        slow.go.set()
        assert association.answer().status == 0
        ask(association, 5)
        assert association.answer().status == 0


def test_an_id_is_free_when_its_answer_has_come(slow: Slow, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many devices always send 1; the thread that has answered may be late with what is left to it."""
    done, later = OperationsWindow._done, threading.Event()

    def late(*arguments: object) -> None:
        assert later.wait(10)
        done(*arguments)

    monkeypatch.setattr(OperationsWindow, "_done", late)
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=8) as association:
        slow.go.set()
        ask(association, 1)
        assert association.answer().status == 0
        slow.go.clear()
        ask(association, 1)
        ask(association, 1)
        assert association.answer().status == 0x0210    # the second one is not answered
        later.set()
        slow.go.set()
        assert association.answer().status == 0
    assert slow.answered == [1, 1]


def test_a_fault_of_ours_ends_the_association_and_nothing_else(slow: Slow, port: int) -> None:
    slow.fails = True
    slow.go.set()
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=8) as association:
        ask(association, 1)
        assert association.receive()[0] == 7
        association.close()
    slow.fails = False
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=8) as association:
        ask(association, 1)
        assert association.answer().status == 0


def test_a_cancel_is_heeded(slow: Slow, port: int) -> None:
    slow.heeds_cancels = True
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=8) as association:
        ask(association, 1)
        association.request(1, cancel(1))
        assert association.answer().status == CANCEL
        ask(association, 2)
        ask(association, 3)     # read when the one before is answered
        slow.go.set()
        assert [association.answer().status for _ in range(2)] == [SUCCESS, SUCCESS]


def test_the_end_of_the_grace_period_is_heeded(slow: Slow, port: int) -> None:
    slow.heeds_cancels = True
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=8) as association:
        ask(association, 1)
        while not slow.began:
            time.sleep(0.001)
        slow.acceptor.stop(grace_over=True)
        assert association.receive()[0] == 7
        association.close()


# a C-ECHO-RQ of id 1 and what comes behind it, the statuses of what is answered before it, and how many wait
ECHO, LATER = (command_set(VERIFICATION, C_ECHO_RQ, message, NO_DATASET) for message in (1, 2))
STORE = command_set(VERIFICATION, C_STORE_RQ, 2, DATASET, "1.2.3")
FOUND = {
    "behind another request": (data_tf(1, 3, ECHO) + data_tf(1, 3, LATER) + data_tf(1, 3, cancel(1)), [], 1),
    "behind as many as may come": (data_tf(1, 3, ECHO) + b"".join(
        data_tf(1, 3, command_set(VERIFICATION, C_ECHO_RQ, message, NO_DATASET)) for message in range(2, 9))
        + data_tf(1, 3, cancel(1)), [], 7),
    "behind the dataset of a C-STORE": (
        data_tf(1, 3, ECHO) + data_tf(1, 3, STORE) + data_tf(1, 0, b"da") + data_tf(1, 2, b"ta")
        + data_tf(1, 3, cancel(1)), [0x0211], 0),
    "behind the same request": (data_tf(1, 3, ECHO) * 2 + data_tf(1, 3, cancel(1)), [0x0210], 0),
    "in fragments": (data_tf(1, 3, ECHO) + data_tf(1, 1, cancel(1)[:20]) + data_tf(1, 1, cancel(1)[20:22])
                     + data_tf(1, 3, cancel(1)[22:]), [], 0),
    "in the request's PDU": (pdu(pdv(1, 3, ECHO), pdv(1, 3, cancel(1))), [], 0),
    "in two PDUs with another request": (
        pdu(pdv(1, 3, ECHO), pdv(1, 1, LATER[:20])) + pdu(pdv(1, 3, LATER[20:]), pdv(1, 1, cancel(1)[:20]))
        + data_tf(1, 3, cancel(1)[20:]), [], 1),
}


@pytest.mark.parametrize(("sent", "before", "waiting"), FOUND.values(), ids=list(FOUND))
def test_a_cancel_is_found(sent: bytes, before: list[int], waiting: int, slow: Slow, port: int) -> None:
    slow.heeds_cancels = True
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=8) as association:
        association.socket.sendall(sent)
        assert [association.answer().status for _ in [*before, CANCEL]] == [*before, CANCEL]
        slow.go.set()
        assert [association.answer().status for _ in range(waiting)] == [SUCCESS] * waiting


def test_more_requests_than_were_agreed_on_wait_unread(slow: Slow, port: int) -> None:
    slow.heeds_cancels = True
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=2) as association:
        for message in range(1, 10):
            ask(association, message)
        while not slow.began:
            time.sleep(0.001)
        slow.go.set()
        assert [association.answer().status for _ in range(9)] == [SUCCESS] * 9
    assert slow.began == list(range(1, 10))


def test_a_malformed_command_ends_it_at_once(slow: Slow, port: int) -> None:
    slow.heeds_cancels = True
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=8) as association:
        ask(association, 1)
        association.request(1, b"\0\0\0\0\xF8\xFF\xFF\xFF" + bytes(8))
        assert association.receive()[0] == 7
        association.close()


def test_a_request_of_ours_goes_beside_what_is_under_way(slow: Slow, port: int) -> None:
    told: list[int | None] = []
    with Sender(port, [(VERIFICATION, [LITTLE])], operations=8) as association:
        slow.errand = lambda acceptor: acceptor.request(acceptor.association.contexts[1], CommandSet(
            command_field=N_EVENT_REPORT_RQ, command_data_set_type=0x0101, event_type_id=1), None, told.append)
        ask(association, 1)
        report = decode_command(association.receive()[1][6:])
        assert (report.command_field, report.message_id, slow.answered) == (N_EVENT_REPORT_RQ, 1, [])
        association.request(1, encode_command(CommandSet(
            command_field=N_EVENT_REPORT_RSP, message_id_being_responded_to=1, command_data_set_type=0x0101, status=0)))
        ask(association, 2)
        slow.go.set()
        assert [association.answer().status for _ in range(2)] == [0, 0]
    assert told == [0]
