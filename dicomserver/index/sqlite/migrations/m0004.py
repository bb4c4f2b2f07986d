"""Version 4: which instances name somebody else than their study does, and whether a person has called that right."""
from __future__ import annotations

import apsw

# It takes the place of a mark on the study, which did not say who it was, nor which instances named him.
_TABLE = """
CREATE TABLE other_patients (
    instance INTEGER PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    study INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE,
    patient_id TEXT NOT NULL,    -- whom the instance names, '' where it is silent
    issuer TEXT NOT NULL,
    name TEXT NOT NULL,
    birth_date TEXT NOT NULL,
    accepted INTEGER NOT NULL
) STRICT;
CREATE INDEX other_patients_by_study ON other_patients (study, accepted);
CREATE INDEX other_patients_undecided ON other_patients (study) WHERE accepted = 0;

-- Of those marked before, the first instance stands for whichever it was: a rebuilt index knows better.
INSERT INTO other_patients
    SELECT min(i.id), t.id, '', '', '', '', 0
    FROM studies t JOIN series s ON s.study = t.id JOIN instances i ON i.series = s.id
    WHERE t.patient_differs GROUP BY t.id;
ALTER TABLE studies DROP COLUMN patient_differs;
"""


def upgrade(connection: apsw.Connection) -> None:
    """In an open transaction."""
    connection.execute(_TABLE)
