from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from dicomserver.index import IndexAway, IndexUnavailable, SearchInterrupted
from dicomserver.index.postgres.address import parameters_of
from dicomserver.index.postgres.connection import (
    AT_ONCE,
    NEXT_ROWS,
    Connection,
    PostgresSession,
    connect,
    is_quiet,
)
from tests.postgres import DATABASE, GUARDED, USER, PostgresServer


@pytest.fixture
def connection(postgres: PostgresServer) -> Iterator[Connection]:
    made = connect(parameters_of(postgres.url), "dicom_server")
    yield made
    made.close()


def test_runs_statements(connection: Connection) -> None:
    session = PostgresSession(connection)
    session.run("CREATE TEMPORARY TABLE x (id BIGINT UNIQUE, b BYTEA)")
    assert session.run("INSERT INTO x VALUES (%s, %s), (2, NULL)", (1, b"\0\xff")) == 2
    assert session.run_each("INSERT INTO x VALUES (%s, %s) ON CONFLICT DO NOTHING", [(2, b""), (3, b""), (3, b"")]) == [
        0, 1, 0]
    assert session.one("SELECT * FROM x WHERE id = %s", (1,)) == (1, b"\0\xff")
    assert session.one("SELECT * FROM x WHERE id = %s", (9,)) is None
    assert session.rows("SELECT id FROM x ORDER BY 1") == [(1,), (2,), (3,)]
    assert session.rows("SELECT '%'") == [("%",)]


def test_one_of_several_fails_and_none_is_in(connection: Connection) -> None:
    session = PostgresSession(connection)
    session.run("CREATE TEMPORARY TABLE x (id BIGINT NOT NULL)")
    with pytest.raises(IndexUnavailable, match="23502"):
        session.run_each("INSERT INTO x VALUES (%s)", [(1,), (None,), (3,)])
    assert session.rows("SELECT * FROM x") == []
    with pytest.raises(IndexUnavailable, match="23502"), connection.transaction():
        session.run("INSERT INTO x VALUES (1)")
        session.run("INSERT INTO x VALUES (NULL)")
    assert session.rows("SELECT * FROM x") == []


def test_streams_with_flat_memory_and_may_be_given_up(connection: Connection) -> None:
    session = PostgresSession(connection)
    assert sum(number for number, in session.stream("SELECT generate_series(1, %s::int)", (5001,))) == 5001 * 2501
    given_up = session.stream("SELECT generate_series(1, 1000000000000)")
    assert [next(given_up) for _ in range(100)][-1] == (100,)
    given_up.close()
    assert session.one("SELECT 1") == (1,)


@pytest.mark.parametrize("count", [0, 1, AT_ONCE, AT_ONCE + 1, AT_ONCE + NEXT_ROWS, AT_ONCE + NEXT_ROWS + 1])
def test_streams_every_row_once(connection: Connection, count: int) -> None:
    found = PostgresSession(connection).stream("SELECT generate_series(1, %s::int)", (count,))
    assert sorted(number for number, in found) == list(range(1, count + 1))


def test_a_statement_that_nobody_wants_any_more_ends(connection: Connection, postgres: PostgresServer) -> None:
    session = PostgresSession(connection)
    asked = []
    with session.watched(lambda: asked.append(1) or len(asked) < 3), pytest.raises(SearchInterrupted):
        session.one("SELECT pg_sleep(250)")
    assert connection.closed
    deadline = time.monotonic() + 60
    running = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(250)' AND state = 'active'"
    while postgres.execute(running):
        assert time.monotonic() < deadline


def test_nothing_is_begun_that_nobody_wants(connection: Connection) -> None:
    session = PostgresSession(connection)
    with session.watched(lambda: False):
        for use in (session.run, session.one, session.rows, lambda sql: next(session.stream(sql))):
            with pytest.raises(SearchInterrupted):
                use("SELECT 1")
    assert session.one("SELECT 1") == (1,) and not connection.closed


def test_a_server_that_has_gone_is_noticed_without_asking_it(connection: Connection, postgres: PostgresServer) -> None:
    assert is_quiet(connection)
    postgres.execute("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
    deadline = time.monotonic() + 60
    while is_quiet(connection):
        assert time.monotonic() < deadline
    connection.close()
    assert not is_quiet(connection)


def test_another_encoding_is_refused(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    real = psycopg.ConnectionInfo.parameter_status
    monkeypatch.setattr(psycopg.ConnectionInfo, "parameter_status", lambda self, name: (
        "SQL_ASCII" if name == "server_encoding" else real(self, name)))
    with pytest.raises(IndexUnavailable, match="encoding is SQL_ASCII; it must be UTF8"):
        connect(parameters_of(postgres.url), "dicom_server")


def test_an_old_server_is_refused(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomserver.index.postgres.connection.OLDEST", 990000)
    with pytest.raises(IndexUnavailable, match="is too old"):
        connect(parameters_of(postgres.url), "dicom_server")


@pytest.fixture
def guarded(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a user who has to show a password."""
    postgres.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD 'open sesame'")
    yield f"postgresql://{GUARDED}@/{DATABASE}?host={postgres.folder}"
    postgres.execute(f"DROP ROLE {GUARDED}")


def test_a_password_from_the_url_the_environment_or_a_file(
        guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / ".pgpass"))
    with pytest.raises(IndexAway, match="no password supplied"):
        connect(parameters_of(guarded), "dicom_server")
    with pytest.raises(IndexAway, match="password authentication failed") as refused:
        connect(parameters_of(guarded.replace("@", ":close%20sesame@")), "dicom_server")
    assert "sesame" not in str(refused.value)
    connect(parameters_of(guarded.replace("@", ":open%20sesame@")), "dicom_server").close()
    (tmp_path / ".pgpass").write_text(f"*:*:*:{GUARDED}:open sesame\n")
    (tmp_path / ".pgpass").chmod(0o600)
    connect(parameters_of(guarded), "dicom_server").close()
    (tmp_path / ".pgpass").unlink()
    monkeypatch.setenv("PGPASSWORD", "open sesame")
    connect(parameters_of(guarded), "dicom_server").close()


def test_without_a_url_the_environment_says_it(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": str(postgres.folder), "PGUSER": USER, "PGDATABASE": DATABASE}.items():
        monkeypatch.setenv(name, value)
    made = connect(parameters_of("postgresql://"), "dicom_server")
    assert (made.info.user, made.info.dbname, made.info.host) == (USER, DATABASE, str(postgres.folder))
    made.close()


@pytest.mark.parametrize("change, text", [
    ("/none?", "does not exist"), ("/postgres?user=nobody&", 'role "nobody" does not exist'),
])
def test_why_there_is_no_connection(change: str, text: str, postgres: PostgresServer) -> None:
    url = f"postgres://postgres:secret@{change}host={postgres.folder}"
    with pytest.raises(IndexAway, match=text) as refused:
        connect(parameters_of(url), "dicom_server")
    assert "secret" not in str(refused.value) and "\n" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_rollback_takes_no_statement_away(postgres: PostgresServer) -> None:
    """psycopg drops all statements of a connection then, if it has prepared one of its own."""
    with closing(connect(parameters_of(postgres.url), "dicom_server")) as connection:
        session = PostgresSession(connection)
        session.run("CREATE TEMPORARY TABLE x (id INTEGER)")
        for nested in (False, True):
            for _ in range(10):     # so often that psycopg prepares it
                session.one("SELECT %s", (1,))
            assert session.run("INSERT INTO x VALUES (%s)", (1,)) == 1
            with contextlib.ExitStack() as outer, contextlib.suppress(ZeroDivisionError):
                if nested:
                    outer.enter_context(connection.transaction())
                with connection.transaction():
                    session.run("INSERT INTO x VALUES (%s)", (1,))
                    raise ZeroDivisionError
            assert session.run("INSERT INTO x VALUES (%s)", (2,)) == 1
            assert session.run_each("INSERT INTO x VALUES (%s)", [(3,), (4,)]) == [1, 1]
        assert session.rows("SELECT id FROM x ORDER BY 1") == [(1,), (1,), (2,), (2,), (3,), (3,), (4,), (4,)]
        assert session.one("SELECT count(*) FROM pg_prepared_statements")[0] < 8
