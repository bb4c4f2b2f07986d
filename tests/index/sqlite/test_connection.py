from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import apsw
import pytest

from dicomserver.index.errors import IndexDamaged, IndexUnavailable, SearchInterrupted
from dicomserver.index.sqlite import connection
from dicomserver.index.sqlite.connection import FULL, LOG_LIMIT, MEMORY, NORMAL, SqliteSession, connect
from dicomserver.index.sqlite.engine import SqliteFile


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "index.db").touch()
    return str(tmp_path / "index.db")


@pytest.mark.parametrize("synchronous", [NORMAL, FULL])
def test_a_connection_to_a_file_is_set_up(path: str, synchronous: int) -> None:
    opened = connect(path, synchronous=synchronous, cache_kib=300)
    opened.execute("CREATE TABLE t (x)")
    assert {name: opened.pragma(name) for name in (
        "journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint", "busy_timeout", "cache_size",
        "temp_store", "trusted_schema", "cell_size_check", "page_size", "mmap_size", "query_only",
        "journal_size_limit")} == {
        "journal_mode": "wal", "synchronous": synchronous, "foreign_keys": 1, "wal_autocheckpoint": 0,
        "busy_timeout": 5000, "cache_size": -300, "temp_store": 2, "trusted_schema": 0, "cell_size_check": 1,
        "page_size": 4096, "mmap_size": 0, "query_only": 0, "journal_size_limit": LOG_LIMIT}
    opened.close()


def test_a_reading_connection_cannot_write(path: str) -> None:
    writing = connect(path)
    writing.execute("CREATE TABLE t (x)")
    reading = connect(path, read_only=True)
    assert reading.pragma("query_only") == 1
    with pytest.raises(apsw.ReadOnlyError):
        reading.execute("INSERT INTO t VALUES (1)")
    reading.close()
    writing.close()


def test_memory_is_set_up() -> None:
    opened = connect(MEMORY)
    assert opened.pragma("foreign_keys") == 1 and opened.pragma("journal_mode") == "memory"
    opened.close()


def test_a_pragma_that_is_not_taken_is_noticed(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.OF_FILE, "journal_mode", "writeahead")
    with pytest.raises(IndexUnavailable, match="did not take PRAGMA journal_mode = writeahead"):
        connect(path)


def test_the_connections_of_an_engine(tmp_path: Path) -> None:
    """One syncs its commits and is for that alone; none checkpoints by itself."""
    engine = SqliteFile(tmp_path / "index.db")
    assert [opened.pragma("synchronous") for opened in engine._connections] == [NORMAL, NORMAL, NORMAL, FULL]
    assert [opened.pragma("wal_autocheckpoint") for opened in engine._connections] == [0, 0, 0, 0]
    engine.close()


def test_opening_what_is_not_there_or_no_database(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable, match="SQLITE_CANTOPEN"):
        connect(str(tmp_path / "none"))
    (tmp_path / "text").write_bytes(b"hello" * 1000)
    with pytest.raises(IndexDamaged, match="SQLITE_NOTADB"):
        connect(str(tmp_path / "text"))


def test_a_session_runs_statements_and_translates_errors() -> None:
    opened = connect(MEMORY)
    session = SqliteSession(opened)
    session.run("CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT")
    assert session.run("INSERT INTO t VALUES (1), (2)") == 2
    assert session.run("INSERT INTO t VALUES (?) ON CONFLICT DO NOTHING", (1,)) == 0
    assert session.one("SELECT x FROM t ORDER BY x") == (1,)
    assert session.one("SELECT x FROM t WHERE x = ?", (9,)) is None
    assert session.rows("SELECT x FROM t ORDER BY x") == [(1,), (2,)]
    for method in (session.run, session.one, session.rows, lambda sql, values: list(session.stream(sql, values))):
        with pytest.raises(IndexUnavailable, match="SQLITE_CONSTRAINT_PRIMARYKEY"):
            method("INSERT INTO t VALUES (?)", (1,))
    opened.close()


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"


@pytest.fixture
def session() -> Iterator[SqliteSession]:
    opened = connect(MEMORY)
    yield SqliteSession(opened)
    opened.close()


def test_rows_are_streamed_as_they_are_found(session: SqliteSession) -> None:
    rows = session.stream(ENDLESS)
    assert [next(rows), next(rows)] == [(1,), (2,)]
    assert session.rows("SELECT ?", (7,)) == [(7,)]     # another statement meanwhile
    assert next(rows) == (3,)
    rows.close()
    assert list(session.stream("SELECT x FROM (SELECT 1 AS x) WHERE x = ?", (2,))) == []


def test_a_stream_that_is_closed_holds_nothing(path: str) -> None:
    writing = connect(path)
    writing.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)")
    reading = connect(path, read_only=True)
    rows = SqliteSession(reading).stream("SELECT x FROM t")
    next(rows)
    assert reading.txn_state() == apsw.SQLITE_TXN_READ
    rows.close()
    assert reading.txn_state() == apsw.SQLITE_TXN_NONE
    reading.close()
    writing.close()


@pytest.mark.parametrize("statement", [
    lambda session: session.rows(f"SELECT count(*) FROM ({ENDLESS})"), lambda session: list(session.stream(ENDLESS)),
    lambda session: session.one(f"SELECT count(*) FROM ({ENDLESS})")])
def test_a_watched_statement_is_interrupted(session: SqliteSession,
                                            statement: Callable[[SqliteSession], object]) -> None:
    asked = []

    def keep_going() -> bool:
        asked.append(True)
        return len(asked) < 3

    with pytest.raises(SearchInterrupted), session.watched(keep_going):
        statement(session)
    assert len(asked) == 3
    assert session.one("SELECT 1") == (1,)


def test_nobody_watches_afterwards(session: SqliteSession) -> None:
    asked = []
    with session.watched(lambda: bool(asked.append(True)) or True):
        list(islice(session.stream(ENDLESS), 100_000))
    before = len(asked)
    assert before > 0
    with pytest.raises(KeyError), session.watched(lambda: False):
        raise KeyError
    list(islice(session.stream(ENDLESS), 100_000))
    assert len(asked) == before


def test_of_several_rows_one_fails_and_none_is_in() -> None:
    opened = connect(MEMORY)
    opened.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)")
    session = SqliteSession(opened)
    insert = "INSERT INTO t VALUES (?) ON CONFLICT (x) DO NOTHING"
    assert session.run_each(insert, [(1,), (1,), (2,)]) == [1, 0, 1]
    with pytest.raises(IndexUnavailable):
        session.run_each(insert, [(3,), ("three",)])
    assert session.rows("SELECT x FROM t") == [(1,), (2,)] and not opened.in_transaction
    opened.close()
