from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import psycopg
import pytest

from dicomserver.index import IndexDamaged, IndexTooNew
from dicomserver.index.postgres import schema
from dicomserver.index.postgres.schema import SCHEMA, index_trigrams, migrate, remove, replace
from tests.postgres import PostgresServer


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as made:
        made.execute(f"SET search_path = {SCHEMA}")
        yield made


def step(sql: str) -> SimpleNamespace:
    return SimpleNamespace(upgrade=lambda connection: connection.execute(sql))


STATE = step("CREATE TABLE state (id INTEGER)")


def version(connection: psycopg.Connection) -> int:
    return connection.execute("SELECT number FROM version").fetchone()[0]


def test_only_missing_steps_are_run(connection: psycopg.Connection) -> None:
    for _ in range(2):
        migrate(connection, SCHEMA, (STATE,))
        assert version(connection) == 1
    migrate(connection, SCHEMA, (STATE, step("CREATE TABLE a (id INTEGER)"), step("CREATE TABLE b (id INTEGER)")))
    assert version(connection) == 3 and connection.execute("SELECT * FROM a, b").fetchall() == []


def test_a_step_that_fails_leaves_the_version_before_it(connection: psycopg.Connection) -> None:
    steps = (STATE, step("CREATE TABLE a (id INTEGER)"), step("CREATE TABLE b (id INTEGER); SELECT 1 / 0"))
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(connection, SCHEMA, steps)
    assert version(connection) == 2
    migrate(connection, SCHEMA, (*steps[:2], step("CREATE TABLE b (id INTEGER)")))
    assert version(connection) == 3


def test_a_newer_one_and_another_one_are_refused(connection: psycopg.Connection) -> None:
    migrate(connection, SCHEMA, (STATE, step("SELECT 1")))
    with pytest.raises(IndexTooNew, match="schema version 2, this program knows up to 1"):
        migrate(connection, SCHEMA, (STATE,))
    connection.execute("DROP TABLE version")
    with pytest.raises(IndexDamaged, match="no index of ours"):
        migrate(connection, SCHEMA)


def test_an_empty_schema_that_somebody_made_will_do(connection: psycopg.Connection) -> None:
    connection.execute(f"CREATE SCHEMA {SCHEMA}")
    migrate(connection, SCHEMA)
    assert version(connection) == len(schema.STEPS)


def test_contains_is_answered_by_trigrams(connection: psycopg.Connection) -> None:
    migrate(connection, SCHEMA)
    assert index_trigrams(connection) and index_trigrams(connection)
    connection.execute("SET enable_seqscan = off; SET enable_indexscan = off")
    for column in ("patient_name_folded", "description", "accession_number"):
        plan = connection.execute(f"EXPLAIN SELECT id FROM studies WHERE {column} LIKE '%knee%'").fetchall()
        assert any("studies_by_trigrams" in line for line, in plan), column
    made = connection.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'studies_by_trigrams'").fetchone()[0]
    assert made.count("gin_trgm_ops") == len(schema._SEARCHED) == 11


def test_without_the_extension_there_are_none(connection: psycopg.Connection, postgres: PostgresServer) -> None:
    migrate(connection, SCHEMA)
    connection.execute("DROP EXTENSION IF EXISTS pg_trgm CASCADE")
    connection.execute("DROP ROLE IF EXISTS clinic")
    connection.execute(f"CREATE ROLE clinic LOGIN; GRANT USAGE ON SCHEMA {SCHEMA} TO clinic")
    try:
        with psycopg.connect(postgres.url, user="clinic", autocommit=True) as other:
            other.execute(f"SET search_path = {SCHEMA}")
            assert not index_trigrams(other)
            assert other.execute("SELECT 1").fetchone() == (1,)
    finally:
        connection.execute("DROP OWNED BY clinic; DROP ROLE clinic")
    assert index_trigrams(connection)


def test_one_takes_the_place_of_another(connection: psycopg.Connection) -> None:
    migrate(connection, SCHEMA, (STATE,))
    connection.execute("CREATE SCHEMA dicom_server_new; CREATE TABLE dicom_server_new.mine (id INTEGER)")
    replace(connection, SCHEMA, "dicom_server_new")
    assert connection.execute("SELECT * FROM mine").fetchall() == []
    replace_nothing = "SELECT count(*) FROM pg_namespace WHERE nspname = 'dicom_server_new'"
    assert connection.execute(replace_nothing).fetchone() == (0,)
    remove(connection, SCHEMA)
    remove(connection, SCHEMA)
