from __future__ import annotations

import pytest

from dicomserver.index.search.conditions import Fragment, fragment_of
from dicomserver.index.search.criteria import Criterion, Like, Within
from dicomserver.index.search.keys import criterion_of
from dicomserver.index.search.query import Condition, ItemCondition, Moment
from dicomserver.index.search.times import Span, date_time_span
from dicomserver.index.sqlite import dialect
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import query_attributes

NAME, ID, SEX, COMMENTS = 0x00100010, 0x00100020, 0x00100040, 0x00104000
STUDY_DATE, DESCRIPTION = 0x00080020, 0x00081030
MODALITIES, CLASSES, SERIES, SYNTAX = 0x00080061, 0x00080062, 0x00201206, 0x00083002


def condition(tag: int, value: bytes) -> Condition:
    attribute = query_attributes()[0, tag]
    criterion = criterion_of(attribute.vr, value, b"")
    assert criterion is not None
    return Condition(attribute, criterion)


def fragment(tag: int, value: bytes, level: Level = Level.STUDY) -> Fragment | None:
    return fragment_of(condition(tag, value), level, dialect)


@pytest.mark.parametrize("tag, value, level, sql, values", [
    (ID, b"A", Level.STUDY, "t.patient_id = ?", ("A",)), (ID, b"A", Level.PATIENT, "p.patient_id = ?", ("A",)),
    (ID, b'""', Level.PATIENT, "p.patient_id IS NULL", ()), (NAME, b'""', Level.SERIES, "t.patient_name IS NULL", ()),
    (STUDY_DATE, b"20240101-", Level.INSTANCE, "(t.study_date >= ?)", ("20240101",)),
    (STUDY_DATE, b"20240101", Level.STUDY, "(t.study_date >= ? AND t.study_date <= ?)", ("20240101", "20240101")),
    (SEX, b"M\\F*", Level.STUDY, "((t.patient_sex = ?) OR ((t.patient_sex >= ? AND t.patient_sex < ?)))",
     ("M", "F", "F\U0010ffff")),
    (SERIES, b"2", Level.STUDY, "t.series = ?", (2,)), (SERIES, b"2.5", Level.STUDY, "0 = 1", ()),
    (SERIES, b"4294967296", Level.STUDY, "0 = 1", ()), (SERIES, b'""', Level.STUDY, "t.series IS NULL", ()),
    (SYNTAX, b"1.2", Level.INSTANCE, "i.transfer_syntax IN (SELECT l.id FROM labels l WHERE l.text = ?)", ("1.2",)),
    (MODALITIES, b"CT", Level.SERIES, "EXISTS (SELECT 1 FROM series x WHERE x.study = t.id AND x.modality = ?)",
    ("CT",)),
    (MODALITIES, b'""', Level.STUDY,
     "NOT EXISTS (SELECT 1 FROM series x WHERE x.study = t.id AND x.modality IS NOT NULL)", ()),
])
def test_sql(tag: int, value: bytes, level: Level, sql: str, values: tuple) -> None:
    found = fragment(tag, value, level)
    assert (found.sql, found.values) == (sql, values)
    assert found.table == {SYNTAX: "i"}.get(tag, "p" if level is Level.PATIENT else "t")


@pytest.mark.parametrize("tag, value, searched", [
    (DESCRIPTION, b"*knee*", True), (DESCRIPTION, b"?knee", True), (DESCRIPTION, b"*kn*", False),
    (DESCRIPTION, b"knee*", True), (DESCRIPTION, b"kn*", False),
    (ID, b"123*", False), (ID, b"*123", True), (NAME, b"*john*", True), (NAME, b"john*", False),
    (NAME, b"=*john", True), (NAME, b"=jo*hn", False),
    (SEX, b"*abc", False)])
def test_text_in_the_middle_is_looked_up_where_there_are_trigrams(tag: int, value: bytes, searched: bool) -> None:
    """Where there is an index of its own, a beginning is looked up in that."""
    assert ("study_texts" in fragment(tag, value).sql) is searched


def test_sounds_are_looked_up_beside_the_forms() -> None:
    criterion = criterion_of("PN", b"Smith^J*", b"", fuzzy=True)
    found = fragment_of(Condition(query_attributes()[0, NAME], criterion), Level.STUDY, dialect)
    assert found.sql.lstrip("(").startswith("t.patient_name_folded >= ? AND t.patient_name_folded < ?) OR (")
    assert found.sql.endswith(" OR (t.id IN (SELECT rowid FROM studies_sounds WHERE studies_sounds MATCH ?)))")
    assert found.values[-1] == 'patient_name : (("SM0" OR "XMT") AND ("A" OR "J"))'
    assert found.sql.count("?") == len(found.values)
    patient = fragment_of(Condition(query_attributes()[0, NAME], criterion), Level.PATIENT, dialect)
    assert "FROM patients_sounds WHERE" in patient.sql and patient.table == "p"


@pytest.mark.parametrize("tag, value, sql", [
    (ID, b"A*", "(+t.patient_id >= ? AND +t.patient_id < ?)"), (STUDY_DATE, b"20240101-", "(+t.study_date >= ?)"),
    (DESCRIPTION, b"*knee*", "(+t.description IS NOT NULL AND +t.description GLOB ?)"),
    (NAME, b"=jo*", "(+t.patient_name_ideographic >= ? AND +t.patient_name_ideographic < ?)"),
    (NAME, b"doe", "(((+t.patient_name_folded = ?) OR (+t.patient_name_latin = ?)) OR"
                   " ((+t.patient_name_ideographic = ?) OR (+t.patient_name_phonetic = ?)))"),
    (MODALITIES, b"CT", "EXISTS (SELECT 1 FROM series x WHERE x.study = t.id AND x.modality = ?)")])
def test_what_only_sorts_out_looks_into_no_index(tag: int, value: bytes, sql: str) -> None:
    assert fragment_of(condition(tag, value), Level.STUDY, dialect, dialect.ASIDE).sql == sql


@pytest.mark.parametrize("value", [b"*john*", b"*jo*", b"john*"])
def test_what_only_sorts_out_names_compares_them(value: bytes) -> None:
    assert "SELECT" not in fragment_of(condition(NAME, value), Level.STUDY, dialect, dialect.ASIDE).sql


def test_no_value_of_a_peer_stands_in_sql() -> None:
    for tag, value in ((NAME, b"'||x*=y\\*z'"), (ID, b"*'x'"), (DESCRIPTION, b"*\"'xyz"), (CLASSES, b"1'"),
                       (MODALITIES, b"'*")):
        found = fragment(tag, value)
        assert "'" not in found.sql and found.sql.count("?") == len(found.values)


def test_what_no_column_answers() -> None:
    assert fragment(COMMENTS, b"x") is None
    assert fragment_of(ItemCondition((condition(COMMENTS, b"x"),)), Level.STUDY, dialect) is None
    date, time = query_attributes()[0, 0x00080021], query_attributes()[0, 0x00080031]
    moment = Moment(date, time, Within(Span("2024", "2024"), None, date_time_span))
    assert fragment_of(moment, Level.SERIES, dialect) is None


@pytest.mark.parametrize("tag, criterion", [
    (STUDY_DATE, Like("2*")), (0x00200011, Like("1*")), (SERIES, Like("1*")), (NAME, Like("d*")),
    (ID, Within(None, None, date_time_span)), (MODALITIES, Within(None, None, date_time_span))])
def test_a_criterion_of_another_kind_is_left_to_the_values(tag: int, criterion: Criterion) -> None:
    assert fragment_of(Condition(query_attributes()[0, tag], criterion), Level.SERIES, dialect) is None


def test_a_study_date_with_its_time() -> None:
    """The date alone too, as that one has an index."""
    date, time = query_attributes()[0, STUDY_DATE], query_attributes()[0, 0x00080030]
    low, high = Span(*["20240101100000.000000"] * 2), Span(*["20240102120060.999999"] * 2)
    both = fragment_of(Moment(date, time, Within(low, high, date_time_span)), Level.STUDY, dialect)
    assert both.sql.startswith("(t.study_date >= ? AND ")
    assert both.values == ("20240101", low.low, "20240102", high.high)
    after = fragment_of(Moment(date, time, Within(low, None, date_time_span)), Level.STUDY, dialect)
    assert after.values == ("20240101", low.low) and both.table == after.table == "t"
