"""What an engine must offer: everything that differs from one database to another is behind these names.

`statements` holds the engine's dialect: one SQL text for each name in dicomserver.index.sqlite.statements.
"""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Protocol


Value = str | bytes | int | None


class Session(Protocol):
    """A connection while somebody has it to himself. Errors of the driver come out as IndexFault."""

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Runs one statement; how many rows it inserted, changed or deleted, triggers not counted."""

    def one(self, sql: str, values: Sequence[Value] = ()) -> tuple | None:
        """The first row, or None."""

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[tuple]:
        """All rows."""

    def stream(self, sql: str, values: Sequence[Value] = ()) -> Iterator[tuple]:
        """The rows as they are found; other statements may run meanwhile. To be read to its end, or closed."""

    def watched(self, keep_going: Callable[[], bool]) -> AbstractContextManager[None]:
        """Within, a statement raises SearchInterrupted soon after `keep_going` says False. That is asked often, on
        the session's thread, and must not use the session."""


class Engine(Protocol):
    """One database, its connections and its locks."""

    statements: ModuleType
    dialect: ModuleType  # the same of the parts of queries, see dicomserver.index.sqlite.dialect
    lock: threading.Lock  # whoever writes holds it; not reentrant

    def writer(self) -> Session:
        """The writing session; each statement commits by itself. Under `lock`. Raises after a failed sync."""

    def transaction(self) -> AbstractContextManager[Session]:
        """One transaction of the writing session, rolled back if the block raises. Under `lock`."""

    def reading(self) -> AbstractContextManager[Session]:
        """A session that sees all that is committed; from any thread, not under `lock`, not nested."""

    def searching(self) -> AbstractContextManager[Session]:
        """The same for queries, which may take their time: they are in nobody's way who only reads a row."""

    def sync(self) -> None:
        """All that is committed survives a power cut. Under `lock`."""

    def checkpoint(self) -> None:
        """Keeps the write-ahead log bounded; takes `lock` itself, and only for moments."""

    def close(self) -> None:
        """Waits for whoever uses the engine now; later use raises IndexUnavailable."""

