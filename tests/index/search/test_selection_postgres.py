"""How PostgreSQL finds what a query asks for. The tables are empty: what is scanned although scans are dear has no
index."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from dicomserver.index.postgres import dialect
from dicomserver.index.postgres.engine import Postgres
from dicomserver.index.search.selection import FIRST_ROWS, select
from dicomserver.standard.attributes import Level
from tests.index.emptied import emptied
from tests.index.search.test_selection import query
from tests.postgres import PostgresServer


@pytest.fixture(scope="module")
def engine(postgres: PostgresServer) -> Iterator[Postgres]:
    opened = Postgres(emptied(postgres))       # anew: where rows were, scans of another index may be cheaper
    yield opened
    opened.close()


@pytest.mark.parametrize("level, keys, index", [
    (Level.STUDY, {"PatientID": "P1"}, "studies_by_patient_id"),
    (Level.STUDY, {"PatientName": "doe*"}, "studies_by_patient_name"),
    (Level.STUDY, {"StudyDescription": "*knee*"}, "studies_by_trigrams"),
    (Level.STUDY, {"StudyDate": "20240101", "ModalitiesInStudy": "CT"}, "studies_by_date"),
    (Level.STUDY, {"PatientBirthDate": "19500101"}, "studies_by_birth_date"),
    (Level.STUDY, {"StudyID": "A"}, "studies_by_study_id"),
    (Level.PATIENT, {"PatientBirthDate": "19500101"}, "patients_by_birth_date"),
    (Level.SERIES, {"StudyInstanceUID": "1.2"}, "series_by_study"),
    (Level.INSTANCE, {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.3"}, "instances_by_series"),
])
def test_the_first_rows_are_found_by_an_index(engine: Postgres, level: Level, keys: dict[str, str],
                                              index: str) -> None:
    found_by(engine, level, keys, index)


def test_the_middle_of_a_name_is_found_by_an_index(engine: Postgres) -> None:
    """In an empty table all names that there are may be as quick; so without their other indexes."""
    session = engine.writer()
    session.run("BEGIN")
    try:
        for name in ("patient", "latin", "ideographic", "phonetic"):
            session.run(f"DROP INDEX studies_by_{name}_name")
        found_by(engine, Level.STUDY, {"PatientName": "*doe*"}, "studies_by_trigrams")
    finally:
        session.run("ROLLBACK")


def found_by(engine: Postgres, level: Level, keys: dict[str, str], index: str) -> None:
    selected = select(query(level, **keys), dialect)
    session = engine.writer()
    session.run("SET enable_seqscan = off")
    plan = [line for line, in session.rows("EXPLAIN " + selected.first, selected.values)]
    assert any(index in line for line in plan)
    assert [line for line in plan if "Seq Scan" in line] == []
    assert any("Limit" in line for line in plan) and f"LIMIT {FIRST_ROWS}" in selected.first


def test_every_group_of_a_name_has_its_index(engine: Postgres) -> None:
    """Joined by OR, each condition looks into its own."""
    selected = select(query(Level.STUDY, PatientName="doe*"), dialect)
    session = engine.writer()
    session.run("SET enable_seqscan = off")
    plan = "\n".join(line for line, in session.rows("EXPLAIN " + selected.ids, selected.values))
    assert "BitmapOr" in plan
    for index in ("studies_by_patient_name", "studies_by_ideographic_name", "studies_by_phonetic_name"):
        assert index in plan
