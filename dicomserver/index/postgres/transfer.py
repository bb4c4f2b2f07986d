"""A PostgreSQL index from which all rows are taken over, and one that is filled so. See dicomserver.index.transfer."""
from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dicomserver.index.engine import Value
from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.postgres import dialect
from dicomserver.index.postgres.address import parameters_of
from dicomserver.index.postgres.connection import PostgresSession, connect, set_up
from dicomserver.index.postgres.engine import WITH_NUMBERS, Postgres, lock_soon
from dicomserver.index.postgres.errors import translating
from dicomserver.index.postgres.schema import (
    SCHEMA,
    STEPS,
    UNFINISHED,
    index_trigrams,
    is_unfinished,
    migrate,
    remove,
    version_of,
)
from dicomserver.index.transfer import TABLES

_COLUMNS = "SELECT column_name, udt_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
# What is made again when most rows are in: each row would cost it a thousandth of a second. Before it is dropped.
_SET_ASIDE = f"""
CREATE TABLE {UNFINISHED} (is_reference BOOLEAN, on_table TEXT, name TEXT, definition TEXT);
INSERT INTO {UNFINISHED} SELECT true, r.relname, c.conname,
        format('ALTER TABLE %I ADD CONSTRAINT %I %s', r.relname, c.conname, pg_get_constraintdef(c.oid))
    FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
    WHERE c.connamespace = current_schema::regnamespace AND c.contype = 'f';
INSERT INTO {UNFINISHED} SELECT false, r.relname, i.relname, pg_get_indexdef(x.indexrelid)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class r ON r.oid = x.indrelid
    WHERE i.relnamespace = current_schema::regnamespace
        AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = x.indexrelid);
"""
_TRIGGERED = """SELECT DISTINCT r.relname FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid
    WHERE r.relnamespace = current_schema::regnamespace AND NOT t.tgisinternal"""


class PostgresSource:
    """See transfer.Source."""

    dialect = dialect

    def __init__(self, url: str) -> None:
        """Raises UnknownEngine, IndexFault."""
        self._connection = connect(parameters_of(url), SCHEMA)
        try:
            set_up(self._connection, SCHEMA, read_only=True)
            with translating(self._connection):
                if version_of(self._connection, SCHEMA) != len(STEPS):
                    raise IndexUnavailable("the index is not of this version: start the server of this version on it")
            self.session = PostgresSession(self._connection)
            self.identity, _origin = self.session.one(Postgres.statements.IDENTITY)
        except BaseException:
            self._connection.close()
            raise

    def columns(self, table: str) -> list[str]:
        """See transfer.Source."""
        return [name for name, _type in self.session.rows(_COLUMNS, (SCHEMA, table))]

    def close(self) -> None:
        """See transfer.Source."""
        self._connection.close()


class PostgresTarget:
    """See transfer.Target."""

    dialect = dialect

    def __init__(self, url: str) -> None:
        """Raises UnknownEngine, IndexFault."""
        self._connection = connect(parameters_of(url), SCHEMA)
        try:
            lock_soon(self._connection)
            self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        with translating(self._connection):
            self.is_unfinished = is_unfinished(self._connection, SCHEMA)
            if not self.is_unfinished:
                migrate(self._connection, SCHEMA)
                index_trigrams(self._connection)
        self.session = PostgresSession(self._connection)
        self.identity, self.origin = self.session.one(Postgres.statements.IDENTITY)

    columns = PostgresSource.columns

    def begin(self, origin: str) -> None:
        """See transfer.Target."""
        if self.is_unfinished and version_of(self._connection, SCHEMA) != len(STEPS):
            self.begin_anew(origin)
        if self.is_unfinished:
            return
        identity = uuid.uuid4().hex
        with self.transaction():
            self._connection.execute(_SET_ASIDE)
            for is_reference, table, name, _definition in self._set_aside():
                self.session.run(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"' if is_reference
                                 else f'DROP INDEX "{name}"')
            for table, in self.session.rows(_TRIGGERED):
                self.session.run(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
            self.session.run(Postgres.statements.BEGIN_COPY, (identity, origin))
        self.is_unfinished, self.identity, self.origin = True, identity, origin

    def begin_anew(self, origin: str) -> None:
        """See transfer.Target."""
        with translating(self._connection):
            remove(self._connection, SCHEMA)
        self._open()
        self.begin(origin)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See transfer.Target."""
        with translating(self._connection), self._connection.transaction():
            yield

    def add(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """See transfer.Target."""
        if not rows:
            return
        types = dict(self.session.rows(_COLUMNS, (SCHEMA, table)))
        with translating(self._connection), self._connection.cursor().copy(
                f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types([types[column] for column in columns])
            for row in rows:
                copy.write_row(row)

    def prepare(self) -> None:
        """See transfer.Target."""
        for is_reference, _table, name, definition in self._set_aside():
            if not is_reference:
                with self.transaction():
                    self.session.run(definition)
                    self.session.run(f"DELETE FROM {UNFINISHED} WHERE NOT is_reference AND name = %s", (name,))
        # Until PostgreSQL's own has come by, its planner would know nothing of millions of rows.
        self.session.run(f"VACUUM (ANALYZE) {', '.join(table.name for table in TABLES)}")

    def finish(self) -> None:
        """See transfer.Target."""
        self.prepare()
        with self.transaction():
            self.session.run("SET LOCAL synchronous_commit = on")
            for _is_reference, _table, _name, definition in self._set_aside():
                self.session.run(definition)
            for table, in self.session.rows(_TRIGGERED):
                self.session.run(f'ALTER TABLE "{table}" ENABLE TRIGGER USER')
            for table in WITH_NUMBERS:
                self.session.one(f"SELECT setval(s, coalesce(max(id), 0) + 1, false) FROM {table}, "
                                 "pg_get_serial_sequence(%s, 'id') s GROUP BY s", (table,))
            self.session.run(f"DROP TABLE {UNFINISHED}")
            self.session.run(Postgres.statements.SET_COMPLETE)
        self.is_unfinished = False

    def close(self) -> None:
        """See transfer.Target."""
        self._connection.close()

    def _set_aside(self) -> list[tuple]:
        return self.session.rows(f"SELECT is_reference, on_table, name, definition FROM {UNFINISHED}")
