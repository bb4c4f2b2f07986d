import logging
import queue
import socket
import threading

import pytest

from dicomserver.server.lobby import Request
from dicomserver.server.pool import STARTED_AHEAD, AssociationPool


class Scripted:
    """An association that runs until it is told to end; a busy one ends only when its grace is over."""

    def __init__(self, request: Request, busy: bool = False) -> None:
        self.request = request
        self.busy = busy
        self.thread = ""
        self.stops: list[bool] = []
        self.ended = threading.Event()

    def run(self) -> None:
        self.thread = threading.current_thread().name
        assert self.ended.wait(20)
        self.request.socket.close()

    def stop(self, grace_over: bool) -> None:
        self.stops.append(grace_over)
        if grace_over or not self.busy:
            self.ended.set()


class Stage:
    """Stands for the lobby, too."""

    def __init__(self, limit: int) -> None:
        self.requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.began: queue.SimpleQueue[Scripted] = queue.SimpleQueue()
        self.busy = False
        self.freed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.pool = AssociationPool(limit, self.serve, logging.getLogger("test.pool"))
        self.pool.start(self)

    def next_request(self) -> Request | None:
        return self.requests.get()

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
    for association in associations:
        association.ended.set()
        large.freed.get(timeout=10)
    assert len({association.thread for association in associations}) == STARTED_AHEAD + 3


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


def test_a_fault_costs_one_association_and_its_words_stay_out_of_the_log(stage, caplog):
    pool = stage(1)
    taken, peer = pool.offer(b"fault")
    assert taken
    pool.freed.get(timeout=10)
    assert peer.recv(1) == b""
    assert "RuntimeError at test_pool.py" in caplog.text and "DOE" not in caplog.text
    assert pool.offer()[0]
    pool.began.get(timeout=10)


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
