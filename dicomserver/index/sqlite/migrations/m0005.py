"""Version 5: which index this is, and of which one it is a copy."""
from __future__ import annotations

import apsw

SCHEMA = """
ALTER TABLE state ADD COLUMN identity TEXT NOT NULL DEFAULT '';     -- 32 hex digits; no two indexes have the same
ALTER TABLE state ADD COLUMN origin TEXT;       -- the identity of the one from which all was taken over, if so
UPDATE state SET identity = lower(hex(randomblob(16)));
"""


def upgrade(connection: apsw.Connection) -> None:
    """In an open transaction."""
    connection.execute(SCHEMA)
