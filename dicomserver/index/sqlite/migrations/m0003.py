"""Version 3: what is known of the stored files' integrity, how far the scrub has come, what came on which day."""
from __future__ import annotations

import apsw

# A file is read months after it came: its digest has no place in the row that each query reads.
SCHEMA = """
CREATE TABLE integrity (
    instance INTEGER PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    read_at INTEGER NOT NULL,    -- microseconds since the epoch, UTC
    sha256 BLOB,                 -- of the whole file, when it was found whole for the first time
    fault TEXT                   -- NULL: it was whole; else what is wrong, without UIDs
) STRICT;
CREATE INDEX integrity_by_fault ON integrity (instance) WHERE fault IS NOT NULL;

CREATE TABLE scrub (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    began_at INTEGER NOT NULL,   -- the pass, microseconds since the epoch, UTC
    position INTEGER NOT NULL,   -- all instances with an id up to this were read
    ended INTEGER NOT NULL       -- 1: the pass is complete
) STRICT;
INSERT INTO scrub VALUES (1, 0, 0, 1);

CREATE TABLE arrivals (
    day INTEGER PRIMARY KEY,     -- days since the epoch, UTC
    octets INTEGER NOT NULL      -- of the files that came on it, deleted ones too
) STRICT;
INSERT INTO arrivals SELECT received_at / 86400000000, sum(file_length) FROM instances GROUP BY 1;
"""


def upgrade(connection: apsw.Connection) -> None:
    """In an open transaction."""
    connection.execute(SCHEMA)
