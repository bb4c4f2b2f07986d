"""One SQLite connection: opened, set up, and everything that was set read back."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import apsw

from dicomserver.index.engine import Value
from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.sqlite.errors import translated

NORMAL, FULL = 1, 2  # values of PRAGMA synchronous
PAGE_SIZE = 4096
LOG_LIMIT = 64 << 20  # bytes that the write-ahead log keeps on the disk when it restarts
MEMORY = ":memory:"
STEPS_UNWATCHED = 100_000  # of SQLite's machine, a millisecond or so

# Every connection; a wrong value here is a promise broken in silence, so each is read back.
COMMON = {
    "temp_store": 2,  # memory
    "trusted_schema": 0,
    "cell_size_check": 1,
    "foreign_keys": 1,
    "busy_timeout": 5000,
}
# Of a connection to a file. Checkpoints are the mover's, never a side effect of somebody's commit. No mmap: a
# failing disk must give an error, not SIGBUS.
OF_FILE = {
    "journal_mode": "wal",
    "wal_autocheckpoint": 0,
    "journal_size_limit": LOG_LIMIT,
    "mmap_size": 0,
}


def connect(path: str, *, synchronous: int = NORMAL, cache_kib: int = 256,
            read_only: bool = False) -> apsw.Connection:
    """A connection to an existing file, or to a private database in memory. Raises IndexFault."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    if path == MEMORY:
        flags |= apsw.SQLITE_OPEN_CREATE
    try:
        connection = apsw.Connection(path, flags=flags, statementcachesize=32)
        try:
            _set_up(connection, path, synchronous, cache_kib, read_only)
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        raise translated(error) from error
    return connection


def _set_up(connection: apsw.Connection, path: str, synchronous: int, cache_kib: int,
            read_only: bool) -> None:
    connection.set_busy_timeout(COMMON["busy_timeout"])  # before the first statement, which may meet a lock
    if path != MEMORY and not read_only:
        connection.pragma("page_size", PAGE_SIZE)  # counts for a new file only, an old one keeps its own
    wanted = COMMON | {"cache_size": -cache_kib, "synchronous": synchronous, "query_only": int(read_only)}
    if path != MEMORY:
        wanted |= OF_FILE
    for name, value in wanted.items():
        connection.pragma(name, value)
    for name, value in wanted.items():
        if connection.pragma(name) != value:
            raise IndexUnavailable(f"SQLite did not take PRAGMA {name} = {value}")


class SqliteSession:
    """See engine.Session. Statements stay prepared in the connection's cache, so most run in one step."""

    __slots__ = ("_changes", "_connection", "_execute")

    def __init__(self, connection: apsw.Connection):
        self._connection = connection
        self._execute = connection.cursor().execute
        self._changes = connection.changes

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """See engine.Session."""
        try:
            self._execute(sql, values)
            return self._changes()
        except apsw.Error as error:
            raise translated(error) from error

    def run_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[int]:
        """See engine.Session."""
        if self._connection.in_transaction:
            return [self.run(sql, row) for row in rows]
        with transaction(self, self._connection):
            return [self.run(sql, row) for row in rows]

    def one(self, sql: str, values: Sequence[Value] = ()) -> tuple | None:
        """See engine.Session."""
        try:
            rows = self._execute(sql, values).fetchall()
        except apsw.Error as error:
            raise translated(error) from error
        return rows[0] if rows else None

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[tuple]:
        """See engine.Session."""
        try:
            return self._execute(sql, values).fetchall()
        except apsw.Error as error:
            raise translated(error) from error

    def stream(self, sql: str, values: Sequence[Value] = ()) -> Iterator[tuple]:
        """See engine.Session."""
        try:
            yield from self._connection.cursor().execute(sql, values)
        except apsw.Error as error:
            raise translated(error) from error

    @contextmanager
    def watched(self, keep_going: Callable[[], bool]) -> Iterator[None]:
        """See engine.Session."""
        self._connection.set_progress_handler(lambda: not keep_going(), STEPS_UNWATCHED)
        try:
            yield
        finally:
            self._connection.set_progress_handler(None)


@contextmanager
def transaction(session: SqliteSession, connection: apsw.Connection) -> Iterator[SqliteSession]:
    """One transaction of the session, which is the connection's; rolled back if the block raises."""
    session.run("BEGIN IMMEDIATE")
    try:
        yield session
        session.run("COMMIT")
    finally:
        # SQLite may have rolled back by itself, as it does when the disk is full.
        if connection.in_transaction:
            session.run("ROLLBACK")
