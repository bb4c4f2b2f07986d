"""The two SQLite engines: a file that survives power cuts, and memory. See dicomserver.index.engine.

Commits to the file are not waited for: the writer has synchronous=NORMAL, where a commit is written to the
log but not synced. sync() commits a marker on a second connection with synchronous=FULL: its one fdatasync of
the log makes every commit before it durable too.
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.sqlite import dialect
from dicomserver.index.sqlite.connection import FULL, LOG_LIMIT, MEMORY, PAGE_SIZE, SqliteSession, connect, transaction
from dicomserver.index.sqlite.errors import SyncFailed, translated
from dicomserver.index.sqlite.files import create
from dicomserver.index.sqlite.readers import Readers
from dicomserver.index.sqlite.schema import migrate
from dicomserver.index.statements import in_dialect

STATEMENTS = in_dialect(dialect)
WRITER_CACHE_KIB = 16 * 1024  # holds the inner pages of the UIDs' index at five million instances
READER_CACHE_KIB = 2 * 1024
READERS = 4
SEARCHER_CACHE_KIB = 4096  # holds the inner pages of patients and studies at a million; the system has the others
SEARCHERS = 16
WARM_SEARCHERS = 2
CLOSED = "the index is closed"
CHECKPOINT_PAGES = 1000  # below this a checkpoint is not worth its syncs


class SqliteFile:
    """`path` is absolute and its folder exists; the file is made if it is not there. Raises IndexFault."""

    statements = STATEMENTS
    dialect = dialect
    warnings = ()
    may_forget = False
    may_linger = True
    replay = None
    order = None
    nodes = None

    def __init__(self, path: Path):
        self.lock = threading.Lock()
        self._checkpointing = threading.Lock()
        self._out_of_use = ""  # why nothing may be written any more
        self._connections: list[apsw.Connection] = []
        name = str(path)
        create(path)
        try:
            self._writing = self._connect(name, cache_kib=WRITER_CACHE_KIB)
            _migrate(self._writing)
            self._logging = self._connect(name)
            self._keeping = self._connect(name)
            self._writer = SqliteSession(self._writing)
            self._syncer = SqliteSession(self._connect(name, synchronous=FULL))
            self._readers = Readers(
                lambda: connect(name, cache_kib=READER_CACHE_KIB, read_only=True), READERS, READERS)
            self._searchers = Readers(
                lambda: connect(name, cache_kib=SEARCHER_CACHE_KIB, read_only=True), SEARCHERS, WARM_SEARCHERS)
            # A log that a killed process left may be in the page cache alone, whatever later syncs of it say;
            # copying it into the file and syncing that ends the doubt.
            self._copy_log(apsw.SQLITE_CHECKPOINT_TRUNCATE)
            # Writes the new log's header, and makes the names of log and file durable: SQLite syncs the folder
            # with each connection's first sync of the log. Better now than while somebody waits.
            self.sync()
        except BaseException:
            self._disconnect()
            raise

    def writer(self) -> SqliteSession:
        """See engine.Engine."""
        if self._out_of_use:
            raise IndexUnavailable(self._out_of_use)
        return self._writer

    @contextmanager
    def transaction(self) -> Iterator[SqliteSession]:
        """See engine.Engine."""
        with transaction(self.writer(), self._writing) as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[SqliteSession]:
        """See engine.Engine."""
        with self._readers.session() as session:
            yield session

    @contextmanager
    def searching(self) -> Iterator[SqliteSession]:
        """See engine.Engine."""
        with self._searchers.session() as session:
            yield session

    def sync(self) -> None:
        """See engine.Engine."""
        self.writer()
        with self._noticing_failed_syncs():
            self._syncer.run(STATEMENTS.MARK)

    def checkpoint(self) -> None:
        """Copies the log into the file while the writer goes on. Then, if that caught up with the writer or
        the log is past LOG_LIMIT, keeps the writer waiting for the moment that a new log takes."""
        with self._checkpointing, ExitStack() as meanwhile:
            with self.lock:
                self.writer()
                pages, copied = self._copy_log(apsw.SQLITE_CHECKPOINT_NOOP)
                if pages - copied < CHECKPOINT_PAGES and pages * PAGE_SIZE < LOG_LIMIT:
                    return
                meanwhile.enter_context(self._keeping_log())
            self._copy_log(apsw.SQLITE_CHECKPOINT_PASSIVE, beside_writer=True)
            with self.lock:
                meanwhile.close()
                # What the writer has added meanwhile counts: only a log that is all copied can begin anew.
                pages, copied = self._copy_log(apsw.SQLITE_CHECKPOINT_NOOP)
                if copied < pages and pages * PAGE_SIZE >= LOG_LIMIT:
                    pages, copied = self._copy_log(apsw.SQLITE_CHECKPOINT_PASSIVE)
                if copied == pages:
                    self._begin_log()

    def close(self) -> None:
        """Leaves one file without a log. Waits for the writer and the readers of this moment."""
        with self._checkpointing, self.lock:
            if self._out_of_use == CLOSED:
                return
            try:
                if not self._out_of_use:
                    self.sync()  # SQLite copies the log when it closes, but keeps it in silence if it can't
            finally:
                self._out_of_use = CLOSED
                self._readers.close()
                self._searchers.close()
                self._disconnect()

    def _connect(self, name: str, **settings: int) -> apsw.Connection:
        connection = connect(name, **settings)
        self._connections.append(connection)
        return connection

    def _disconnect(self) -> None:
        for connection in reversed(self._connections):
            try:
                connection.close()
            except apsw.Error as error:
                raise translated(error) from error

    @contextmanager
    def _keeping_log(self) -> Iterator[None]:
        """Within, no commit begins the log anew, which would cost it a sync, though all of the log may be copied:
        somebody reads what is in it now."""
        cursor = self._keeping.cursor()
        try:
            cursor.execute("SELECT 1 FROM sqlite_schema")
            yield
        except apsw.Error as error:
            raise translated(error) from error
        finally:
            cursor.close(True)

    def _begin_log(self) -> None:
        """When all of the log is copied the next commit begins it anew and syncs its header, in spite of
        synchronous=NORMAL; that commit shall be this one and not an instance's."""
        with self._noticing_failed_syncs():
            self._writer.run(STATEMENTS.MARK)

    def _copy_log(self, mode: int, *, beside_writer: bool = False) -> tuple[int, int]:
        """Pages in the log, and how many of them are in the file by now."""
        with self._noticing_failed_syncs():
            try:
                return self._logging.wal_checkpoint(mode=mode)
            except apsw.Error as error:
                if beside_writer and isinstance(error, apsw.BusyError):
                    return 0, 0  # it came upon the moment in which a commit changes the log's header
                raise translated(error) from error

    @contextmanager
    def _noticing_failed_syncs(self) -> Iterator[None]:
        try:
            yield
        except SyncFailed:
            self._out_of_use = "a sync of the index failed; it must be opened again"
            raise


class SqliteMemory:
    """A private database in memory: one connection behind one lock; nothing to make durable."""

    statements = STATEMENTS
    dialect = dialect
    warnings = ()
    may_forget = False
    may_linger = False
    replay = None
    order = None
    nodes = None

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._closed = False
        self._connection = connect(MEMORY)
        _migrate(self._connection)
        self._session = SqliteSession(self._connection)

    def writer(self) -> SqliteSession:
        """See engine.Engine."""
        if self._closed:
            raise IndexUnavailable(CLOSED)
        return self._session

    @contextmanager
    def transaction(self) -> Iterator[SqliteSession]:
        """See engine.Engine."""
        with transaction(self.writer(), self._connection) as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[SqliteSession]:
        """See engine.Engine."""
        with self.lock:
            yield self.writer()

    searching = reading

    def sync(self) -> None:
        """Memory is gone with the process, as whoever chose it knows."""
        self.writer()

    def checkpoint(self) -> None:
        """There is no log."""

    def close(self) -> None:
        """All that was in it is gone."""
        with self.lock:
            self._closed = True
            self._connection.close()


def _migrate(connection: apsw.Connection) -> None:
    try:
        migrate(connection)
    except apsw.Error as error:
        raise translated(error) from error
