"""A consistent copy of an SQLite index that is in use, and such a copy as an engine that can only be read."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import apsw

from dicomserver.index.errors import IndexDamaged, IndexUnavailable
from dicomserver.index.sqlite import dialect
from dicomserver.index.sqlite.connection import SqliteSession, connect
from dicomserver.index.sqlite.errors import translated
from dicomserver.index.sqlite.files import create
from dicomserver.index.statements import in_dialect

STATEMENTS = in_dialect(dialect)
PAGES_AT_ONCE = 256
_NO_LOCKS = "unix-none"     # a share may have none, and nobody else knows of the copy


def copy(path: Path, target: Path, progress: Callable[[], None]) -> None:
    """Copies what is committed at this moment into a new file, page by page, while others write; memory stays flat.

    Another process may have the index open. The log grows meanwhile, for what is copied belongs to one moment, and
    nobody can open the index anew. progress: called after each megabyte. The copy is complete when this returns, but
    not durable. Raises IndexFault and what `progress` raises; then what is left of the copy is none.
    """
    source = connect(str(path), read_only=True)
    try:
        # An open transaction keeps the moment: without it each commit would have the copy begin anew.
        source.execute("BEGIN")
        source.execute(STATEMENTS.IS_COMPLETE).fetchall()
        create(target)
        made = apsw.Connection(str(target), vfs=_NO_LOCKS)
        try:
            made.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
            with made.backup("main", source, "main") as pages:
                while not pages.done:
                    pages.step(PAGES_AT_ONCE)
                    progress()
        finally:
            made.close()
    except apsw.Error as error:
        raise translated(error) from error
    finally:
        source.close()


class SqliteCopy:
    """A copy that nobody changes, wherever it lies: read without locks, log and shared memory. See engine.Engine."""

    statements = STATEMENTS
    dialect = dialect
    warnings = ()
    may_forget = False
    may_linger = False
    replay = None
    order = None
    nodes = None

    def __init__(self, path: Path) -> None:
        """Raises IndexFault; IndexDamaged too where SQLite finds the file's structure damaged."""
        self.lock = threading.Lock()
        try:
            self._connection = apsw.Connection(
                f"file:{quote(str(path))}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            if self._connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
                raise IndexDamaged("the copy of the index is damaged")
        except apsw.Error as error:
            raise translated(error) from error
        self._session = SqliteSession(self._connection)

    @contextmanager
    def reading(self) -> Iterator[SqliteSession]:
        """See engine.Engine."""
        with self.lock:
            yield self._session

    searching = reading

    def writer(self) -> SqliteSession:
        """Raises IndexUnavailable, as all that would change something."""
        raise IndexUnavailable("a copy of the index is only read")

    transaction = sync = checkpoint = writer

    def close(self) -> None:
        """See engine.Engine."""
        with self.lock:
            self._connection.close()
