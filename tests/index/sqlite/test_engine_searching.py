"""Queries and whoever else uses the engine keep out of each other's way."""
from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import apsw
import pytest

from dicomserver.index import Index, IndexUnavailable
from dicomserver.index.sqlite.connection import NORMAL
from dicomserver.index.sqlite.engine import SEARCHER_CACHE_KIB, SEARCHERS, SqliteFile, SqliteMemory
from tests.index.samples import make


@pytest.fixture
def file(tmp_path: Path) -> SqliteFile:
    return SqliteFile(tmp_path / "index.db")


def test_many_searches_leave_readers_and_writers_alone(file: SqliteFile) -> None:
    index = Index(file)
    with ExitStack() as searches:
        for _ in range(SEARCHERS):
            session = searches.enter_context(file.searching())
            assert session.one("SELECT count(*) FROM studies") == (0,)
        assert index.add(make(1)) is None
        assert index.find("1.2.3.1.1").slot == 1
        assert session.one("SELECT count(*) FROM studies") == (1,)
        waiting = threading.Thread(target=lambda: file.searching().__enter__())
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()       # for one of the others
    waiting.join()
    assert index.counts().instances == 1


def test_a_searching_session_only_reads(file: SqliteFile) -> None:
    with file.searching() as session:
        assert session._connection.pragma("query_only") == 1
        assert session._connection.pragma("cache_size") == -SEARCHER_CACHE_KIB
        assert session._connection.pragma("synchronous") == NORMAL
        assert session._connection.readonly("main")
        with pytest.raises(IndexUnavailable, match="SQLITE_READONLY"):
            session.run("DELETE FROM studies")
    file.close()


@pytest.mark.parametrize("make_engine", [lambda path: SqliteFile(path / "x.db"), lambda _path: SqliteMemory()])
def test_a_search_sees_what_is_committed_and_none_comes_after_the_end(tmp_path: Path, make_engine) -> None:
    engine = make_engine(tmp_path)
    Index(engine).add(make(1))
    with engine.searching() as session:
        assert session.one("SELECT count(*) FROM studies") == (1,)
    engine.close()
    with pytest.raises(IndexUnavailable, match="the index is closed"), engine.searching():
        raise AssertionError("closed")


def test_closing_waits_for_a_search(file: SqliteFile) -> None:
    with file.searching() as session:
        closing = threading.Thread(target=file.close)
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
        assert session.one("SELECT 1") == (1,)
    closing.join()


def test_a_search_keeps_the_log_no_longer_than_it_takes(file: SqliteFile) -> None:
    index = Index(file)
    index.add_many(make(1, study=f"1.{number}") for number in range(300))
    with file.searching() as session:
        rows = session.stream("SELECT id FROM studies")
        next(rows)
        assert session._connection.txn_state() == apsw.SQLITE_TXN_READ
        rows.close()
        assert session._connection.txn_state() == apsw.SQLITE_TXN_NONE
    index.close()
