"""What an engine must offer: everything that differs from one database to another is behind these names.

`statements` are those of dicomserver.index.statements, in the engine's dialect.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import ModuleType, SimpleNamespace
from typing import Protocol

Value = str | bytes | int | None


class Session(Protocol):
    """A connection while somebody has it to himself. Errors of the driver come out as IndexFault."""

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Runs one statement; how many rows it inserted, changed or deleted, triggers not counted."""

    def run_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[int]:
        """Runs one statement with each of the rows' values, all of them or none; the same number of each."""

    def one(self, sql: str, values: Sequence[Value] = ()) -> tuple | None:
        """The first row, or None."""

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[tuple]:
        """All rows."""

    def stream(self, sql: str, values: Sequence[Value] = ()) -> Iterator[tuple]:
        """The rows as they are found; no other statement runs meanwhile. To be read to its end, or closed."""

    def watched(self, keep_going: Callable[[], bool]) -> AbstractContextManager[None]:
        """Within, a statement raises SearchInterrupted soon after `keep_going` says False. That is asked often, on
        the session's thread, and must not use the session."""


class Nodes(Protocol):
    """Several servers on one database, and which of them this one is."""

    number: int

    def lead(self) -> int:
        """See dicomserver.index.postgres.nodes, and so below."""

    @property
    def leads(self) -> bool: ...

    def adopting(self, number: int) -> AbstractContextManager[bool]: ...


class Engine(Protocol):
    """One database, its connections and its locks."""

    statements: SimpleNamespace
    dialect: ModuleType  # how it says what differs, see dicomserver.index.sqlite.dialect
    lock: threading.Lock  # whoever writes holds it; not reentrant
    warnings: Sequence[str]  # what is not as it should be, for the log
    # Whether what is committed but not synced may be gone while this process lives on, as with a database server that
    # crashed. Then `replay`, which is the Index's, adds it again: in a transaction, under `lock`, before anybody reads
    # or writes on a new connection.
    may_forget: bool
    replay: Callable[[Session], None] | None
    # Whether a transaction may stay open for as long as a sync takes: then nobody who reads waits for it.
    may_linger: bool
    # Where others write to the same database: `order` is called first in a transaction that makes or removes anything
    # above instances. None: nobody else writes, and no Collision comes up.
    order: Callable[[Session], None] | None
    nodes: Nodes | None         # what these settle among themselves, see dicomserver.index.postgres.nodes

    def writer(self) -> Session:
        """The writing session; each statement commits by itself. Under `lock`. Raises after a failed sync."""

    def transaction(self) -> AbstractContextManager[Session]:
        """One transaction of the writing session, rolled back if the block raises. Under `lock`."""

    def reading(self) -> AbstractContextManager[Session]:
        """A session that sees all that is committed; from any thread, not under `lock`, not nested."""

    def searching(self) -> AbstractContextManager[Session]:
        """The same for queries, which may take their time: they are in nobody's way who only reads a row."""

    def sync(self) -> None:
        """All that is committed survives a power cut. Under `lock`; raises where the connection has broken on which the
        caller may have committed while he had it. Who has committed nothing calls `writer` first."""

    def checkpoint(self) -> None:
        """Keeps the write-ahead log bounded; takes `lock` itself, and only for moments."""

    def close(self) -> None:
        """Waits for whoever uses the engine now; later use raises IndexUnavailable."""

