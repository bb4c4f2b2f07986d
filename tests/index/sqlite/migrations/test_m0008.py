from __future__ import annotations

from pathlib import Path

import apsw

from dicomserver.index import open_index
from dicomserver.index.search.query import Query
from dicomserver.index.sqlite.schema import STEPS, migrate
from dicomserver.standard.attributes import Level
from dicomserver.wire.packed import unpack
from tests.index.samples import PATIENT_ID, PATIENT_NAME, make
from tests.index.sqlite.migrations.version_1 import make_version_1

LATIN_1, UTF_8 = b"ISO_IR 100", b"ISO_IR 192"
NAMES = [("Müller".encode("latin_1"), LATIN_1), ("Müller".encode("latin_1"), LATIN_1), ("Müller".encode(), UTF_8)]


def test_a_study_answers_for_its_patient_as_its_own_objects_name_him(tmp_path: Path) -> None:
    """Three studies of one patient; two of them leave him out, in the old index, as the same bytes."""
    path = tmp_path / "index.db"
    make_version_1(path, [
        make(1, study=f"1.{number}", slot=number, character_set=declared,
             patient={PATIENT_NAME: name, PATIENT_ID: b"P1"})
        for number, (name, declared) in enumerate(NAMES, start=1)])
    connection = apsw.Connection(str(path))
    migrate(connection, STEPS[:7])
    sql = "SELECT patient_attributes IS NULL FROM studies ORDER BY id"
    assert connection.execute(sql).fetchall() == [(1,), (1,), (0,)]
    migrate(connection, STEPS)
    assert connection.execute(sql).fetchall() == [(0,), (0,), (0,)]
    connection.close()
    index = open_index(f"sqlite://{path}")
    rows = [row for page in index.search(Query(Level.STUDY)) for row in page]
    index.close()
    named = [(next(one.value for one in unpack(row[1]) if one.tag == PATIENT_NAME), row[0]) for row in rows]
    assert sorted(named) == sorted(NAMES)
