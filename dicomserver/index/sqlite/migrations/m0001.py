"""Version 1: patients, studies, series, instances."""
from __future__ import annotations

import apsw

# Ids that the caches hold are never used again (AUTOINCREMENT); instances' ids are held by nobody.
# An instance touches four pages (its row, two indexes, the tally), and each goes to the log: so the count
# that changes with every instance stands in a narrow table and not in the wide rows of series and studies.
SCHEMA = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    marker INTEGER NOT NULL,     -- written for the sake of the sync that follows, see sqlite/engine.py
    complete INTEGER NOT NULL    -- 0: the archive's files are not all in here yet
) STRICT;
INSERT INTO state VALUES (1, 0, 0);

CREATE TABLE labels (            -- what repeats from row to row: SOP classes, transfer syntaxes, AE titles
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE patients (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    studies INTEGER NOT NULL DEFAULT 0,
    patient_id TEXT,             -- NULL: no id, so a patient of its own; NULLs don't collide
    issuer TEXT NOT NULL,
    name TEXT,
    name_folded TEXT,
    birth_date TEXT,             -- YYYYMMDD
    sex TEXT,
    character_set BLOB NOT NULL,
    attributes BLOB NOT NULL,    -- packed, see wire.packed
    UNIQUE (patient_id, issuer)
) STRICT;
CREATE INDEX patients_by_name ON patients (name_folded);

CREATE TABLE studies (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    patient INTEGER NOT NULL REFERENCES patients,
    series INTEGER NOT NULL DEFAULT 0,
    patient_differs INTEGER NOT NULL DEFAULT 0,
    uid TEXT NOT NULL UNIQUE,
    study_date TEXT,             -- YYYYMMDD
    study_time TEXT,             -- HHMMSS.FFFFFF
    accession_number TEXT,
    study_id TEXT,
    referring_physician TEXT,
    referring_physician_folded TEXT,
    description TEXT,
    description_folded TEXT,
    patient_id TEXT,             -- the patient as this study's own objects name him
    patient_issuer TEXT NOT NULL,
    patient_name TEXT,
    patient_name_folded TEXT,
    patient_birth_date TEXT,
    patient_sex TEXT,
    character_set BLOB NOT NULL,
    attributes BLOB NOT NULL,
    patient_attributes BLOB      -- NULL: the same bytes and character set as the patient's own
) STRICT;
CREATE INDEX studies_by_patient ON studies (patient);
CREATE INDEX studies_by_date ON studies (study_date, study_time);
CREATE INDEX studies_by_accession_number ON studies (accession_number);
CREATE INDEX studies_by_patient_name ON studies (patient_name_folded);

CREATE TABLE series (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    study INTEGER NOT NULL REFERENCES studies,
    uid TEXT NOT NULL,
    modality TEXT,
    number INTEGER,
    description TEXT,
    description_folded TEXT,
    body_part TEXT,
    performed_date TEXT,         -- of the performed procedure step, YYYYMMDD
    performed_time TEXT,         -- HHMMSS.FFFFFF
    character_set BLOB NOT NULL,
    attributes BLOB NOT NULL,
    UNIQUE (uid, study)          -- broken devices use a series UID in two studies
) STRICT;
CREATE INDEX series_by_study ON series (study);

CREATE TABLE tallies (           -- how many instances a series has; a study has the sum over its series
    series INTEGER PRIMARY KEY REFERENCES series ON DELETE CASCADE,
    instances INTEGER NOT NULL
) STRICT;

CREATE TABLE instances (
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL REFERENCES series,
    uid TEXT NOT NULL UNIQUE,
    sop_class INTEGER NOT NULL REFERENCES labels,
    transfer_syntax INTEGER NOT NULL REFERENCES labels,
    slot INTEGER NOT NULL,
    file_length INTEGER NOT NULL,
    dataset_offset INTEGER NOT NULL,
    checksum INTEGER NOT NULL,   -- XXH3-64 as a signed number
    received_at INTEGER NOT NULL,-- microseconds since the epoch, UTC
    source_ae INTEGER NOT NULL REFERENCES labels,
    receiving_ae INTEGER NOT NULL REFERENCES labels,
    flags INTEGER NOT NULL,
    number INTEGER,
    character_set BLOB NOT NULL,
    attributes BLOB NOT NULL
) STRICT;
CREATE INDEX instances_by_series ON instances (series);

CREATE TRIGGER instance_added AFTER INSERT ON instances BEGIN
    UPDATE tallies SET instances = instances + 1 WHERE series = NEW.series;
END;
CREATE TRIGGER series_added AFTER INSERT ON series BEGIN
    INSERT INTO tallies VALUES (NEW.id, 0);
    UPDATE studies SET series = series + 1 WHERE id = NEW.study;
END;
CREATE TRIGGER study_added AFTER INSERT ON studies BEGIN
    UPDATE patients SET studies = studies + 1 WHERE id = NEW.patient;
END;

CREATE TRIGGER instance_removed AFTER DELETE ON instances BEGIN
    UPDATE tallies SET instances = instances - 1 WHERE series = OLD.series;
    DELETE FROM series
        WHERE id = OLD.series AND (SELECT instances FROM tallies WHERE series = OLD.series) = 0;
END;
CREATE TRIGGER series_removed AFTER DELETE ON series BEGIN
    UPDATE studies SET series = series - 1 WHERE id = OLD.study;
    DELETE FROM studies WHERE id = OLD.study AND series = 0;
END;
CREATE TRIGGER study_removed AFTER DELETE ON studies BEGIN
    UPDATE patients SET studies = studies - 1 WHERE id = OLD.patient;
    DELETE FROM patients WHERE id = OLD.patient AND studies = 0;
END;
"""


def upgrade(connection: apsw.Connection) -> None:
    """In an open transaction."""
    connection.execute(SCHEMA)
