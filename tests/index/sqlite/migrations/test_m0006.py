"""An index of version 5 whose texts were decoded and folded as they were then."""
from __future__ import annotations

from pathlib import Path

import apsw

from dicomserver.index.sqlite.migrations import m0001, m0002, m0003, m0004, m0005, m0006
from dicomserver.index.sqlite.schema import migrate
from tests.index.samples import ISSUER, PATIENT_ID, PATIENT_NAME, STUDY_DESCRIPTION, make
from tests.index.sqlite.migrations.version_1 import make_version_1

VERSION_5 = (m0001, m0002, m0003, m0004, m0005)
PHYSICIAN = 0x00080090


def upgraded(path: Path) -> apsw.Connection:
    """Of two studies: a name in UTF-8 that says it is Latin-1, and one in kana; all that was worked out is stale."""
    names = {"1.1": ("Ελένη".encode(), b"ISO_IR 100"), "1.2": ("==やまだ".encode(), b"ISO_IR 192")}
    make_version_1(path, [
        make(1, study=study, slot=number, character_set=declared, of_study={STUDY_DESCRIPTION: name, PHYSICIAN: name},
             patient={PATIENT_NAME: name, PATIENT_ID: b"P%d" % number, ISSUER: b"here"})
        for number, (study, (name, declared)) in enumerate(names.items(), start=1)])
    connection = apsw.Connection(str(path))
    migrate(connection, VERSION_5)
    connection.execute("""UPDATE patients SET name = 'stale', name_folded = 'stale';
        UPDATE studies SET patient_name = 'stale', patient_name_folded = 'stale', description = 'stale',
            patient_id = 'Pold' WHERE uid = '1.1'""")
    migrate(connection, (*VERSION_5, m0006))
    return connection


def test_every_text_is_read_anew_and_identities_stay(tmp_path: Path) -> None:
    connection = upgraded(tmp_path / "index.db")
    assert connection.execute("SELECT patient_id, name, name_folded, name_phonetic, name_latin, name_sounds"
                              " FROM patients ORDER BY id").fetchall() == [
        ("P1", "Ελένη", "ελενη", None, "eleni", "ALN"), ("P2", "==やまだ", None, "ヤマダ", "yamada", "AMT")]
    assert connection.execute("SELECT patient_id, patient_name, patient_name_latin, patient_name_sounds, description,"
                              " referring_physician_latin, referring_physician_sounds FROM studies"
                              " ORDER BY uid").fetchall() == [
        ("Pold", "Ελένη", "eleni", "ALN", "Ελένη", "eleni", "ALN"),
        ("P2", "==やまだ", "yamada", "AMT", "==やまだ", "yamada", "AMT")]
    connection.close()


def test_what_is_searched_is_in_step_with_the_rows(tmp_path: Path) -> None:
    connection = upgraded(tmp_path / "index.db")

    def found(table: str, words: str) -> list[int]:
        return [row for row, in connection.execute(f"SELECT rowid FROM {table} WHERE {table} MATCH ?", (words,))]
    first, second = (row for row, in connection.execute("SELECT id FROM studies ORDER BY uid"))
    assert found("study_texts", "patient_name : ele") == found("study_texts", "description : λέν") == [first]
    assert found("study_texts", "patient_name : ヤマダ AND yam") == [second]
    assert found("study_texts", "sta OR tal") == []
    assert found("studies_sounds", "patient_name : (ALN OR X)") == [first]
    assert found("studies_sounds", "referring_physician : AMT") == [second]
    assert len(found("patients_sounds", "name : ALN")) == 1
    connection.execute("DELETE FROM instances")
    assert found("studies_sounds", "ALN OR AMT") == found("patients_sounds", "ALN OR AMT") == []
    assert found("study_texts", "ele OR yam") == []
    connection.close()
