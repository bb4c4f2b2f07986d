"""Version 2, for queries: names by component groups, instances counted by SOP class, text searched in its middle."""
from __future__ import annotations

import apsw

_NAMES = """
ALTER TABLE patients ADD COLUMN name_ideographic TEXT;   -- name_folded is the alphabetic group now
ALTER TABLE patients ADD COLUMN name_phonetic TEXT;
ALTER TABLE studies ADD COLUMN patient_name_ideographic TEXT;
ALTER TABLE studies ADD COLUMN patient_name_phonetic TEXT;
ALTER TABLE studies ADD COLUMN referring_physician_ideographic TEXT;
ALTER TABLE studies ADD COLUMN referring_physician_phonetic TEXT;
"""

# Only few objects have the other two groups, so their indexes cost nothing elsewhere.
_INDEXES = """
CREATE INDEX patients_by_ideographic_name ON patients (name_ideographic) WHERE name_ideographic IS NOT NULL;
CREATE INDEX patients_by_phonetic_name ON patients (name_phonetic) WHERE name_phonetic IS NOT NULL;
CREATE INDEX studies_by_ideographic_name ON studies (patient_name_ideographic)
    WHERE patient_name_ideographic IS NOT NULL;
CREATE INDEX studies_by_phonetic_name ON studies (patient_name_phonetic) WHERE patient_name_phonetic IS NOT NULL;
CREATE INDEX studies_by_physician ON studies (referring_physician_folded);
CREATE INDEX studies_by_ideographic_physician ON studies (referring_physician_ideographic)
    WHERE referring_physician_ideographic IS NOT NULL;
CREATE INDEX studies_by_phonetic_physician ON studies (referring_physician_phonetic)
    WHERE referring_physician_phonetic IS NOT NULL;
CREATE INDEX studies_by_patient_id ON studies (patient_id);
DROP INDEX series_by_study;
CREATE INDEX series_by_study ON series (study, modality);
"""

_TALLIES = """
DROP TRIGGER instance_added;
DROP TRIGGER series_added;
DROP TRIGGER instance_removed;
DROP TABLE tallies;
CREATE TABLE tallies (           -- how many instances of each SOP class a series has
    series INTEGER NOT NULL REFERENCES series ON DELETE CASCADE,
    sop_class INTEGER NOT NULL REFERENCES labels,
    instances INTEGER NOT NULL,
    PRIMARY KEY (series, sop_class)
) STRICT, WITHOUT ROWID;
INSERT INTO tallies SELECT series, sop_class, count(*) FROM instances GROUP BY series, sop_class;

CREATE TRIGGER instance_added AFTER INSERT ON instances BEGIN
    INSERT INTO tallies VALUES (NEW.series, NEW.sop_class, 1) ON CONFLICT DO UPDATE SET instances = instances + 1;
END;
CREATE TRIGGER series_added AFTER INSERT ON series BEGIN
    UPDATE studies SET series = series + 1 WHERE id = NEW.study;
END;
CREATE TRIGGER instance_removed AFTER DELETE ON instances BEGIN
    UPDATE tallies SET instances = instances - 1 WHERE series = OLD.series AND sop_class = OLD.sop_class;
    DELETE FROM tallies WHERE series = OLD.series AND sop_class = OLD.sop_class AND instances = 0;
    DELETE FROM series WHERE id = OLD.series AND NOT EXISTS (SELECT 1 FROM tallies WHERE series = OLD.series);
END;
"""

# What is searched as *text*. Without its own copy of the text; a row of it is the study of that id.
_TEXTS = """
CREATE VIRTUAL TABLE study_texts USING fts5(
    patient_name, patient_id, referring_physician, description, accession_number,
    content='', contentless_delete=1, detail=column, tokenize='trigram case_sensitive 1');
INSERT INTO study_texts (rowid, patient_name, patient_id, referring_physician, description, accession_number)
    SELECT id, concat_ws('=', patient_name_folded, patient_name_ideographic, patient_name_phonetic), patient_id,
        concat_ws('=', referring_physician_folded, referring_physician_ideographic, referring_physician_phonetic),
        description, accession_number FROM studies;
CREATE TRIGGER study_text_added AFTER INSERT ON studies BEGIN
    INSERT INTO study_texts (rowid, patient_name, patient_id, referring_physician, description, accession_number)
        VALUES (NEW.id, concat_ws('=', NEW.patient_name_folded, NEW.patient_name_ideographic,
            NEW.patient_name_phonetic), NEW.patient_id, concat_ws('=', NEW.referring_physician_folded,
            NEW.referring_physician_ideographic, NEW.referring_physician_phonetic), NEW.description,
            NEW.accession_number);
END;
CREATE TRIGGER study_text_removed AFTER DELETE ON studies BEGIN
    DELETE FROM study_texts WHERE rowid = OLD.id;
END;
"""


def upgrade(connection: apsw.Connection) -> None:
    """In an open transaction. m0006 fills the columns."""
    for script in (_NAMES, _INDEXES, _TALLIES, _TEXTS):
        connection.execute(script)
