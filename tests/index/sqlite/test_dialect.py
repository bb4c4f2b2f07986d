"""What each part of a query means to SQLite itself."""
from __future__ import annotations

import json

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.index.search.criteria import matches
from dicomserver.index.sqlite import dialect
from dicomserver.index.sqlite.dialect import MOST_TRIGRAMS, among, containing, like, rows_of
from dicomserver.index.sqlite.engine import SqliteMemory

SPECIAL = st.text(alphabet="aAb[]^-!*?%_'\"\\ä山\U0001f600", max_size=8)


@pytest.fixture(scope="module")
def database():
    connection = apsw.Connection(":memory:")
    yield connection
    connection.close()


def holds(database: apsw.Connection, text: str, part: tuple[str, tuple]) -> bool:
    return bool(database.execute(f"SELECT count(*) FROM (SELECT ? AS x) WHERE {part[0]}", (text, *part[1])).get)


@given(SPECIAL, SPECIAL)
def test_a_pattern_means_what_dicom_means(database: apsw.Connection, pattern: str, text: str) -> None:
    assert holds(database, text, like("x", pattern)) == matches(pattern, text)
    assert holds(database, text, like("x", text + "*"))
    assert holds(database, text, like("x", "*" + text.replace("*", "?")))


@pytest.mark.parametrize("pattern, sql", [
    ("*a", "x IS NOT NULL AND x GLOB ?"), ("?", "x IS NOT NULL AND x GLOB ?"),
    ("a*", "x >= ? AND x < ?"), ("a*b", "x >= ? AND x < ? AND x GLOB ?"),
    ("a?", "x >= ? AND x < ? AND x GLOB ?"), ("[*", "x >= ? AND x < ?")])
def test_a_beginning_is_looked_up(pattern: str, sql: str) -> None:
    assert like("x", pattern)[0] == sql


def test_no_pattern_takes_for_ever(database: apsw.Connection) -> None:
    assert not holds(database, "a" * 1024, like("x", "*a" * 500 + "*b"))
    assert not holds(database, "a" * 1024, like("x", "*?a" * 300 + "*b"))


@given(st.sets(SPECIAL, min_size=1, max_size=5), SPECIAL)
def test_one_of_several_texts(database: apsw.Connection, texts: set[str], text: str) -> None:
    assert holds(database, text, among("x", texts)) == (text in texts)
    assert all(holds(database, one, among("x", texts)) for one in texts)


def test_any_number_of_values_is_one_parameter(database: apsw.Connection) -> None:
    sql, values = among("x", range(10_000))
    assert len(values) == 1
    assert database.execute(f"SELECT count(*) FROM (SELECT 9999 AS x) WHERE {sql}", values).get == 1
    assert database.execute(f"SELECT count(*) FROM (SELECT 10000 AS x) WHERE {sql}", values).get == 0


@pytest.mark.parametrize("pattern", ["*ab*", "a?b?c", "*", "?", "ab*cd*ef", ""])
def test_without_three_letters_in_a_row_there_is_nothing_to_look_up(pattern: str) -> None:
    assert containing("description", pattern) is None


@pytest.fixture(scope="module")
def texts():
    session = SqliteMemory().writer()
    for number, text in enumerate([
            "left knee", "LEFT KNEE", 'say "knee"', "kneeé", "AND OR NOT", "山田太郎", "kne* x", "", None]):
        session.run("INSERT INTO study_texts (rowid, description, patient_name) VALUES (?, ?, 'knee')", (number, text))
    return session


@pytest.mark.parametrize("pattern, found", [
    ("*knee*", {0, 2, 3}), ("*KNEE", {1}), ('*"knee"*', {2}), ("*eeé", {3}), ("*AND OR*", {4}), ("*NOT*", {4}),
    ("*山田太*", {5}), ("*left*knee*", {0}), ("*nee?", {0, 2, 3}), ("*xyz*", set()), ("*kne* x", {0, 2, 3, 6})])
def test_text_in_the_middle(texts, pattern: str, found: set[int]) -> None:
    """Of that column alone, case and all. They may be more than match, as the order of the letters is not looked at."""
    sql, values = containing("description", pattern)
    assert {row for row, in texts.rows(sql, values)} == found


def test_a_long_pattern_is_looked_up_by_some_of_it() -> None:
    _, (terms,) = containing("description", "".join(map(chr, range(0x4E00, 0x4F00))))
    assert terms.count(" AND ") == MOST_TRIGRAMS - 1


def test_rows_by_their_ids(database: apsw.Connection) -> None:
    assert json.loads(rows_of([3, 1])) == [3, 1]
    sql = f"SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 2) WHERE x {dialect.WITH_IDS}"
    assert database.execute(sql, (rows_of(range(2, 9)),)).fetchall() == [(2,)]
    assert database.execute(sql, (rows_of([]),)).fetchall() == []


def test_values_are_joined_as_dicom_joins_them(database: apsw.Connection) -> None:
    sql = f"SELECT {dialect.JOINED} FROM (SELECT 'a,b' AS text UNION ALL SELECT NULL UNION ALL SELECT 'c') v"
    assert database.execute(sql).get == "a,b\\c"
    assert database.execute(f"SELECT {dialect.JOINED} FROM (SELECT NULL AS text) v").get is None
