"""Version 7: studies and patients are found by a date of birth, studies by their Study ID."""
from __future__ import annotations

import apsw

SCHEMA = """
CREATE INDEX patients_by_birth_date ON patients (birth_date);
CREATE INDEX studies_by_birth_date ON studies (patient_birth_date);
CREATE INDEX studies_by_study_id ON studies (study_id);
"""


def upgrade(connection: apsw.Connection) -> None:
    """In an open transaction."""
    connection.execute(SCHEMA)
