import logging
import queue
import socket
import threading

import pytest

from dicomserver.server.lobby import Request
from dicomserver.server.pool import STARTED_AHEAD, AssociationPool


class Scripted:
    """An association that runs until it is told to end; a busy one ends only when its grace is over.

    What its request says goes wrong there: "fault in begin" and so on, or its peer is "slow to close".
    """

    def __init__(self, request: Request, busy: bool = False) -> None:
        self.request = request
        self.busy = busy
        self.thread = threading.current_thread().name
        self.told: list[str] = []
        self.stops: list[bool] = []
        self.ended = threading.Event()
        self.closed = threading.Event()
        if request.pdu != b"slow to close":
            self.closed.set()

    def begin(self) -> None:
        self._go("begin")

    def serve(self) -> None:
        self._go("serve")
        assert self.ended.wait(20)

    def close(self) -> None:
        self.told.append("close")
        assert self.closed.wait(20)
        self.request.socket.close()
        self._go("closed")

    def stop(self, grace_over: bool) -> None:
        self.stops.append(grace_over)
        if grace_over or not self.busy:
            self.ended.set()
            self.closed.set()

    def _go(self, where: str) -> None:
        self.told.append(where)
        if self.request.pdu == f"fault in {where}".encode():
            self.ended.set()
            raise RuntimeError("a fault of ours that quotes DOE^JOHN")


class Stage:
    """Stands for the lobby, too."""

    def __init__(self, limit: int) -> None:
        self.requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.began: queue.SimpleQueue[Scripted] = queue.SimpleQueue()
        self.busy = False
        self.left: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.freed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.pool = AssociationPool(limit, self.serve, logging.getLogger("test.pool"))
        self.pool.start(self)

    def next_request(self) -> Request | None:
        return self.requests.get()

    def leave(self) -> None:
        self.left.put(None)

    def association_free(self) -> None:
        self.freed.put(None)

    def stop(self, grace: float) -> bool:
        """As the server does it: the lobby first."""
        for _ in range(threads()):
            self.requests.put(None)
        return self.pool.stop(grace)

    def serve(self, request: Request) -> Scripted:
        if request.pdu == b"fault":
            raise RuntimeError("a fault of ours that quotes DOE^JOHN")
        association = Scripted(request, self.busy)
        self.began.put(association)
        return association

    def offer(self, pdu: bytes = b"") -> tuple[bool, socket.socket]:
        ours, theirs = socket.socketpair()
        if not self.pool.admit():
            return False, theirs
        self.requests.put(Request(ours, pdu, b"", ("peer", 1)))
        return True, theirs


@pytest.fixture
def stage():
    stages: list[Stage] = []

    def build(limit: int) -> Stage:
        stages.append(Stage(limit))
        return stages[-1]

    yield build
    for one in stages:
        assert one.stop(0)


def threads(prefix: str = "association-") -> int:
    return sum(thread.name.startswith(prefix) for thread in threading.enumerate())


def test_threads_wait_before_they_are_needed_and_no_more_are_busy_than_allowed(stage):
    two = stage(2)
    assert threads() == 3       # and one for the lobby
    assert [two.offer()[0] for _ in range(3)] == [True, True, False]
    first, second = two.began.get(timeout=10), two.began.get(timeout=10)
    assert two.pool.active == 2
    first.ended.set()
    two.freed.get(timeout=10)
    assert two.offer()[0]
    assert two.began.get(timeout=10) not in (first, second)


def test_a_large_pool_starts_its_last_threads_when_they_are_needed(stage):
    large = stage(STARTED_AHEAD + 3)
    assert threads() == STARTED_AHEAD + 1
    assert all(large.offer()[0] for _ in range(STARTED_AHEAD + 3))
    associations = [large.began.get(timeout=10) for _ in range(STARTED_AHEAD + 3)]
    assert len({association.thread for association in associations}) == STARTED_AHEAD + 3
    for association in associations:
        association.ended.set()


def test_the_limit_moves_both_ways_while_it_runs(stage):
    pool = stage(1)
    assert pool.offer()[0]
    pool.pool.configure(2)
    assert pool.offer()[0]
    pool.pool.configure(1)
    assert not pool.offer()[0]
    pool.began.get(timeout=10).ended.set()
    pool.freed.get(timeout=10)
    assert not pool.offer()[0]


def test_the_lobby_is_attended_by_another_when_the_request_is_answered(stage):
    pool = stage(1)
    answered = threading.Event()
    begin = Scripted.begin
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scripted, "begin", lambda self: (answered.wait(20), begin(self)))
        pool.offer()
        association = pool.began.get(timeout=10)
        assert pool.left.empty()
        answered.set()
        pool.left.get(timeout=10)
    assert not association.ended.is_set() and association.told[0] == "begin"


@pytest.mark.parametrize("fault", [b"fault", b"fault in begin", b"fault in serve", b"fault in closed"])
def test_a_fault_costs_one_association_and_its_words_stay_out_of_the_log(stage, caplog, tools, fault):
    pool = stage(1)
    taken, peer = pool.offer(fault)
    assert taken
    if fault == b"fault in closed":
        pool.began.get(timeout=10).ended.set()
    assert peer.recv(1) == b""
    pool.left.get(timeout=10)
    tools.wait_until(lambda: pool.pool.active == 0)
    assert pool.offer()[0]
    association = pool.began.get(timeout=10)
    while association.request.pdu:
        association = pool.began.get(timeout=10)
    pool.left.get(timeout=10)
    assert pool.left.empty()
    # The place of one that fails when it is closed is free before it is closed.
    tools.wait_until(lambda: "RuntimeError at test_pool.py" in caplog.text)
    assert "DOE" not in caplog.text


def test_a_peer_that_is_slow_to_close_keeps_no_place(stage):
    pool = stage(1)
    pool.offer(b"slow to close")
    slow = pool.began.get(timeout=10)
    assert not pool.offer()[0]
    slow.ended.set()
    pool.freed.get(timeout=10)
    assert pool.pool.active == 0 and pool.pool.alive
    assert pool.offer()[0]
    assert pool.began.get(timeout=10).thread != slow.thread
    assert "closed" not in slow.told and pool.pool.alive


def test_those_that_are_slow_to_close_are_bounded_too(stage, tools):
    pool = stage(2)
    slow = []
    for _ in range(4):
        assert pool.offer(b"slow to close")[0]
        slow.append(pool.began.get(timeout=10))
        slow[-1].ended.set()
        if len(slow) <= 2:
            pool.freed.get(timeout=10)
    tools.wait_until(lambda: all(one.told[-1:] == ["close"] for one in slow))
    # The first two gave their places back; the last two keep them.
    assert not pool.offer()[0]
    assert threads() == 5 and pool.pool.alive
    slow[0].closed.set()
    tools.wait_until(lambda: slow[0].told[-1:] == ["closed"])
    assert not pool.offer()[0]
    slow[2].closed.set()
    tools.wait_until(lambda: pool.pool.active == 1)
    assert pool.offer()[0]
    pool.began.get(timeout=10).ended.set()
    for one in slow:
        one.closed.set()
    # Threads beyond one for each place and one for the lobby are not kept.
    tools.wait_until(lambda: threads() == 3)
    assert pool.pool.active == 0 and pool.pool.alive


def test_where_no_thread_can_be_had_the_one_that_closes_is_told_when_it_is_free(stage, caplog, monkeypatch):
    pool = stage(1)
    pool.offer(b"slow to close")
    slow = pool.began.get(timeout=10)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("no thread")))
        slow.ended.set()
        pool.freed.get(timeout=10)
        assert not pool.offer()[0]      # it has a place, but there would be nobody for the lobby
        slow.closed.set()
        pool.freed.get(timeout=10)
        assert pool.offer()[0]
    assert "the system's limit" in caplog.text


def test_stop_ends_idle_associations_at_once_and_busy_ones_after_their_grace(stage):
    pool = stage(3)
    pool.offer()
    idle = pool.began.get(timeout=10)
    pool.busy = True
    pool.offer()
    busy = pool.began.get(timeout=10)
    assert pool.stop(0.2)
    assert idle.stops == [False] and busy.stops == [False, True]
    assert threads() == 0
    assert not pool.offer()[0]


def test_a_transfer_that_ends_within_the_grace_is_not_aborted(stage):
    pool = stage(1)
    pool.busy = True
    pool.offer()
    busy = pool.began.get(timeout=10)
    threading.Timer(0.1, busy.ended.set).start()
    assert pool.stop(20)
    assert busy.stops == [False]


def test_hastened_the_grace_is_over(stage):
    pool = stage(1)
    pool.busy = True
    pool.offer()
    busy = pool.began.get(timeout=10)
    stopper = threading.Thread(target=pool.stop, args=(20,))
    stopper.start()
    pool.pool.hasten()
    stopper.join(10)
    assert not stopper.is_alive() and busy.stops == [False, True]


def test_a_peer_that_is_slow_to_close_is_not_waited_for(stage):
    pool = stage(1)
    pool.offer(b"slow to close")
    slow = pool.began.get(timeout=10)
    slow.ended.set()
    pool.freed.get(timeout=10)
    assert pool.stop(20)
    assert slow.stops == [False] and slow.told[-1] == "closed"
    assert threads() == 0


def test_who_was_admitted_in_the_moment_of_the_stop_is_told(stage):
    pool = stage(1)
    assert pool.pool.admit()
    stopper = threading.Thread(target=pool.pool.stop, args=(20,))
    stopper.start()
    while not pool.pool._stopping:
        stopper.join(0.002)
    ours, _theirs = socket.socketpair()
    pool.requests.put(Request(ours, b"", b"", ("peer", 1)))
    late = pool.began.get(timeout=10)
    for _ in range(threads()):
        pool.requests.put(None)
    stopper.join(10)
    assert not stopper.is_alive()
    assert late.stops == [True] and late.told == ["begin", "serve", "close", "closed"]
