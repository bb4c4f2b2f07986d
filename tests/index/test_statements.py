from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomserver.index.postgres.engine import Postgres
from dicomserver.index.sqlite.engine import SqliteMemory
from tests.index.emptied import cleared
from tests.postgres import PostgresServer

TEXTS = vars(SqliteMemory.statements)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_statement_fits_the_schema(name: str) -> None:
    session = SqliteMemory().writer()
    session.rows("EXPLAIN " + TEXTS[name], (None,) * TEXTS[name].count("?"))


BY_INDEX = pytest.mark.parametrize("name", [
    "ADD_INSTANCE", "FIND_INSTANCE", "FIND_LABEL", "FIND_PATIENT", "FIND_STUDY", "FIND_SERIES",
    "ADD_OTHER_PATIENT", "OTHER_PATIENTS_OF_STUDY", "PATIENTS_OF_STUDY",
    "PAGE_OF_ALL", "PAGE_OF_SERIES", "SERIES_OF_STUDY", "SERIES_BY_UID", "SERIES_BY_BOTH", "REMOVE_INSTANCE",
    "MARK"])


@BY_INDEX
def test_nothing_is_scanned_or_sorted(name: str) -> None:
    """With millions of rows each of these must find its way by an index."""
    session = SqliteMemory().writer()
    plan = session.rows("EXPLAIN QUERY PLAN " + TEXTS[name], (None,) * TEXTS[name].count("?"))
    steps = [step[-1] for step in plan]
    assert [step for step in steps if "SCAN" in step or "TEMP B-TREE" in step] == []


@pytest.fixture(scope="module")
def postgres_engine(postgres: PostgresServer) -> Iterator[Postgres]:
    engine = Postgres(cleared(postgres))
    yield engine
    engine.close()


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_statement_fits_the_schema_of_postgresql(name: str, postgres_engine: Postgres) -> None:
    sql = getattr(Postgres.statements, name)
    # Of a statement with an array the parameter is one; NULL is of every type.
    assert postgres_engine.writer().rows("EXPLAIN " + sql, (None,) * sql.count("%s"))


@BY_INDEX
def test_nothing_is_scanned_in_postgresql(name: str, postgres_engine: Postgres) -> None:
    """The tables are empty: what is scanned although scans are dear has no index."""
    sql = getattr(Postgres.statements, name)
    session = postgres_engine.writer()
    session.run("SET enable_seqscan = off")
    plan = [line for line, in session.rows("EXPLAIN " + sql, ("1",) * sql.count("%s"))]
    assert [line for line in plan if "Seq Scan" in line] == []


def test_both_engines_say_the_same_statements() -> None:
    assert set(vars(Postgres.statements)) == set(TEXTS)
    assert not any("?" in sql or "{" in sql for sql in vars(Postgres.statements).values())
