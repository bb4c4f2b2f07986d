"""Version 6, for names: their form in Latin letters and what they sound like; all text decoded and folded anew."""
from __future__ import annotations

from collections.abc import Callable, Iterable

import apsw

from dicomserver.index.searchable import patient_of, series_of, study_of

_COLUMNS = """
ALTER TABLE patients ADD COLUMN name_latin TEXT;     -- see index/transcription.py
ALTER TABLE patients ADD COLUMN name_sounds TEXT;    -- see index/sounds.py
ALTER TABLE studies ADD COLUMN patient_name_latin TEXT;
ALTER TABLE studies ADD COLUMN patient_name_sounds TEXT;
ALTER TABLE studies ADD COLUMN referring_physician_latin TEXT;
ALTER TABLE studies ADD COLUMN referring_physician_sounds TEXT;
"""

# Only few names have another form in Latin letters.
_INDEXES = """
CREATE INDEX patients_by_latin_name ON patients (name_latin) WHERE name_latin IS NOT NULL;
CREATE INDEX studies_by_latin_name ON studies (patient_name_latin) WHERE patient_name_latin IS NOT NULL;
CREATE INDEX studies_by_latin_physician ON studies (referring_physician_latin)
    WHERE referring_physician_latin IS NOT NULL;
"""

# A row's words are codes; it has no copy of them and the id of its patient or study.
_SOUNDS = """
CREATE VIRTUAL TABLE patients_sounds USING fts5(
    name, content='', contentless_delete=1, detail=column, tokenize='ascii');
INSERT INTO patients_sounds (rowid, name) SELECT id, name_sounds FROM patients;
CREATE TRIGGER patient_sounds_added AFTER INSERT ON patients BEGIN
    INSERT INTO patients_sounds (rowid, name) VALUES (NEW.id, NEW.name_sounds);
END;
CREATE TRIGGER patient_sounds_removed AFTER DELETE ON patients BEGIN
    DELETE FROM patients_sounds WHERE rowid = OLD.id;
END;

CREATE VIRTUAL TABLE studies_sounds USING fts5(
    patient_name, referring_physician, content='', contentless_delete=1, detail=column, tokenize='ascii');
INSERT INTO studies_sounds (rowid, patient_name, referring_physician)
    SELECT id, patient_name_sounds, referring_physician_sounds FROM studies;
CREATE TRIGGER study_sounds_added AFTER INSERT ON studies BEGIN
    INSERT INTO studies_sounds (rowid, patient_name, referring_physician)
        VALUES (NEW.id, NEW.patient_name_sounds, NEW.referring_physician_sounds);
END;
CREATE TRIGGER study_sounds_removed AFTER DELETE ON studies BEGIN
    DELETE FROM studies_sounds WHERE rowid = OLD.id;
END;
"""

_TEXTS = """
INSERT INTO study_texts (study_texts) VALUES ('delete-all');
INSERT INTO study_texts (rowid, patient_name, patient_id, referring_physician, description, accession_number)
    SELECT id, concat_ws('=', patient_name_folded, patient_name_ideographic, patient_name_phonetic,
        patient_name_latin), patient_id, concat_ws('=', referring_physician_folded, referring_physician_ideographic,
        referring_physician_phonetic, referring_physician_latin), description, accession_number FROM studies;
DROP TRIGGER study_text_added;
CREATE TRIGGER study_text_added AFTER INSERT ON studies BEGIN
    INSERT INTO study_texts (rowid, patient_name, patient_id, referring_physician, description, accession_number)
        VALUES (NEW.id, concat_ws('=', NEW.patient_name_folded, NEW.patient_name_ideographic,
            NEW.patient_name_phonetic, NEW.patient_name_latin), NEW.patient_id, concat_ws('=',
            NEW.referring_physician_folded, NEW.referring_physician_ideographic, NEW.referring_physician_phonetic,
            NEW.referring_physician_latin), NEW.description, NEW.accession_number);
END;
"""


def upgrade(connection: apsw.Connection) -> None:
    """In an open transaction. A patient's identity stays as it is."""
    connection.execute(_COLUMNS)
    _fill(connection, "patients", "attributes, character_set",
          lambda attributes, character_set: _of_patient(attributes, character_set, ""))
    _fill(connection, "studies",
          "attributes, character_set, coalesce(patient_attributes, (SELECT p.attributes FROM patients p"
          " WHERE p.id = patient))", lambda attributes, character_set, patient: (
              _of_study(attributes, character_set) | _of_patient(patient, character_set, "patient_")))
    _fill(connection, "series", "attributes, character_set", _of_series)
    for script in (_INDEXES, _SOUNDS, _TEXTS):
        connection.execute(script)


def _fill(connection: apsw.Connection, table: str, raw: str, columns_of: Callable[..., dict[str, object]]) -> None:
    for row, *packed in _rows(connection, f"SELECT id, {raw} FROM {table} WHERE id > ? ORDER BY id LIMIT 1000"):
        columns = columns_of(*packed)
        connection.execute(f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in columns)} WHERE id = ?",
                           (*columns.values(), row))


def _rows(connection: apsw.Connection, sql: str) -> Iterable[tuple]:
    last = 0
    while page := connection.execute(sql, (last,)).fetchall():
        yield from page
        last = page[-1][0]


def _of_patient(attributes: bytes, character_set: bytes, prefix: str) -> dict[str, object]:
    patient = patient_of(attributes, character_set)._asdict()
    return {prefix + name: value for name, value in patient.items() if name not in ("patient_id", "issuer")}


def _of_study(attributes: bytes, character_set: bytes) -> dict[str, object]:
    return study_of(attributes, character_set)._asdict()


def _of_series(attributes: bytes, character_set: bytes) -> dict[str, object]:
    return series_of(attributes, character_set)._asdict()
