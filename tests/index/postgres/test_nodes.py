"""Several nodes write to one index."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from dicomserver.index import Counts, Index, IndexUnavailable, open_index
from dicomserver.index.index import BULK_ROWS
from dicomserver.index.postgres.membership import LEADER
from tests.index.postgres.test_membership import cut_off
from tests.index.samples import PATIENT_NAME, make, sizes
from tests.postgres import PostgresServer

Opened = Callable[[int], Index]


@pytest.fixture
def pair(postgres_url: str) -> Iterator[tuple[Index, Index]]:
    opened = open_index(postgres_url, 1), open_index(postgres_url, 2)
    yield opened
    for index in opened:
        try:
            index.close()
        except IndexUnavailable:
            continue


def test_one_leads_until_its_connection_breaks(pair: tuple[Index, Index], postgres: PostgresServer) -> None:
    one, two = (index.nodes for index in pair)
    assert (one.number, two.number) == (1, 2) and not one.leads
    assert [one.lead(), one.lead(), two.lead()] == [1, 1, 0]
    assert one.leads and not two.leads
    cut_off(postgres, LEADER)
    assert [two.lead(), one.lead()] == [1, 0] and two.leads and not one.leads
    cut_off(postgres, LEADER)
    assert [two.lead(), one.lead()] == [2, 0]      # in between somebody else may have led


def test_only_who_has_no_connection_is_adopted(pair: tuple[Index, Index], postgres: PostgresServer) -> None:
    one, two = pair
    with one.nodes.adopting(2) as is_ours:
        assert not is_ours
    two.close()
    cut_off(postgres, 2)        # the server closes a little later
    with one.nodes.adopting(2) as is_ours, one.nodes.adopting(7) as is_ours_too:
        assert is_ours and is_ours_too


def test_an_adoption_whose_connection_breaks_leaves_no_lock(pair: tuple[Index, Index], postgres: PostgresServer,
                                                            postgres_url: str) -> None:
    one, two = pair
    cut_off(postgres, 2)
    with one.nodes.adopting(2):
        cut_off(postgres, 1)
        one.counts()
        one.make_durable()
    open_index(postgres_url, 2).close()


def test_who_was_adopted_is_so_after_a_crash_too(pair: tuple[Index, Index], postgres: PostgresServer) -> None:
    one, two = pair
    cut_off(postgres, 2)
    with one.nodes.adopting(2):
        tokens = postgres.execute("SELECT token FROM dicom_server.nodes ORDER BY number")
    postgres.kill()
    postgres.start()
    assert postgres.execute("SELECT token FROM dicom_server.nodes ORDER BY number") == tokens


def test_all_may_make_the_same_study_at_the_same_time(pair: tuple[Index, Index]) -> None:
    """And what comes to several of them at once is in once."""
    outcomes: list[list] = [[], []]

    def store(at: int) -> None:
        for number in range(60):
            shared = number % 3 == 0
            outcomes[at].append(pair[at].add(make(
                number if shared else 1000 * (at + 1) + number, study=f"5.{number % 20}",
                slot=10_000 * (at + 1) + number, patient={PATIENT_NAME: b"A^B"})))
    threads = [threading.Thread(target=store, args=(at,)) for at in (0, 0, 1, 1)]
    outcomes = [[], []]
    for thread in threads[::2]:
        thread.start()
    for thread in threads[::2]:
        thread.join()
    assert pair[0].counts() == Counts(1, 20, 20, 100)
    assert sizes(pair[1]) == sorted((f"5.{number}", 1, 5) for number in range(20))
    known = [one for several in outcomes for one in several if one is not None]
    assert len(known) == 20 and all(one.slot >= 10_000 for one in known)


def test_batches_of_the_same_series_do_not_lock_each_other_out(pair: tuple[Index, Index]) -> None:
    def fill(at: int) -> None:
        numbers = range(BULK_ROWS) if at else reversed(range(BULK_ROWS))
        pair[at].add_many([make(1 + 2 * number + at, study=f"6.{number % 7}") for number in numbers])
    threads = [threading.Thread(target=fill, args=(at,)) for at in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pair[0].counts() == Counts(1, 7, 7, 2 * BULK_ROWS)


def test_a_series_that_another_node_has_deleted(pair: tuple[Index, Index]) -> None:
    one, two = pair
    assert one.add(make(1)) is None
    assert two.remove([make(1).sop_instance_uid], [1]) == 1
    assert one.add(make(2)) is None and one.counts() == Counts(1, 1, 1, 1)
    assert one.replace(2, make(2, slot=22)) is None and two.find(make(2).sop_instance_uid).slot == 22


def test_what_one_replays_another_does_not_lose(pair: tuple[Index, Index], postgres: PostgresServer) -> None:
    one, two = pair
    for number in range(1, 20):
        pair[number % 2].add(make(number, study=f"7.{number % 3}"))
    postgres.kill()
    postgres.start()
    threads = [threading.Thread(target=index.add, args=(make(100 + at, study="7.0"),)) for at, index in enumerate(pair)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.counts().instances == 21 and two.counts().instances == 21
    ids = [row for row, in postgres.execute("SELECT id FROM dicom_server.instances")]
    assert len(set(ids)) == 21


def test_another_one_may_have_filled_it(pair: tuple[Index, Index]) -> None:
    one, two = pair
    assert two.is_fresh and two.look_whether_fresh()
    one.mark_complete()
    assert not two.look_whether_fresh() and not two.is_fresh
