"""All that an index knows goes to another one of any engine, wherever that is cut short, whatever changes meanwhile."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import apsw
import pytest

from dicomserver.index import (
    IndexUnavailable,
    IndexUnfinished,
    begin_copy,
    open_index,
    open_source,
    open_target,
    rebuild_index,
    run_pass,
    transfer,
)
from dicomserver.index.integrity import Finding
from dicomserver.index.sqlite.schema import migrate
from tests.index.samples import make, sizes
from tests.index.search import stored
from tests.index.transferring import KEYS, answers, fill, move


@pytest.fixture
def source(tmp_path: Path) -> str:
    url = f"sqlite://{tmp_path}/source.db"
    fill(url)
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/target.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAGE_ROWS", 7)


def identity(url: str) -> str:
    with closing(open_index(url)) as index:
        return index.identity

OF_FTS5 = ("study_texts", "patients_sounds", "studies_sounds")


def test_every_table_is_copied_or_each_index_s_own() -> None:
    connection = apsw.Connection(":memory:")
    migrate(connection)
    tables = {name for name, in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    own = {name for name in tables if name.startswith(("sqlite_", *OF_FTS5))} | {"state"}
    assert {table.name for table in transfer.TABLES} == tables - own


def test_answers_are_the_same_there_and_back(source: str, target: str, tmp_path: Path, small_pages: None) -> None:
    wanted = answers(source, KEYS)
    assert wanted["disputed"] and wanted["faults"] and len(wanted) > 500
    back = f"sqlite://{tmp_path}/back.db"
    for one, other in ((source, target), (target, back)):
        passes = move(one, other)
        assert [passed.changes > 0 for passed in passes] == [True, False]
        assert passes[-1].counts == wanted["counts"]
        found = answers(other, KEYS)
        assert [name for name in wanted if found[name] != wanted[name]] == []
    assert len({identity(url) for url in (source, target, back)}) == 3


def test_a_copy_lives_on(source: str, target: str) -> None:
    """Counts are kept, numbers are not given twice, texts are found, what stands empty goes."""
    move(source, target)
    for url in (source, target):
        with closing(open_index(url)) as index:
            before = index.counts()
            index.add(make(1, study="9.1", slot=900, source_ae="NEW"))
            index.add(make(2, study="9.1", slot=901, sop_class_uid="1.9.9"))
            assert index.counts()[1:] == (before.studies + 1, before.series + 1, before.instances + 2)
            rows = list(index.select(study="2.5"))
            index.integrity.record([Finding(rows[0], b"2" * 32, "")])
            assert index.remove([row.sop_instance_uid for row in rows], [row.slot for row in rows]) == len(rows)
            assert ("9.1", 1, 2) in sizes(index)
    assert answers(source) == answers(target)


class Cut(Exception):
    """As by Ctrl-C."""


def cutting(after: int) -> Iterator[None]:
    """Of a progress: the page after which it ends."""
    for _ in range(after):
        yield
    raise Cut


def test_goes_on_where_it_was_cut_short(source: str, target: str, small_pages: None) -> None:
    for pages in (0, 1, 8, 30):
        cut = cutting(pages)
        with pytest.raises(Cut):
            move(source, target, progress=lambda done, total: next(cut))
        with pytest.raises(IndexUnfinished):
            open_index(target)
    totals: list[int] = []
    passes = move(source, target, progress=lambda done, total: totals.append(total))
    assert 0 < passes[0].changes < totals[0] // 2
    assert answers(target) == answers(source)


def test_catches_up(source: str, target: str, small_pages: None) -> None:
    """Between passes, and in the middle of one: stored, deleted, deleted and stored again, decided, found damaged."""
    changes = count()

    def change() -> None:
        number = next(changes)
        if number % 3:
            return
        with closing(open_index(source)) as index:
            rows = list(index.select())
            row = rows[number * 7 % len(rows)]
            index.remove([row.sop_instance_uid], [row.slot])
            index.add(make(number, study=row.study_instance_uid, series=row.series_instance_uid, slot=2000 + number,
                           sop_instance_uid=row.sop_instance_uid))
            # The last row, whose id in SQLite the next one gets.
            index.remove([f"7.{number - 3}"], [2997 + number])
            index.add(make(1, study="7", sop_instance_uid=f"7.{number}", slot=3000 + number))
            index.integrity.record([Finding(rows[number % len(rows)], None, f"fault {number}")])
            index.other_patients.accept("2.5")

    with closing(open_source(source)) as one, closing(open_target(target)) as other:
        begin_copy(other, one, replace=False)
        run_pass(one, other, lambda done, total: change())
        other.prepare()
        run_pass(one, other, lambda done, total: change())
    assert next(changes) > 40
    changes = count(60)
    change()
    passes = move(source, target)
    assert passes[0].changes > 0 and len(passes) <= 3
    assert answers(target) == answers(source)


@pytest.mark.parametrize("table", ["patients", "studies", "instances"])
def test_what_is_behind_the_pass_comes_again_under_another_id(
        source: str, target: str, small_pages: None, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """A patient with all that is his is deleted and stored again when the table's first page is copied."""
    walk = transfer._walk
    again = stored.odd_instance(5)
    clear, cleared = transfer._clear, []

    def walk_and_store(which: transfer.Table, *details: object) -> Iterator[tuple[int, int]]:
        for page, found in enumerate(walk(which, *details)):
            if which.name == table and page == 0:
                with closing(open_index(source)) as index:
                    assert index.remove([again.sop_instance_uid], [again.slot]) == 1
                    again.slot = 4000
                    assert index.add(again) is None
            yield found

    monkeypatch.setattr(transfer, "_walk", walk_and_store)
    monkeypatch.setattr(transfer, "_clear",
                        lambda which, *details: cleared.append(which.name) or clear(which, *details))
    with closing(open_source(source)) as one, closing(open_target(target)) as other:
        begin_copy(other, one, replace=False)
        assert run_pass(one, other, lambda done, total: None).changes
    assert cleared == [table]
    monkeypatch.undo()
    move(source, target)
    assert answers(target) == answers(source)


def test_is_begun_again_where_it_ended_without_the_archive_s_knowing(source: str, target: str) -> None:
    move(source, target)
    with closing(open_index(source)) as index:
        index.add(make(1, study="8", slot=800))
    assert [passed.changes > 0 for passed in move(source, target)] == [True, False]
    assert answers(target) == answers(source)


def test_replaces_only_what_is_of_no_worth(source: str, target: str, tmp_path: Path) -> None:
    with closing(open_index(target)) as index:
        index.mark_complete()
    move(source, target)        # an index without instances
    other = f"sqlite://{tmp_path}/other.db"
    fill(other)
    with pytest.raises(IndexUnavailable, match="there is an index already, with .* --replace"):
        move(other, target)
    assert answers(target) == answers(source)
    with closing(open_index(other)) as index:
        index.add(make(1, study="8", slot=800))
    move(other, target, replace=True)
    assert answers(target) == answers(other) != answers(source)


def test_what_is_left_of_another_copy_is_replaced(source: str, target: str, tmp_path: Path) -> None:
    cut = cutting(3)
    with pytest.raises(Cut):
        move(source, target, progress=lambda done, total: next(cut))
    other = f"sqlite://{tmp_path}/other.db"
    with closing(open_index(other)) as index:
        index.add(make(1))
        index.mark_complete()
    move(other, target)
    assert answers(target) == answers(other)


def test_a_rebuild_takes_the_place_of_what_is_unfinished(source: str, target: str) -> None:
    cut = cutting(3)
    with pytest.raises(Cut):
        move(source, target, progress=lambda done, total: next(cut))
    with rebuild_index(target) as index:
        index.add(make(1))
    with closing(open_index(target)) as index:
        assert index.counts().instances == 1 and not index.is_fresh
    with pytest.raises(IndexUnavailable, match="no copy"):
        move(source, target)


def test_indexes_of_other_columns_are_not_mixed(source: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_source(source)) as one, closing(open_target(target)) as other:
        monkeypatch.setattr(type(one), "columns", lambda self, table: ["id", "text", "more"])
        monkeypatch.setattr(type(other), "columns", lambda self, table: ["id", "text"])
        begin_copy(other, one, replace=False)
        with pytest.raises(IndexUnavailable, match="same columns in labels"):
            run_pass(one, other, lambda done, total: None)
