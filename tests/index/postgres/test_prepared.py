"""Statements straight through libpq: what they do, and what happens when they fail."""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from dicomserver.index.postgres.address import parameters_of
from dicomserver.index.postgres.connection import Connection, connect
from dicomserver.index.postgres.prepared import MOST, Prepared
from tests.postgres import PostgresServer

INSERT = "INSERT INTO x VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING"
DELETE = "DELETE FROM x WHERE id >= %s"


@pytest.fixture
def connection(postgres: PostgresServer) -> Iterator[Connection]:
    made = connect(parameters_of(postgres.url), "dicom_server")
    made.execute("CREATE TEMPORARY TABLE x (id INTEGER PRIMARY KEY, t TEXT NOT NULL, b BYTEA)")
    yield made
    made.close()


@pytest.fixture
def prepared(connection: Connection) -> Prepared:
    return Prepared(connection)


def rows(connection: Connection) -> list[tuple]:
    return connection.execute("SELECT * FROM x ORDER BY id").fetchall()


def test_counts_what_changed(prepared: Prepared, connection: Connection) -> None:
    assert prepared.run(INSERT, (1, "山田 %s", b"\0\xff")) == 1
    assert prepared.run(INSERT, (1, "again", b"")) == 0
    assert prepared.run_each(INSERT, [(2, "", None), (1, "", None), (3, "", b""), (3, "", b"")]) == [1, 0, 1, 0]
    assert prepared.run_each(INSERT, []) == [] and prepared.run_each(INSERT, [(4, "", None)]) == [1]
    assert rows(connection) == [(1, "山田 %s", b"\0\xff"), (2, "", None), (3, "", b""), (4, "", None)]
    assert prepared.run(DELETE, (2,)) == 3
    assert prepared.run("SET client_min_messages = warning", ()) == 0


def test_prepares_each_once_whatever_the_values(prepared: Prepared, connection: Connection) -> None:
    for value in (None, b"", b"1"):
        prepared.run(INSERT, (-1, "", value))
    for number in range(10):
        prepared.run_each(INSERT, [(number, "", None), (-number, "", b"")])
        prepared.run(DELETE, (8,))
    statements = connection.execute("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'dicom%'").fetchall()
    assert sorted(statements) == [(DELETE.replace("%s", "$1"),), (
        "INSERT INTO x VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",)]


def test_shares_a_connection_with_the_driver(connection: Connection) -> None:
    assert connection.prepared is connection.prepared
    with connection.transaction():
        connection.prepared.run_each(INSERT, [(1, "", None), (2, "", None)])
    with pytest.raises(KeyError), connection.transaction():
        connection.prepared.run_each(INSERT, [(3, "", None), (4, "", None)])
        connection.prepared.run(INSERT, (5, "", None))
        raise KeyError
    assert [one for one, _, _ in rows(connection)] == [1, 2]


@pytest.mark.parametrize(("wrong", "state"), [
    ((2, None, None), "23502"), ((2, "a\0b", None), None), (("two", "", None), "22P02"),
    ((1 << 40, "", None), "22003"),
])
def test_one_of_several_fails_and_none_is_in(wrong: tuple, state: str, prepared: Prepared,
                                             connection: Connection) -> None:
    prepared.run(INSERT, (0, "", None))
    with pytest.raises(psycopg.Error) as failed:
        prepared.run_each(INSERT, [(1, "", None), wrong, (3, "", None)])
    assert failed.value.sqlstate == state
    with pytest.raises(psycopg.Error) as failed:
        prepared.run(INSERT, wrong)
    assert failed.value.sqlstate == state
    assert prepared.run_each(INSERT, [(8, "", None), (9, "", None)]) == [1, 1]
    assert [one for one, _, _ in rows(connection)] == [0, 8, 9]


TEXTS = ["", "a", "NULL", "null", "{}", '"', "\\", '\\"', "a,b", " a ", "山田^太郎", "'", "%s", "\n", "\x1b"]


def test_gives_rows(prepared: Prepared) -> None:
    for still in (None, lambda: None):
        assert prepared.rows("SELECT %s, %s, %s, 1 = 1, 2::smallint, 3::int", (1 << 40, "山", b"\0\xff"), still) == [
            (1 << 40, "山", b"\0\xff", True, 2, 3)]
        assert prepared.rows("SELECT g, repeat('x', 100) FROM generate_series(1, %s) g", (50_000,), still)[-1] == (
            50_000, "x" * 100)
        assert prepared.rows("SELECT id, b FROM x WHERE id = %s", (77,), still) == []
        with pytest.raises(psycopg.errors.DivisionByZero):
            prepared.rows("SELECT 1 / %s", (0,), still)


def test_a_list_is_an_array(prepared: Prepared, connection: Connection) -> None:
    for number, text in enumerate(TEXTS):
        prepared.run(INSERT, (number, text, None))
        assert prepared.rows("SELECT id FROM x WHERE t = ANY(%s)", ([text],)) == [(number,)]
    assert prepared.rows("SELECT t FROM x WHERE t = ANY(%s) ORDER BY id", (TEXTS,)) == [(text,) for text in TEXTS]
    assert prepared.rows("SELECT id FROM x WHERE id = ANY(%s) ORDER BY id", ([3, 1, -1],)) == [(1,), (3,)]
    for column in ("t", "id"):
        assert prepared.rows(f"SELECT id FROM x WHERE {column} = ANY(%s)", ([],)) == []
    with pytest.raises(psycopg.DataError):
        prepared.rows("SELECT id FROM x WHERE t = ANY(%s)", (["a\0b"],))
    assert prepared.rows("SELECT 1", ()) == [(1,)]


def test_keeps_no_more_statements_than_that(prepared: Prepared, connection: Connection) -> None:
    for number in [*range(MOST + 20), 0]:
        assert prepared.rows(f"SELECT %s + {number}", (1,)) == [(number + 1,)]
        assert prepared.rows("SELECT %s", ("often",)) == [("often",)]
    kept = {sql for sql, in connection.execute("SELECT statement FROM pg_prepared_statements WHERE from_sql = false")}
    assert len(kept) == MOST and "SELECT $1" in kept and "SELECT $1 + 0" in kept and "SELECT $1 + 1" not in kept


def test_asks_while_it_waits(prepared: Prepared) -> None:
    asked = []

    def still() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise KeyError
    with pytest.raises(KeyError):
        prepared.rows("SELECT pg_sleep(%s)::text", (60,), still)


def test_sends_and_receives_more_than_fits_into_any_buffer(prepared: Prepared, connection: Connection) -> None:
    octets = bytes(20_000)
    assert prepared.run_each(INSERT, [(number, "", octets) for number in range(1000)]) == [1] * 1000
    assert prepared.run_each("INSERT INTO x SELECT %s, %s, NULL ON CONFLICT (id) DO NOTHING RETURNING b || b", [
        (number % 7, "") for number in range(50_000)]) == [0] * 50_000


def test_a_statement_that_is_wrong_can_be_said_again(prepared: Prepared) -> None:
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            prepared.run("INSERT INTO absent VALUES (%s)", (1,))


def test_a_connection_that_breaks_is_closed(prepared: Prepared, connection: Connection,
                                            postgres: PostgresServer) -> None:
    prepared.run(INSERT, (0, "", None))
    postgres.execute("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
    deadline = time.monotonic() + 60
    while postgres.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", connection.info.backend_pid):
        assert time.monotonic() < deadline
    for use in (lambda: prepared.run_each(INSERT, [(1, "", None), (2, "", None)]),
                lambda: prepared.run(INSERT, (1, "", None)), lambda: prepared.run(DELETE, (1,))):
        with pytest.raises(psycopg.Error):
            use()
        assert connection.closed


def test_others_run_while_one_waits(prepared: Prepared, postgres: PostgresServer) -> None:
    """The compiled driver is what is loaded, and it waits without the interpreter's lock."""
    assert psycopg.pq.__impl__ in ("binary", "c")
    with psycopg.connect(postgres.url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(77)")
        waiting = threading.Thread(target=prepared.run, args=("SELECT pg_advisory_lock(%s)", (77,)))
        waiting.start()
        deadline = time.monotonic() + 60
        while not other.execute("SELECT 1 FROM pg_locks WHERE objid = 77 AND NOT granted").fetchall():
            assert time.monotonic() < deadline
    waiting.join(60)
    assert not waiting.is_alive()
