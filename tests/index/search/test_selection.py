from __future__ import annotations

import pytest

from dicomserver.index import Index
from dicomserver.index.search.keys import criterion_of
from dicomserver.index.search.query import Condition, Query, computed_column, packed_column
from dicomserver.index.search.selection import Selection, select
from dicomserver.index.sqlite import dialect
from dicomserver.index.sqlite.engine import SqliteMemory
from dicomserver.standard.attributes import Level
from dicomserver.standard.query import COMPUTED, query_attributes
from dicomserver.wire.packed import top_level
from tests.index.samples import MODALITY, PATIENT_ID, PATIENT_NAME, make

BY_KEYWORD = {attribute.keyword: attribute for (sequence, _), attribute in query_attributes().items() if not sequence}
MIDDLE = "study_texts VIRTUAL TABLE"


def query(level: Level, *computed: str, **keys: str) -> Query:
    """keys: by keyword."""
    conditions = [Condition(BY_KEYWORD[name], criterion_of(BY_KEYWORD[name].vr, value.encode(), b"ISO_IR 192"))
                  for name, value in keys.items()]
    return Query(level, tuple(conditions), tuple(BY_KEYWORD[name].tag for name in computed))


def selected(level: Level, **keys: str) -> Selection:
    return select(query(level, **keys), dialect)


@pytest.mark.parametrize("level, keys, tables", [
    (Level.PATIENT, {"PatientID": "A"}, "patients p"), (Level.STUDY, {"PatientID": "A"}, "studies t"),
    (Level.INSTANCE, {"SOPInstanceUID": "1"}, "instances i"), (Level.STUDY, {}, "studies t"),
    (Level.STUDY, {"NumberOfPatientRelatedStudies": "1"}, "studies t JOIN patients p ON p.id = t.patient"),
    (Level.SERIES, {"PatientName": "A"}, "series s JOIN studies t ON t.id = s.study"),
    (Level.SERIES, {"ModalitiesInStudy": "CT"}, "series s JOIN studies t ON t.id = s.study"),
    (Level.INSTANCE, {"Modality": "CT"}, "instances i JOIN series s ON s.id = i.series"),
])
def test_only_those_tables_are_joined_that_are_asked(level: Level, keys: dict[str, str], tables: str) -> None:
    assert f" FROM {tables} WHERE " in selected(level, **keys).ids


@pytest.mark.parametrize("level, computed, tables", [
    (Level.PATIENT, "NumberOfPatientRelatedStudies", "patients p"), (Level.STUDY, "ModalitiesInStudy", "studies t"),
    (Level.STUDY, "NumberOfPatientRelatedStudies", "studies t JOIN patients p ON p.id = t.patient"),
    (Level.SERIES, "NumberOfSeriesRelatedInstances", "series s JOIN studies t ON t.id = s.study"),
])
def test_a_study_answers_for_its_patient(level: Level, computed: str, tables: str) -> None:
    selection = select(query(level, computed), dialect)
    assert f" FROM {tables} WHERE " in selection.rows and f" FROM {tables} WHERE " in selection.first


def test_what_no_column_answers_is_left_over() -> None:
    both = selected(Level.STUDY, PatientID="A", PatientComments="x")
    assert both.ids.endswith("WHERE t.patient_id = ?") and both.values == ("A",) and both.meets is not None
    assert selected(Level.STUDY, PatientID="A").meets is None
    nothing = selected(Level.STUDY, PatientComments="x")
    assert nothing.ids.endswith("WHERE 1 = 1") and nothing.values == ()


@pytest.mark.parametrize("level", Level)
def test_a_row_has_every_level_and_then_what_is_computed(index: Index, level: Level) -> None:
    index.add(make(1, character_set=b"ISO_IR 100"))
    index.add(make(2, study="1.2.4", patient={PATIENT_NAME: b"ELSE"}, character_set=b"ISO_IR 144"))
    asked = query(level, "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedInstances")
    [page] = index.search(asked)
    for row in page:
        assert len(row) == 2 * (level + 1) + 2
        assert [row[computed_column(asked, tag)] for tag in asked.computed] == [2, 2]
        assert all(isinstance(row[packed_column(one) + 1], bytes) for one in Level if one <= level)
        if level >= Level.SERIES:
            assert top_level(row[packed_column(Level.SERIES) + 1]) == {MODALITY: b"CT"}
    # The patient as the study's own objects have him, under their character set.
    patients = sorted((row[0], top_level(row[1])[PATIENT_NAME]) for row in page)
    assert patients == [(b"ISO_IR 100", b"DOE^JOHN"), (b"ISO_IR 144", b"ELSE")][:len(patients)]
    assert len(patients) == (1 if level is Level.PATIENT else 2)


def test_computed_values(index: Index) -> None:
    index.add(make(1, series="1.2.3.1", of_series={MODALITY: b"MR"}))
    index.add(make(2, series="1.2.3.1", of_series={MODALITY: b"MR"}, sop_class_uid="1.9"))
    index.add(make(1, series="1.2.3.2", of_series={MODALITY: b"CT,X"}, transfer_syntax_uid="1.8"))
    index.add(make(1, series="1.2.3.3", of_series={PATIENT_ID: b"no modality"}))
    index.add(make(1, study="1.2.4", of_series={MODALITY: b"CT"}))

    def computed(level: Level, *names: str) -> list[tuple]:
        return sorted(row[2 * (level + 1):] for page in index.search(query(level, *names)) for row in page)
    assert computed(Level.STUDY, "ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries",
                    "NumberOfStudyRelatedInstances") == [
        ("CT", "1.2.840.10008.5.1.4.1.1.2", 1, 1), ("CT,X\\MR", "1.2.840.10008.5.1.4.1.1.2\\1.9", 3, 4)]
    assert computed(Level.SERIES, "NumberOfSeriesRelatedInstances", "ModalitiesInStudy") == [
        (1, "CT"), (1, "CT,X\\MR"), (1, "CT,X\\MR"), (2, "CT,X\\MR")]
    assert computed(Level.PATIENT, "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries",
                    "NumberOfPatientRelatedInstances") == [(2, 4, 5)]
    assert computed(Level.INSTANCE, "AvailableTransferSyntaxUID") == [("1.2.840.10008.1.2.1",)] * 4 + [("1.8",)]


@pytest.mark.parametrize("keys, index", [
    ({"PatientID": "P1"}, "studies_by_patient_id"), ({"PatientID": "P*"}, "studies_by_patient_id"),
    ({"PatientID": "*123"}, MIDDLE), ({"AccessionNumber": "A"}, "studies_by_accession_number"),
    ({"AccessionNumber": "A*1"}, "studies_by_accession_number"), ({"AccessionNumber": "*567*"}, MIDDLE),
    ({"StudyInstanceUID": "1.2"}, "sqlite_autoindex_studies_1"),
    ({"StudyInstanceUID": "1.2\\1.3"}, "sqlite_autoindex_studies_1"),
    ({"PatientName": "doe^john"}, "studies_by_patient_name"), ({"PatientName": "doe*"}, "studies_by_patient_name"),
    ({"PatientName": "d?e*"}, "studies_by_patient_name"), ({"PatientName": "doe\\roe*"}, "studies_by_patient_name"),
    ({"PatientName": "=山田*"}, "studies_by_ideographic_name"), ({"PatientName": "*ohn*"}, MIDDLE),
    ({"ReferringPhysicianName": "doe*"}, "studies_by_physician"),
    ({"StudyDescription": "*knee*"}, MIDDLE), ({"StudyDate": "20240229"}, "studies_by_date"),
    ({"StudyDate": "20240101-20240131"}, "studies_by_date"), ({"StudyDate": "20240101-"}, "studies_by_date"),
    ({"StudyDate": "20240101-", "ModalitiesInStudy": "CT"}, "series_by_study"),
    ({"PatientBirthDate": "19500101"}, "studies_by_birth_date"), ({"StudyID": "A"}, "studies_by_study_id"),
    ({"StudyDescription": "knee*"}, MIDDLE),
    # Of several conditions the narrowest one's.
    ({"PatientName": "doe*", "StudyDate": "20150101-"}, "studies_by_patient_name"),
    ({"PatientName": "d*", "StudyDate": "20240101"}, "studies_by_date"),
    ({"PatientName": "*doe*", "StudyDate": "20240101-20240102"}, "studies_by_date"),
    ({"PatientName": "*d*", "PatientID": "P1"}, "studies_by_patient_id"),
    ({"PatientName": "d*", "PatientBirthDate": "19500101"}, "studies_by_birth_date"),
    ({"StudyDate": "20240101", "StudyInstanceUID": "1.2"}, "sqlite_autoindex_studies_1"),
])
def test_a_study_is_found_by_an_index(keys: dict[str, str], index: str) -> None:
    steps = plan(Level.STUDY, **keys)
    assert any(index in step for step in steps)
    assert [step for step in steps if is_scan(step)] == []


@pytest.mark.parametrize("level, name, index", [
    (Level.STUDY, "*oh*", "studies_by_patient_name"), (Level.STUDY, "=*oh*", "studies_by_ideographic_name"),
    (Level.PATIENT, "*doe*", "patients_by_name"), (Level.PATIENT, "?", "patients_by_name")])
def test_what_is_not_looked_up_is_read_in_an_index_alone(level: Level, name: str, index: str) -> None:
    """The wide rows of the table stay where they are."""
    steps = [step for step in plan(level, PatientName=name) if "SCAN" in step or "SEARCH" in step]
    assert index in steps[0] and len(steps) in (1, 4)
    assert all("COVERING INDEX" in step for step in steps)


@pytest.mark.parametrize("keys", [
    {"PatientName": "d*", "StudyDate": "20240101"}, {"PatientName": "*doe*", "PatientID": "P1"},
    {"PatientName": "*d*", "StudyInstanceUID": "1.2"}, {"PatientName": "doe*"}])
def test_nothing_is_gathered_before_the_first_row(keys: dict[str, str]) -> None:
    assert [step for step in plan(Level.STUDY, **keys) if "SUBQUERY" in step or "study_texts" in step] == []


@pytest.mark.parametrize("level, keys, index", [
    (Level.PATIENT, {"PatientID": "P1"}, "sqlite_autoindex_patients_1"),
    (Level.PATIENT, {"PatientName": "doe*"}, "patients_by_name"),
    (Level.PATIENT, {"PatientBirthDate": "19500101"}, "patients_by_birth_date"),
    (Level.SERIES, {"StudyDate": "20240101", "Modality": "CT"}, "studies_by_date"),
    (Level.INSTANCE, {"PatientName": "d*", "StudyDate": "20240101"}, "studies_by_date"),
    (Level.SERIES, {"StudyInstanceUID": "1.2", "PatientID": "P1"}, "series_by_study"),
    (Level.SERIES, {"StudyInstanceUID": "1.2", "Modality": "CT"}, "series_by_study"),
    (Level.SERIES, {"PatientName": "doe*"}, "series_by_study"),
    (Level.INSTANCE, {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.4", "PatientID": "P1"}, "instances_by_series"),
    (Level.INSTANCE, {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.4",
    "SOPInstanceUID": "1"}, "sqlite_autoindex_instances_1"),
])
def test_so_is_what_stands_below(level: Level, keys: dict[str, str], index: str) -> None:
    steps = plan(level, **keys)
    assert any(index in step for step in steps)
    assert [step for step in steps if is_scan(step)] == []


def plan(level: Level, **keys: str) -> list[str]:
    selection = selected(level, **keys)
    return [step[-1] for step in SqliteMemory().writer().rows("EXPLAIN QUERY PLAN " + selection.ids, selection.values)]


def is_scan(step: str) -> bool:
    """Of a table; SQLite calls it one, too, when it takes the rows that a virtual table has looked up."""
    return "SCAN" in step and "VIRTUAL TABLE" not in step


@pytest.mark.parametrize("level", Level)
def test_rows_are_read_by_their_ids(level: Level) -> None:
    computed = [attribute.keyword for attribute in COMPUTED if attribute.level <= level]
    rows = select(query(level, *computed), dialect).rows
    steps = [step[-1] for step in SqliteMemory().writer().rows("EXPLAIN QUERY PLAN " + rows, (dialect.rows_of([1]),))]
    assert [step for step in steps if is_scan(step) and step != "SCAN v"] == []
