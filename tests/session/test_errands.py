"""What other threads want done between two messages: in order, not in front of the peer, and never lost."""
from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from dicomserver.session.errands import Errands
from dicomserver.session.transport import SocketInlet
from tests.session.peers import tcp_pair


class Side:
    def __init__(self) -> None:
        self.ours, self.peer = tcp_pair()
        self.inlet = SocketInlet(1 << 16, self.ours, idle=30)
        self.errands = Errands()
        self.done: list[object] = []

    def next(self):
        return self.errands.next(self.inlet)


@pytest.fixture
def side() -> Iterator[Side]:
    one = Side()
    yield one
    one.errands.close()
    one.ours.close()
    one.peer.close()


def test_errands_come_in_their_order(side: Side) -> None:
    errands = [side.done.append, side.done.extend, side.done.remove]
    assert all(map(side.errands.ask, errands))
    assert [side.next() for _ in errands] == errands
    side.peer.send(b"x")
    assert side.next() is None


def test_one_that_comes_while_we_wait(side: Side) -> None:
    threading.Timer(0.05, side.errands.ask, [side.done.append]).start()
    assert side.next() == side.done.append


def test_the_peer_is_heard_first(side: Side) -> None:
    side.inlet.take(b"x")
    side.errands.ask(side.done.append)
    assert side.next() is None


@pytest.mark.parametrize("ends", ["stop", "abandon"])
def test_a_stop_wakes(side: Side, ends: str) -> None:
    threading.Timer(0.05, getattr(side.inlet, ends)).start()
    assert side.next() is None
    assert side.next() is None


def test_the_idle_deadline_holds(side: Side) -> None:
    inlet = SocketInlet(1 << 16, side.ours, idle=0.05)
    with pytest.raises(TimeoutError):
        side.errands.next(inlet)


def test_what_waits_at_the_end_is_told(side: Side) -> None:
    before = len(os.listdir("/proc/self/fd"))
    side.errands.ask(side.done.append)
    side.errands.ask(side.done.append)
    side.errands.close()
    side.errands.close()
    assert side.done == [None, None]
    assert not side.errands.ask(side.done.append)
    assert len(os.listdir("/proc/self/fd")) == before - 1
