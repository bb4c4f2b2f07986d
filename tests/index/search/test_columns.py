from __future__ import annotations

import pytest

from dicomserver.index.search.columns import COUNTS, EXISTING, TABLES, Kind, column_of, computed_sql
from dicomserver.index.sqlite import dialect
from dicomserver.index.sqlite.engine import SqliteMemory
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import AVAILABLE_TRANSFER_SYNTAX_UID, COMPUTED, query_attributes

NAMES = ("", "_folded", "_ideographic", "_phonetic")
FROM = ("patients p LEFT JOIN studies t ON t.patient = p.id LEFT JOIN series s ON s.study = t.id"
        " LEFT JOIN instances i ON i.series = s.id")


def columns() -> list[tuple[int, Level]]:
    return [(tag, level) for sequence, tag in sorted(query_attributes()) if not sequence
            for level in Level if column_of(tag, level)]


@pytest.mark.parametrize("tag, level", columns())
def test_a_column_is_there_and_of_a_level_that_is_joined(tag: int, level: Level) -> None:
    column, attribute = column_of(tag, level), query_attributes()[0, tag]
    names = NAMES if column.kind is Kind.NAME else ("",)
    SqliteMemory().writer().rows(f"SELECT {', '.join(column.sql + ending for ending in names)} FROM {FROM}")
    own = attribute.level if level is Level.PATIENT else max(attribute.level, Level.STUDY)
    assert column.table == TABLES[own]
    if column.trigrams:
        SqliteMemory().writer().rows(f"SELECT {column.trigrams} FROM study_texts")


def test_kinds_fit_the_value_representations() -> None:
    fitting = {"DA": {Kind.DATE}, "TM": {Kind.TIME}, "IS": {Kind.INTEGER}, "PN": {Kind.NAME},
               "UI": {Kind.UID, Kind.LABEL}}
    for tag, level in columns():
        assert column_of(tag, level).kind in fitting.get(query_attributes()[0, tag].vr, {Kind.TEXT})


def test_what_has_no_column() -> None:
    assert column_of(0x00104000, Level.STUDY) is None
    assert column_of(0x00080020, Level.PATIENT) is None


@pytest.mark.parametrize("attribute", COMPUTED, ids=lambda attribute: attribute.keyword)
def test_every_computed_attribute_is_one_expression(attribute) -> None:
    sql = computed_sql(attribute.tag, dialect.JOINED)
    assert SqliteMemory().writer().rows(f"SELECT {sql} FROM {FROM}") == []
    assert [*COUNTS, *EXISTING, AVAILABLE_TRANSFER_SYNTAX_UID].count(attribute.tag) == 1
