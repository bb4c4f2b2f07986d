"""Requests that wait for their turn: their order, their ids, and how much of their datasets is kept."""
from __future__ import annotations

from dicomserver.session.backlog import Backlog, Deferred
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.wire.command import CommandSet

CONTEXT = AcceptedContext(1, "1.2.840.10008.1.1", "1.2.840.10008.1.2", False, True)


def deferred(message: int, dataset: bytes | None = None) -> Deferred:
    return Deferred(CONTEXT, CommandSet(message_id=message), dataset)


def test_the_first_comes_first() -> None:
    backlog, several = Backlog(100), [deferred(number) for number in (7, 3, 5)]
    assert not backlog
    for one in several:
        backlog.add(one)
    assert len(backlog) == 3
    assert [backlog.next() for _ in range(3)] == several
    assert not backlog


def test_it_knows_who_waits() -> None:
    backlog = Backlog(100)
    backlog.add(deferred(7))
    assert 7 in backlog and 8 not in backlog
    backlog.next()
    assert 7 not in backlog


def test_datasets_take_the_room_that_there_is() -> None:
    backlog = Backlog(100)
    backlog.add(deferred(1, b"x" * 60))
    backlog.add(deferred(2))
    backlog.add(deferred(3, b"x" * 40))
    assert backlog.room == 0
    assert [(backlog.next(), backlog.room)[1] for _ in range(3)] == [60, 60, 100]
