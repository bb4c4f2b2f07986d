from __future__ import annotations

import threading

import pytest

from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.tickets import BATCH_LIMIT, Ticket, TicketQueue
from tests.index.samples import make


def ticket() -> Ticket:
    return Ticket(make(), 1)


def test_a_lone_ticket_goes_through_at_once() -> None:
    batches: list[list[Ticket]] = []

    def commit(tickets: list[Ticket]) -> None:
        batches.append(tickets)
        for one in tickets:
            one.settle("outcome")

    one = ticket()
    assert TicketQueue(threading.Lock(), commit).pass_through(one) == "outcome"
    assert batches == [[one]]


def test_who_gets_the_lock_commits_what_has_gathered() -> None:
    lock = threading.Lock()
    batches: list[list[Ticket]] = []

    def commit(tickets: list[Ticket]) -> None:
        assert lock.locked()
        batches.append(tickets)
        for one in tickets:
            one.settle()

    queue = TicketQueue(lock, commit)
    count = 2 * BATCH_LIMIT + 3
    threads = [threading.Thread(target=queue.pass_through, args=(ticket(),)) for _ in range(count)]
    with lock:
        for thread in threads:
            thread.start()
        while len(queue._waiting) < count:
            threads[0].join(0.001)
    for thread in threads:
        thread.join()
    assert sum(map(len, batches)) == len({id(one) for batch in batches for one in batch}) == count
    assert max(map(len, batches)) == BATCH_LIMIT


def test_an_error_reaches_its_own_thread() -> None:
    def commit(tickets: list[Ticket]) -> None:
        for one in tickets:
            one.settle(error=KeyError("mine"))

    with pytest.raises(KeyError, match="mine"):
        TicketQueue(threading.Lock(), commit).pass_through(ticket())


def test_a_leader_that_is_interrupted_leaves_no_follower_waiting() -> None:
    lock = threading.Lock()
    seen: list[type[BaseException]] = []

    def commit(tickets: list[Ticket]) -> None:
        tickets[0].settle()
        raise KeyboardInterrupt

    queue = TicketQueue(lock, commit)

    def work() -> None:
        try:
            queue.pass_through(ticket())
        except BaseException as error:
            seen.append(type(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    with lock:
        for thread in threads:
            thread.start()
        while len(queue._waiting) < 3:
            threads[0].join(0.001)
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert seen.count(KeyboardInterrupt) == 1
    assert set(seen) <= {KeyboardInterrupt, IndexUnavailable}
    assert len(seen) >= 2 and not lock.locked()
