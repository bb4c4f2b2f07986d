"""The schema's version: each migration is committed together with its number, a newer schema is refused.

A step is never changed once it was released. One that adds a searchable column fills it from the packed
attributes in the same table: the archive's files need not be read again.
"""
from __future__ import annotations

from types import ModuleType

import apsw

from dicomserver.index.errors import IndexDamaged, IndexTooNew, IndexUnfinished
from dicomserver.index.sqlite.migrations import m0001, m0002, m0003, m0004, m0005, m0006, m0007, m0008

STEPS: tuple[ModuleType, ...] = (m0001, m0002, m0003, m0004, m0005, m0006, m0007, m0008)
APPLICATION_ID = 0x44434D53  # "DCMS", in the header of every index file of ours
UNFINISHED = "unfinished"   # the table of an index to which another one is being copied


def migrate(connection: apsw.Connection, steps: tuple[ModuleType, ...] = STEPS) -> None:
    """Runs the steps that are missing. Raises IndexTooNew, IndexUnfinished, IndexDamaged (no index of ours) or
    apsw.Error."""
    if is_unfinished(connection):
        raise IndexUnfinished
    version = connection.pragma("user_version")
    if version > len(steps):
        raise IndexTooNew(f"the index has schema version {version}, this program knows up to {len(steps)}")
    if version == 0:
        if connection.execute("SELECT count(*) FROM sqlite_schema").get:
            raise IndexDamaged("the file is a database, but not an index of ours")
    elif connection.pragma("application_id") != APPLICATION_ID:
        raise IndexDamaged("the file is a database, but not an index of ours")
    for number, step in enumerate(steps[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            step.upgrade(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def is_unfinished(connection: apsw.Connection) -> bool:
    """Whether another index is being copied to this one, see transfer.py. Raises apsw.Error."""
    return connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = ?", (UNFINISHED,)).get > 0
