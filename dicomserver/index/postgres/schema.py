"""The index's own schema in a database: each migration is committed together with its number, a newer one is refused.

All of an index stands in one schema, so that one beside it can be filled and put into its place by a new name.
"""
from __future__ import annotations

from types import ModuleType

import psycopg
from psycopg import sql

from dicomserver.index.errors import IndexDamaged, IndexTooNew, IndexUnavailable, IndexUnfinished
from dicomserver.index.postgres.migrations import m0001

STEPS: tuple[ModuleType, ...] = (m0001,)
SCHEMA = "dicom_server"
NEW_SCHEMA = "dicom_server_new"     # of an index that is being rebuilt
UNFINISHED = "unfinished"           # the table of an index to which another one is being copied

# What is searched as *text*, in the columns that SQLite has in study_texts.
_NAME_FORMS = ("folded", "ideographic", "phonetic", "latin")
_SEARCHED = (*(f"{name}_{form}" for name in ("patient_name", "referring_physician") for form in _NAME_FORMS),
             "patient_id", "description", "accession_number")


def migrate(connection: psycopg.Connection, schema: str, steps: tuple[ModuleType, ...] = STEPS, *,
            is_alone: bool = True) -> None:
    """Runs the steps that are missing, if nobody else uses the index. The search path is the schema. Raises
    IndexTooNew, IndexUnfinished, IndexDamaged (no index of ours), IndexUnavailable (others use it) or psycopg.Error."""
    if is_unfinished(connection, schema):
        raise IndexUnfinished
    version = version_of(connection, schema)
    if version > len(steps):
        raise IndexTooNew(f"the index has schema version {version}, this program knows up to {len(steps)}")
    if version < len(steps) and not is_alone:
        raise IndexUnavailable("nodes of an earlier version use the index: stop them all before the first of this "
                               "version is started")
    for number, step in enumerate(steps[version:], start=version + 1):
        with connection.transaction():
            if number == 1:
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
                connection.execute("CREATE TABLE version (number INTEGER NOT NULL)")
                connection.execute("INSERT INTO version VALUES (0)")
            step.upgrade(connection)
            connection.execute("UPDATE version SET number = %s", (number,))


def version_of(connection: psycopg.Connection, schema: str) -> int:
    """How many steps the index in a schema has behind it; 0: there is none yet. Raises IndexDamaged, psycopg.Error."""
    tables = {name for name, in connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (schema,))}
    if not tables:
        return 0
    if not {"version", "state"} <= tables:
        raise IndexDamaged(f"the database has a schema {schema}, but it is no index of ours")
    return connection.execute("SELECT number FROM version").fetchone()[0]


def is_unfinished(connection: psycopg.Connection, schema: str) -> bool:
    """Whether another index is being copied to this one, see transfer.py. Raises psycopg.Error."""
    return connection.execute("SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
                              (schema, UNFINISHED)).fetchone() is not None


def index_trigrams(connection: psycopg.Connection) -> bool:
    """Makes the index for *text* if it is missing; False where the database has no pg_trgm and does not let us add it.

    Without it the same is found, only slower.
    """
    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public")
    except psycopg.Error:
        if connection.closed:
            raise
    found = connection.execute("SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
                               " WHERE e.extname = 'pg_trgm'").fetchone()
    if found is None:
        return False
    operators = sql.SQL(" {}").format(sql.Identifier(found[0], "gin_trgm_ops"))
    connection.execute(sql.SQL("CREATE INDEX IF NOT EXISTS studies_by_trigrams ON studies USING gin ({})").format(
        sql.SQL(", ").join(sql.Identifier(column) + operators for column in _SEARCHED)))
    return True


def replace(connection: psycopg.Connection, schema: str, new: str) -> None:
    """Puts the schema `new` into the place of `schema`, at one moment and durably; nobody uses either."""
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        remove(connection, schema)
        connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(new), sql.Identifier(schema)))


def remove(connection: psycopg.Connection, schema: str) -> None:
    """Removes a schema with all that is in it, if it is there."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
