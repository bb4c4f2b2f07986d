"""Index.search on every engine: pages, what changes meanwhile, and who waits for whom."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import apsw
import pytest

from dicomserver.index import Index, IndexUnavailable, SearchInterrupted, open_index
from dicomserver.index.index import FIRST_ROWS, NEXT_ROWS
from dicomserver.index.search.criteria import Criterion
from dicomserver.index.search.keys import MOST_ALTERNATIVES, criterion_of
from dicomserver.index.search.query import Condition, Query
from dicomserver.index.sqlite import connection
from dicomserver.index.sqlite.engine import SEARCHERS
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import query_attributes
from dicomserver.wire.packed import top_level
from tests.index.samples import PATIENT_ID, PATIENT_NAME, make

UID, COMMENTS, DESCRIPTION = 0x0020000D, 0x00324000, 0x00081030
EVERYTHING = Query(Level.STUDY)


def fill(index: Index, count: int, first: int = 1) -> None:
    """Studies, each of a patient and with one instance; in every third a comment."""
    index.add_many(make(1, study=f"1.{number}", slot=number, patient={PATIENT_ID: b"P%d" % number}, of_study={
        UID: b"1.%d" % number, DESCRIPTION: b"knee", **({COMMENTS: b"third"} if number % 3 == 0 else {})})
        for number in range(first, first + count))


def uids(pages: Iterable[list[tuple]]) -> list[str]:
    return [top_level(row[3])[UID].decode() for page in pages for row in page]


def numbered(numbers: Iterable[int]) -> list[str]:
    return sorted(f"1.{number}" for number in numbers)


def asking(tag: int, value: bytes, level: Level = Level.STUDY, character_set: bytes = b"",
           fuzzy: bool = False) -> Query:
    attribute = query_attributes()[0, tag]
    criterion: Criterion = criterion_of(attribute.vr, value, character_set, fuzzy=fuzzy)
    return Query(level, (Condition(attribute, criterion),))


@pytest.mark.parametrize("count, pages", [
    (0, []), (1, [1]), (FIRST_ROWS - 1, [FIRST_ROWS - 1]), (FIRST_ROWS, [FIRST_ROWS]),
    (FIRST_ROWS + 1, [FIRST_ROWS, 1]), (FIRST_ROWS + NEXT_ROWS + 7, [FIRST_ROWS, NEXT_ROWS, 7])])
def test_pages(index: Index, count: int, pages: list[int]) -> None:
    fill(index, count)
    found = list(index.search(EVERYTHING))
    assert [len(page) for page in found] == pages
    assert sorted(uids(found)) == numbered(range(1, count + 1))


@pytest.mark.parametrize("query, found", [
    (asking(COMMENTS, b"third"), range(3, 300, 3)), (asking(DESCRIPTION, b"*nee"), range(1, 300)),
    (asking(COMMENTS, b"first"), []), (asking(DESCRIPTION, b"hip"), []), (asking(UID, b"1.7\\1.290\\1.999"), [7, 290]),
    (asking(PATIENT_ID, b"P1?"), range(10, 20))])
def test_each_entity_once(index: Index, query: Query, found: Iterable[int]) -> None:
    fill(index, 299)
    assert sorted(uids(index.search(query))) == numbered(found)


def test_a_page_of_which_nothing_matches_is_none(index: Index) -> None:
    """Where rows are sorted out by their values."""
    fill(index, FIRST_ROWS + NEXT_ROWS + 10)
    pages = list(index.search(asking(COMMENTS, b"third")))
    assert all(pages)
    assert list(index.search(asking(COMMENTS, b"first"))) == []


@pytest.mark.parametrize("level", Level)
def test_every_level(index: Index, level: Level) -> None:
    for series in range(3):
        for number in range(100):
            index.add(make(number, series=f"1.2.3.{series}", slot=1000 * (series + 1) + number))
    assert sum(map(len, index.search(Query(level)))) == [1, 1, 3, 300][level]
    assert sum(map(len, index.search(asking(PATIENT_ID, b"P1", level)))) == [1, 1, 3, 300][level]
    assert sum(map(len, index.search(asking(PATIENT_ID, b"P2", level)))) == 0


def test_what_goes_and_comes_while_pages_are_taken(index: Index) -> None:
    fill(index, 400)
    pages = index.search(EVERYTHING)
    found = uids([next(pages), next(pages)])
    left = sorted(set(numbered(range(1, 401))) - set(found))
    gone = left[::2]
    index.remove([f"{uid}.1.1" for uid in gone], [int(uid[2:]) for uid in gone])
    fill(index, 300, first=401)
    assert sorted(found + uids(pages)) == sorted(set(numbered(range(1, 401))) - set(gone))


def test_what_changes_behind_the_first_page(index: Index) -> None:
    """Only then is it settled which ones there are; nothing comes twice."""
    fill(index, 200)
    pages = index.search(EVERYTHING)
    found = uids([next(pages)])
    index.remove([f"{uid}.1.1" for uid in found], [int(uid[2:]) for uid in found])
    fill(index, 30, first=201)
    assert sorted(found + uids(pages)) == numbered(range(1, 231))


def test_who_does_not_want_to_go_on(index: Index) -> None:
    fill(index, 600)
    for wanted in range(4):
        pages = index.search(EVERYTHING, keep_going := Switch())
        taken = [next(pages) for _ in range(wanted)]
        keep_going.on = False
        if wanted:      # before the first page so few rows are found sooner than anybody is asked
            with pytest.raises(SearchInterrupted):
                for page in pages:
                    taken.append(page)
            assert len(taken) < 6
    assert len(uids(index.search(EVERYTHING))) == 600


class Switch:
    """keep_going, until it is turned off."""

    def __init__(self) -> None:
        self.on = True

    def __call__(self) -> bool:
        return self.on


def test_a_long_search_is_interrupted_within_a_page(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STEPS_UNWATCHED", 1000)
    fill(index, 600)
    for query in (asking(DESCRIPTION, b"*h?p*"), asking(COMMENTS, b"third"), EVERYTHING):
        with pytest.raises(SearchInterrupted):
            list(index.search(query, lambda: False))
    assert uids(index.search(asking(UID, b"1.1"))) == ["1.1"]


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_a_search_that_is_given_up_holds_nothing(index: Index, taken: int) -> None:
    fill(index, 400)
    for _ in range(SEARCHERS + 1):      # one more than can be under way
        pages = index.search(EVERYTHING)
        for _ in range(taken):
            next(pages)
        pages.close()
    assert len(uids(index.search(EVERYTHING))) == 400


def test_slow_readers_keep_nobody_waiting(index: Index) -> None:
    """Neither writers nor each other, be they ever so many, whatever page they are at."""
    fill(index, 400)
    slow = [index.search(EVERYTHING) for _ in range(3 * SEARCHERS)]
    for number, pages in enumerate(slow):
        for _ in range(number % 3 + 1):
            next(pages)
    done = threading.Event()

    def write() -> None:
        index.add(make(1, study="9.9", slot=9999))
        index.make_durable()
        index.checkpoint()
        assert index.remove(["9.9.1.1"], [9999]) == 1
        assert len(uids(index.search(EVERYTHING))) == 400
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(30)
    assert done.is_set()
    for pages in slow:
        pages.close()


def test_no_snapshot_is_held_between_pages(url: str) -> None:
    """Or the log could not begin anew while a peer is slow."""
    index = open_index(url)
    fill(index, 400)
    pages = index.search(EVERYTHING)
    for _ in range(3):
        next(pages)
        fill(index, 20, first=10_000)
        with index._engine.lock:
            assert index._engine._writing.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE) == (0, 0)
        index.remove([f"1.{number}.1.1" for number in range(10_000, 10_020)], range(10_000, 10_020))
    pages.close()
    index.close()


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_search_in_a_closed_index(index: Index, taken: int) -> None:
    fill(index, 400)
    pages = index.search(EVERYTHING)
    for _ in range(taken):
        next(pages)
    index.close()
    with pytest.raises(IndexUnavailable, match="closed"):
        next(pages)


def test_many_at_once_beside_writers(index: Index) -> None:
    fill(index, 300)
    failed: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failed.append(error)
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def search() -> None:
        for _ in range(5):
            found = uids(index.search(asking(DESCRIPTION, b"knee")))
            assert len(found) == len(set(found)) and set(numbered(range(1, 301))) <= set(found)

    threads = [guarded(search) for _ in range(SEARCHERS + 4)]
    threads.append(guarded(lambda: fill(index, 200, first=1000)))
    for thread in threads:
        thread.join()
    assert failed == []


def test_the_patient_is_the_study_s_own(index: Index) -> None:
    """As its own objects name him, below the level of patients."""
    index.add(make(1, study="1.1", patient={PATIENT_NAME: b"DOE^JOHN"}))
    index.add(make(1, study="1.2", patient={PATIENT_NAME: b"ROE^JANE"}))
    assert sum(map(len, index.search(asking(PATIENT_NAME, b"roe*", Level.PATIENT)))) == 0
    assert sum(map(len, index.search(asking(PATIENT_NAME, b"roe*")))) == 1
    assert sum(map(len, index.search(asking(PATIENT_NAME, b"?oe*", Level.INSTANCE)))) == 2


@pytest.mark.parametrize("key", ["Müller^Smyth{}", "*üller^x{}*", "Smyth{}=山"])
def test_as_many_names_as_a_key_may_have(index: Index, key: str) -> None:
    """Each in all its forms, in one statement."""
    fill(index, 3)
    index.add(make(1, study="1.99", slot=99, patient={PATIENT_NAME: "Mueller^Smith498".encode(), PATIENT_ID: b"P99"},
                   of_study={UID: b"1.99"}))
    names = "\\".join(key.format(number) for number in range(MOST_ALTERNATIVES))
    found = uids(index.search(asking(PATIENT_NAME, names.encode(), character_set=b"ISO_IR 192", fuzzy=True)))
    assert found == (["1.99"] if key.startswith("M") else [])
