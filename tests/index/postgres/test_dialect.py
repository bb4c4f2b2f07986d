"""What each part of a query means to PostgreSQL itself."""
from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomserver.index import open_index
from dicomserver.index.postgres import dialect
from dicomserver.index.postgres.dialect import among, containing, like, rows_of, sounding
from dicomserver.index.search.criteria import matches
from dicomserver.index.sqlite import dialect as sqlite
from tests.postgres import PostgresServer

SPECIAL = st.text(alphabet="aAb[]^-!*?%_'\"\\ä山\U0001f600", max_size=8)


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        yield connection


def holds(database: psycopg.Connection, text: str | None, part: tuple[str, tuple]) -> bool:
    sql = f"""SELECT count(*) FROM (SELECT %s::text COLLATE "C" AS x) v WHERE {part[0]}"""
    return bool(database.execute(sql, (text, *part[1])).fetchone()[0])


@settings(deadline=None)
@given(SPECIAL, SPECIAL)
def test_a_pattern_means_what_dicom_means(database: psycopg.Connection, pattern: str, text: str) -> None:
    assert holds(database, text, like("x", pattern)) == matches(pattern, text)
    assert holds(database, text, like("x", text + "*"))
    assert holds(database, text, like("x", "*" + text.replace("*", "?")))


@pytest.mark.parametrize("pattern, sql", [
    ("*a", "x IS NOT NULL AND x LIKE %s"), ("?", "x IS NOT NULL AND x LIKE %s"),
    ("a*", "x >= %s AND x < %s"), ("a*b", "x >= %s AND x < %s AND x LIKE %s"), ("%*", "x >= %s AND x < %s")])
def test_the_beginning_of_a_pattern_is_a_range(pattern: str, sql: str) -> None:
    assert like("x", pattern)[0] == sql


def test_one_of_any_number(database: psycopg.Connection) -> None:
    for count in (1, 2, 5000):
        values = [f"v{number}" for number in range(count)]
        assert holds(database, values[-1], among("x", values)) and not holds(database, "w", among("x", values))
    assert not holds(database, None, among("x", ["v"]))


def test_one_value_is_compared_with_equals_so_that_its_plan_is_kept(database: psycopg.Connection) -> None:
    assert among("x", ["a"]) == ("x = %s", ("a",)) and among("x", [7]) == ("x = %s", (7,))
    database.execute("CREATE TEMPORARY TABLE kept AS SELECT n, n::text AS x FROM generate_series(1, 9999) n")
    database.execute("CREATE INDEX ON kept (x)")
    database.execute("ANALYZE kept")
    sql, _ = among("x", ["1"])
    for number in range(12):
        database.execute(f"SELECT n FROM kept WHERE {sql}", (str(number),), prepare=True)
    plans = database.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE"
                             " '%%kept WHERE%%'", prepare=False).fetchall()
    assert plans == [(7, 5)]


def test_a_nul_is_in_no_text(database: psycopg.Connection) -> None:
    for part in (among("x", ["a\0b"]), like("x", "a\0b*"), like("x", "*\0")):
        assert not holds(database, "a", part)
    assert rows_of(["a\0b", "c"]) == ["c"] and rows_of(range(3)) == [0, 1, 2]


def test_trigrams_serve_like_itself() -> None:
    assert containing("description", "*abc*") is None


def test_values_are_joined_as_dicom_joins_them(database: psycopg.Connection) -> None:
    rows = "(VALUES ('b'), ('a')) v (text)"
    assert database.execute(f"SELECT {dialect.JOINED} FROM {rows}").fetchone() == ("a\\b",)


def test_sounds_have_an_index(postgres_url: str) -> None:
    """The same one for both names of a study, and each word narrows the search."""
    open_index(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True, options="-c search_path=dicom_server") as connection:
        connection.execute("SET enable_seqscan = off")
        for table, column in (("patients", "name"), ("studies", "patient_name"), ("studies", "referring_physician")):
            test, values = sounding("x", f"{table} x", column, (frozenset({"SM0", "XMT"}), frozenset({"JN"})))
            sql = f"SELECT id FROM {table} x WHERE {test}"
            plan = "".join(line for line, in connection.execute("EXPLAIN " + sql, values))
            assert f"Bitmap Index Scan on {table}_by_sounds" in plan and plan.count("&&") >= 2
            assert connection.execute(sql, values).fetchall() == []


def test_both_dialects_have_the_same_names() -> None:
    names = {name for name in vars(dialect) if not name.startswith("_")} - {"annotations"}
    assert names == {name for name in vars(sqlite) if not name.startswith("_")} - {
        "annotations", "json", "MOST_TRIGRAMS"}
