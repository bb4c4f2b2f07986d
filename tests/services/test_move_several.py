"""C-MOVE to a destination that takes several C-STOREs at once: over one association, or over several."""
from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from dicomserver.services.move import Destination as Known
from dicomserver.session.acceptor import Deadlines
from tests.interop.destination import Deed, Destination, abort, hang_up, nothing, stranger
from tests.interop.retriever import Retrieved, Retriever, response_tf
from tests.services.retrieving import LARGE, STUDY, fill, flip_a_bit, study


def move(provider, there: Destination, associations: int = 1) -> Retrieved:
    provider.destinations["THERE"] = Known("127.0.0.1", there.port, "ELSEWHERE", associations)
    with Retriever(provider.port, calling="ASKER") as asker:
        return asker.move("STUDY", {"StudyInstanceUID": STUDY}, "THERE")


def arrived(there: Destination) -> list[str]:
    return sorted(one.sop_instance for one in there.stored)


@pytest.mark.parametrize("window, most", [(1, 1), (3, 3), (8, 8), (50, 8)])
def test_as_many_at_once_as_both_agree_to(provider, window: int, most: int) -> None:
    """And answered in another order than they were sent."""
    sent = fill(provider, study(20))
    with Destination(window=window) as there:
        assert move(provider, there).outcome == (0, (None, 20, 0, 0))
        assert max(there.at_once) == most
        assert arrived(there) == sorted(one.sop_instance for one in sent)
        assert [one.message_id for one in there.stored] == list(range(1, 21))


def test_each_answer_counts_for_its_own_instance(provider) -> None:
    sent = fill(provider, study(8))
    with Destination([0, 0xA700, 0, 0xB000, 0, 0, 0xC001, 0], window=8) as there:
        found = move(provider, there)
    assert found.outcome == (0xB000, (None, 5, 2, 1))
    assert sorted(found.failed) == sorted([sent[1].sop_instance, sent[6].sop_instance])


def test_a_long_one_is_sent_alone(provider) -> None:
    """A damaged file costs the association when half of it is sent, and nobody else's answer."""
    sent = fill(provider, study(3, LARGE))
    flip_a_bit(provider, sent[1])
    with Destination(window=8) as there:
        found = move(provider, there)
        assert found.outcome == (0xB000, (None, 2, 1, 0)) and found.failed == [sent[1].sop_instance]
        assert set(there.at_once) == {1}


@pytest.mark.parametrize("deed", [abort, hang_up, nothing, stranger])
def test_an_association_that_ends_with_several_under_way(provider, deed: Deed) -> None:
    provider.deadlines = Deadlines(idle=0.5)
    sent = fill(provider, study(12))
    with Destination([0, 0, 0, 0, deed], window=4) as there:
        found = move(provider, there)
    assert found.outcome == (0xB000, (None, 4, 8, 0))
    assert found.failed == [one.sop_instance for one in sent[4:]]


def twice(connection) -> None:
    """Two answers to the first request."""
    answer = response_tf(1, {2: b"1.2\0", 0x110: b"\1\0", 0x1000: b"1.2\0"}, 0)
    connection.sendall(answer + answer)


def test_an_answer_that_comes_twice(provider) -> None:
    fill(provider, study(3))
    with Destination([twice]) as there:
        found = move(provider, there)
        assert found.counters[1] == 1 and found.counters[2] == 2
        assert there.wait_for_endings(1) == [7]


def test_several_associations_side_by_side(provider) -> None:
    sent = fill(provider, study(12))
    together = threading.Barrier(3)
    with Destination(before=lambda number: together.wait(20)) as there:    # answers three, or nobody
        assert move(provider, there, 3).outcome == (0, (None, 12, 0, 0))
        assert there.wait_for_endings(3) == [5, 5, 5]
        assert arrived(there) == sorted(one.sop_instance for one in sent)


def test_one_instance_needs_one_association(provider) -> None:
    fill(provider, study(1))
    with Destination() as there:
        assert move(provider, there, 8).outcome == (0, (None, 1, 0, 0))
        assert there.wait_for_endings(1) == [5] and len(there.titles) == 1


def test_no_more_associations_than_the_destination_takes(provider) -> None:
    fill(provider, study(10))
    with Destination(admitted=2) as there:
        assert move(provider, there, 8).outcome == (0, (None, 10, 0, 0))
        assert len(there.titles) == 3       # the third was refused, and no fourth was asked for


@pytest.mark.parametrize("deed", [abort, hang_up, nothing])
def test_the_others_go_on_where_one_association_ends(provider, deed: Deed) -> None:
    provider.deadlines = Deadlines(idle=1)
    sent = fill(provider, study(10))
    with Destination([0, deed, 0]) as there:
        found = move(provider, there, 2)
    assert found.outcome == (0xB000, (None, 9, 1, 0))
    assert found.failed[0] in {one.sop_instance for one in sent}


@pytest.mark.parametrize("window, associations, script", [
    (4, 1, [0, 0, 0, 0, nothing]), (0, 4, [0, 0, 0, 0, nothing])])
@pytest.mark.parametrize("others", [0, 2])
def test_a_cancel_while_answers_are_awaited(provider, window: int, associations: int, script: Sequence,
                                            others: int) -> None:
    """Nothing more is sent; what is under way is waited for, until its deadline. others: requests before the cancel."""
    provider.deadlines = Deadlines(idle=1)
    fill(provider, study(20))
    eighth = threading.Event()
    with Destination(script, window=window, before=lambda number: eighth.set() if number == 7 else None) as there:
        provider.destinations["THERE"] = Known("127.0.0.1", there.port, "ELSEWHERE", associations)
        with Retriever(provider.port, calling="ASKER", operations=4 if others else None) as asker:
            message = asker.begin("STUDY", {"StudyInstanceUID": STUDY}, "THERE")
            assert eighth.wait(20)
            waiting = [asker.begin("STUDY", {"StudyInstanceUID": "9.9"}, "THERE") for _ in range(others)]
            asker.cancel(message)
            found = asker.finish(message)
            assert all(asker.finish(other).outcome == (0, (None, 0, 0, 0)) for other in waiting)
    assert found.outcome == (0xFE00, (12, 4, 4, 0))
    assert len(there.stored) == 8
