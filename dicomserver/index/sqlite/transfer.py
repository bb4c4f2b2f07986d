"""An SQLite index from which all rows are taken over, and one that is filled so. See dicomserver.index.transfer."""
from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import apsw

from dicomserver.index.engine import Value
from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.sqlite import dialect, files
from dicomserver.index.sqlite.connection import FULL, NORMAL, PAGE_SIZE, SqliteSession, connect, transaction
from dicomserver.index.sqlite.engine import STATEMENTS
from dicomserver.index.sqlite.errors import translated
from dicomserver.index.sqlite.schema import STEPS, UNFINISHED, is_unfinished, migrate

# The target's connection. Exclusive: nobody else can open the file meanwhile, and one that somebody has is refused.
# References hold again when all rows are there; each of the source's does.
_SETTINGS = {
    "locking_mode": "exclusive", "page_size": PAGE_SIZE, "journal_mode": "wal", "synchronous": NORMAL,
    "foreign_keys": 0,
    "trusted_schema": 0, "temp_store": 2, "cache_size": -65536, "wal_autocheckpoint": 8000,
}
# The triggers that keep the indexes of texts and sounds go on: these have no rows that could be copied.
_OF_FTS5 = ("%study_texts%", "%_sounds%")


class SqliteSource:
    """See transfer.Source."""

    dialect = dialect

    def __init__(self, path: Path) -> None:
        """Raises IndexFault."""
        if not path.exists():
            raise IndexUnavailable(f"there is no index {path}")
        self._connection = connect(str(path), read_only=True)
        try:
            with _translating():
                if self._connection.pragma("user_version") != len(STEPS):
                    raise IndexUnavailable("the index is not of this version: start the server of this version on it")
            self.session = SqliteSession(self._connection)
            self.identity, _origin = self.session.one(STATEMENTS.IDENTITY)
        except BaseException:
            self._connection.close()
            raise

    def columns(self, table: str) -> list[str]:
        """See transfer.Source."""
        return [name for name, in self.session.rows("SELECT name FROM pragma_table_info(?)", (table,))]

    def close(self) -> None:
        """See transfer.Source."""
        self._connection.close()


class SqliteTarget:
    """See transfer.Target."""

    dialect = dialect

    def __init__(self, path: Path) -> None:
        """Raises IndexFault."""
        self._path = path
        self._open()

    def _open(self) -> None:
        files.create(self._path)
        with _translating():
            self._connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)
            try:
                for name, value in _SETTINGS.items():
                    self._connection.pragma(name, value)
                self.is_unfinished = is_unfinished(self._connection)
                if not self.is_unfinished:
                    migrate(self._connection)
                self.session = SqliteSession(self._connection)
                self.identity, self.origin = self.session.one(STATEMENTS.IDENTITY)
            except BaseException as error:
                self._connection.close()
                if isinstance(error, apsw.BusyError):
                    raise IndexUnavailable(f"another process uses {self._path}") from None
                raise

    columns = SqliteSource.columns

    def begin(self, origin: str) -> None:
        """See transfer.Target."""
        if self.is_unfinished and self._connection.pragma("user_version") != len(STEPS):
            self.begin_anew(origin)
        if self.is_unfinished:
            return
        identity = uuid.uuid4().hex
        with self.transaction():
            self.session.run(f"CREATE TABLE {UNFINISHED} AS SELECT name, sql FROM sqlite_schema"
                             " WHERE type = 'trigger' AND sql NOT LIKE ? AND sql NOT LIKE ?", _OF_FTS5)
            for name, _sql in self._waiting():
                self.session.run(f"DROP TRIGGER {name}")
            self.session.run(STATEMENTS.BEGIN_COPY, (identity, origin))
        self.is_unfinished, self.identity, self.origin = True, identity, origin

    def begin_anew(self, origin: str) -> None:
        """See transfer.Target."""
        self.close()
        files.remove(self._path)
        self._open()
        self.begin(origin)

    def transaction(self) -> AbstractContextManager[None]:
        """See transfer.Target."""
        return transaction(self.session, self._connection)

    def add(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """See transfer.Target."""
        with _translating():
            self._connection.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows)

    def prepare(self) -> None:
        """Indexes were kept all the time."""

    def finish(self) -> None:
        """See transfer.Target."""
        with _translating():
            self._connection.pragma("synchronous", FULL)
        with self.transaction():
            for _name, sql in self._waiting():
                self.session.run(sql)
            self.session.run(f"DROP TABLE {UNFINISHED}")
            self.session.run(STATEMENTS.SET_COMPLETE)
        self.is_unfinished = False
        with _translating():
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def close(self) -> None:
        """See transfer.Target."""
        self._connection.close()

    def _waiting(self) -> list[tuple]:
        return self.session.rows(f"SELECT name, sql FROM {UNFINISHED}")


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise translated(error) from error
