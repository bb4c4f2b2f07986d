"""A stop while a request is being answered, and the associations that a handler has opened for it."""
from __future__ import annotations

import threading

import pytest

from dicomserver.wire.commands import response_to
from tests.session.peers import abort, read_to_end
from tests.session.test_acceptor import C_ECHO_RQ, ECHO, Served, data_tf


class Answering:
    """A handler that waits until it is let go. asks: whether it asks then if it was cancelled."""

    def __init__(self, asks: bool = True) -> None:
        self.asks = asks
        self.begun, self.goes_on = threading.Event(), threading.Event()
        self.stopped: list[object] = []

    def __call__(self, acceptor, context, request) -> int:
        self.begun.set()
        assert self.goes_on.wait(10)
        assert not (self.asks and acceptor.cancelled(request))
        acceptor.respond(context, response_to(request, 0))
        return 0


def pdus(received: bytes) -> list[bytes]:
    """Cut apart."""
    found = []
    while received:
        length = 6 + int.from_bytes(received[2:6], "big")
        found.append(received[:length])
        received = received[length:]
    return found


class Companion:
    """Counts how often it was stopped."""

    def __init__(self) -> None:
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1


def test_a_stop_lets_the_answer_come_to_its_end() -> None:
    handler = Answering()
    served = Served({C_ECHO_RQ: handler}).accepted()
    served.peer.sendall(data_tf(1, 3, ECHO))
    assert handler.begun.wait(10)
    served.acceptor.stop(grace_over=False)
    handler.goes_on.set()
    received = read_to_end(served.peer)
    assert received[0] == 4 and received.endswith(abort(0, 0))
    served.end()
    assert served.answered == [(C_ECHO_RQ, 0)] and served.failure is None


@pytest.mark.parametrize(("grace_over", "answers"), [(False, [4]), (True, [])], ids=["stop", "abandon"])
def test_what_the_peer_has_sent_ahead_is_not_begun(grace_over: bool, answers: list[int]) -> None:
    handler = Answering(asks=grace_over)
    served = Served({C_ECHO_RQ: handler}, behind=data_tf(1, 3, ECHO)).accepted()
    assert handler.begun.wait(10)
    served.acceptor.inlet.take(data_tf(1, 3, ECHO) * 100)
    served.acceptor.stop(grace_over=grace_over)
    handler.goes_on.set()
    received = read_to_end(served.peer)
    assert [pdu[0] for pdu in pdus(received)] == [*answers, 7]
    served.end()
    assert len(served.answered) == len(answers) and served.failure is None


def test_companions_are_stopped_when_the_grace_is_over_and_not_before() -> None:
    served = Served().accepted()
    early, parted, late = Companion(), Companion(), Companion()
    served.acceptor.accompany(early)
    served.acceptor.accompany(parted)
    served.acceptor.part(parted)
    served.acceptor.stop(grace_over=False)
    assert early.stops == 0
    served.acceptor.stop(grace_over=True)
    served.acceptor.accompany(late)     # it was being opened at that moment
    assert (early.stops, parted.stops, late.stops) == (1, 0, 1)
    served.end()
