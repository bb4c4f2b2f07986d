"""Version 8: every study has its patient's attributes beside its own, so that one row answers for both."""
from __future__ import annotations

import apsw

SCHEMA = """
UPDATE studies SET patient_attributes = (SELECT p.attributes FROM patients p WHERE p.id = studies.patient)
    WHERE patient_attributes IS NULL;
"""


def upgrade(connection: apsw.Connection) -> None:
    """In an open transaction. NULL meant: the same bytes and character set as the patient's own."""
    connection.execute(SCHEMA)
