"""Version 1: what SQLite's index has at its version 8."""
from __future__ import annotations

import psycopg

# Text compares by code points ("C"), as SQLite's does, so that prefixes are ranges of an index. Only series are
# referenced by instances: each reference is a row to be locked with every insert, and labels are never removed.
TABLES = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    marker BIGINT NOT NULL,      -- written for the sake of the sync that follows, see postgres/engine.py
    complete INTEGER NOT NULL,   -- 0: the archive's files are not all in here yet
    identity TEXT COLLATE "C" NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', ''),
    origin TEXT COLLATE "C"      -- the identity of the index from which all was taken over, if so
);
INSERT INTO state VALUES (1, 0, 0);

CREATE TABLE nodes (             -- of several servers, see postgres/membership.py
    number INTEGER PRIMARY KEY,
    token BIGINT NOT NULL        -- of its present life; another one: it was adopted
);

CREATE TABLE labels (            -- what repeats from row to row: SOP classes, transfer syntaxes, AE titles
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE patients (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    studies INTEGER NOT NULL DEFAULT 0,
    patient_id TEXT COLLATE "C", -- NULL: no id, so a patient of its own; NULLs don't collide
    issuer TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C",
    name_folded TEXT COLLATE "C",
    name_ideographic TEXT COLLATE "C",
    name_phonetic TEXT COLLATE "C",
    name_latin TEXT COLLATE "C",    -- see index/transcription.py
    name_sounds TEXT COLLATE "C",   -- see index/sounds.py
    birth_date TEXT COLLATE "C", -- YYYYMMDD
    sex TEXT COLLATE "C",
    character_set BYTEA NOT NULL,
    attributes BYTEA NOT NULL,   -- packed, see wire.packed
    UNIQUE (patient_id, issuer)
);

CREATE TABLE studies (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient BIGINT NOT NULL REFERENCES patients,
    series INTEGER NOT NULL DEFAULT 0,
    uid TEXT COLLATE "C" NOT NULL UNIQUE,
    study_date TEXT COLLATE "C", -- YYYYMMDD
    study_time TEXT COLLATE "C", -- HHMMSS.FFFFFF
    accession_number TEXT COLLATE "C",
    study_id TEXT COLLATE "C",
    referring_physician TEXT COLLATE "C",
    referring_physician_folded TEXT COLLATE "C",
    referring_physician_ideographic TEXT COLLATE "C",
    referring_physician_phonetic TEXT COLLATE "C",
    referring_physician_latin TEXT COLLATE "C",
    referring_physician_sounds TEXT COLLATE "C",
    description TEXT COLLATE "C",
    description_folded TEXT COLLATE "C",
    patient_id TEXT COLLATE "C", -- the patient as this study's own objects name him
    patient_issuer TEXT COLLATE "C" NOT NULL,
    patient_name TEXT COLLATE "C",
    patient_name_folded TEXT COLLATE "C",
    patient_name_ideographic TEXT COLLATE "C",
    patient_name_phonetic TEXT COLLATE "C",
    patient_name_latin TEXT COLLATE "C",
    patient_name_sounds TEXT COLLATE "C",
    patient_birth_date TEXT COLLATE "C",
    patient_sex TEXT COLLATE "C",
    character_set BYTEA NOT NULL,
    attributes BYTEA NOT NULL,
    patient_attributes BYTEA NOT NULL    -- in the same character set
);

CREATE TABLE series (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study BIGINT NOT NULL REFERENCES studies,
    uid TEXT COLLATE "C" NOT NULL,
    modality TEXT COLLATE "C",
    number INTEGER,
    description TEXT COLLATE "C",
    description_folded TEXT COLLATE "C",
    body_part TEXT COLLATE "C",
    performed_date TEXT COLLATE "C",    -- of the performed procedure step, YYYYMMDD
    performed_time TEXT COLLATE "C",    -- HHMMSS.FFFFFF
    character_set BYTEA NOT NULL,
    attributes BYTEA NOT NULL,
    UNIQUE (uid, study)          -- broken devices use a series UID in two studies
);

CREATE TABLE tallies (           -- how many instances of each SOP class a series has
    series BIGINT NOT NULL REFERENCES series ON DELETE CASCADE,
    sop_class BIGINT NOT NULL,
    instances INTEGER NOT NULL,
    PRIMARY KEY (series, sop_class)
) WITH (fillfactor = 50);        -- room for the next version of a row beside it

CREATE TABLE instances (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series BIGINT NOT NULL REFERENCES series,
    uid TEXT COLLATE "C" NOT NULL UNIQUE,
    sop_class BIGINT NOT NULL,   -- a label, and so below
    transfer_syntax BIGINT NOT NULL,
    slot BIGINT NOT NULL,
    file_length BIGINT NOT NULL,
    dataset_offset BIGINT NOT NULL,
    checksum BIGINT NOT NULL,    -- XXH3-64 as a signed number
    received_at BIGINT NOT NULL, -- microseconds since the epoch, UTC
    source_ae BIGINT NOT NULL,
    receiving_ae BIGINT NOT NULL,
    flags INTEGER NOT NULL,
    number INTEGER,
    character_set BYTEA NOT NULL,
    attributes BYTEA NOT NULL
);

CREATE TABLE integrity (
    instance BIGINT PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    read_at BIGINT NOT NULL,     -- microseconds since the epoch, UTC
    sha256 BYTEA,                -- of the whole file, when it was found whole for the first time
    fault TEXT COLLATE "C"       -- NULL: it was whole; else what is wrong, without UIDs
);

CREATE TABLE scrub (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    began_at BIGINT NOT NULL,    -- the pass, microseconds since the epoch, UTC
    position BIGINT NOT NULL,    -- all instances with an id up to this were read
    ended INTEGER NOT NULL       -- 1: the pass is complete
);
INSERT INTO scrub VALUES (1, 0, 0, 1);

CREATE TABLE arrivals (
    day INTEGER PRIMARY KEY,     -- days since the epoch, UTC
    octets BIGINT NOT NULL       -- of the files that came on it, deleted ones too
);

CREATE TABLE other_patients (    -- instances that name somebody else than their study does
    instance BIGINT PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    study BIGINT NOT NULL REFERENCES studies ON DELETE CASCADE,
    patient_id TEXT COLLATE "C" NOT NULL,   -- whom the instance names, '' where it is silent
    issuer TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    birth_date TEXT COLLATE "C" NOT NULL,
    accepted INTEGER NOT NULL
);
"""

# How many values of a column PostgreSQL looks at for each plan. With its usual hundred, a plan for the four forms of a
# name takes longer than the query.
STATISTICS = "\n".join(
    f"ALTER TABLE {table} ALTER COLUMN {name}_{form} SET STATISTICS 30;"
    for table, name in (("patients", "name"), ("studies", "patient_name"), ("studies", "referring_physician"))
    for form in ("folded", "latin", "ideographic", "phonetic"))

INDEXES = """
CREATE INDEX patients_by_name ON patients (name_folded);
CREATE INDEX patients_by_ideographic_name ON patients (name_ideographic) WHERE name_ideographic IS NOT NULL;
CREATE INDEX patients_by_phonetic_name ON patients (name_phonetic) WHERE name_phonetic IS NOT NULL;
CREATE INDEX patients_by_latin_name ON patients (name_latin) WHERE name_latin IS NOT NULL;
CREATE INDEX patients_by_sounds ON patients USING gin (string_to_array(name_sounds, ' '));
CREATE INDEX patients_by_birth_date ON patients (birth_date);
CREATE INDEX studies_by_patient ON studies (patient);
CREATE INDEX studies_by_date ON studies (study_date, study_time);
CREATE INDEX studies_by_accession_number ON studies (accession_number);
CREATE INDEX studies_by_patient_name ON studies (patient_name_folded);
CREATE INDEX studies_by_ideographic_name ON studies (patient_name_ideographic)
    WHERE patient_name_ideographic IS NOT NULL;
CREATE INDEX studies_by_phonetic_name ON studies (patient_name_phonetic) WHERE patient_name_phonetic IS NOT NULL;
CREATE INDEX studies_by_latin_name ON studies (patient_name_latin) WHERE patient_name_latin IS NOT NULL;
CREATE INDEX studies_by_sounds ON studies
    USING gin (string_to_array(patient_name_sounds, ' '), string_to_array(referring_physician_sounds, ' '));
CREATE INDEX studies_by_physician ON studies (referring_physician_folded);
CREATE INDEX studies_by_ideographic_physician ON studies (referring_physician_ideographic)
    WHERE referring_physician_ideographic IS NOT NULL;
CREATE INDEX studies_by_phonetic_physician ON studies (referring_physician_phonetic)
    WHERE referring_physician_phonetic IS NOT NULL;
CREATE INDEX studies_by_latin_physician ON studies (referring_physician_latin)
    WHERE referring_physician_latin IS NOT NULL;
CREATE INDEX studies_by_patient_id ON studies (patient_id);
CREATE INDEX studies_by_birth_date ON studies (patient_birth_date);
CREATE INDEX studies_by_study_id ON studies (study_id);
CREATE INDEX series_by_study ON series (study, modality);
CREATE INDEX instances_by_series ON instances (series);
CREATE INDEX integrity_by_fault ON integrity (instance) WHERE fault IS NOT NULL;
CREATE INDEX other_patients_by_study ON other_patients (study, accepted);
CREATE INDEX other_patients_undecided ON other_patients (study) WHERE accepted = 0;
"""

# Functions find their tables by the search path of whoever changes a row, which is the index's schema alone.
TRIGGERS = """
CREATE FUNCTION instance_added() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO tallies VALUES (NEW.series, NEW.sop_class, 1)
        ON CONFLICT (series, sop_class) DO UPDATE SET instances = tallies.instances + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER instance_added AFTER INSERT ON instances FOR EACH ROW EXECUTE FUNCTION instance_added();

CREATE FUNCTION series_added() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE studies SET series = series + 1 WHERE id = NEW.study;
    RETURN NULL;
END $$;
CREATE TRIGGER series_added AFTER INSERT ON series FOR EACH ROW EXECUTE FUNCTION series_added();

CREATE FUNCTION study_added() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE patients SET studies = studies + 1 WHERE id = NEW.patient;
    RETURN NULL;
END $$;
CREATE TRIGGER study_added AFTER INSERT ON studies FOR EACH ROW EXECUTE FUNCTION study_added();

CREATE FUNCTION instance_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE tallies SET instances = instances - 1 WHERE series = OLD.series AND sop_class = OLD.sop_class;
    DELETE FROM tallies WHERE series = OLD.series AND sop_class = OLD.sop_class AND instances = 0;
    DELETE FROM series WHERE id = OLD.series AND NOT EXISTS (SELECT 1 FROM tallies WHERE series = OLD.series);
    RETURN NULL;
END $$;
CREATE TRIGGER instance_removed AFTER DELETE ON instances FOR EACH ROW EXECUTE FUNCTION instance_removed();

CREATE FUNCTION series_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE studies SET series = series - 1 WHERE id = OLD.study;
    DELETE FROM studies WHERE id = OLD.study AND series = 0;
    RETURN NULL;
END $$;
CREATE TRIGGER series_removed AFTER DELETE ON series FOR EACH ROW EXECUTE FUNCTION series_removed();

CREATE FUNCTION study_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE patients SET studies = studies - 1 WHERE id = OLD.patient;
    DELETE FROM patients WHERE id = OLD.patient AND studies = 0;
    RETURN NULL;
END $$;
CREATE TRIGGER study_removed AFTER DELETE ON studies FOR EACH ROW EXECUTE FUNCTION study_removed();
"""


def upgrade(connection: psycopg.Connection) -> None:
    """In an open transaction, with the index's schema as the search path."""
    for script in (TABLES, STATISTICS, INDEXES, TRIGGERS):
        connection.execute(script)
