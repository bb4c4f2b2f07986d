"""What nodes of one index settle among themselves: who leads, and who adopts a dead one."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from dicomserver.index.engine import Session
from dicomserver.index.errors import IndexFault
from dicomserver.index.postgres import membership
from dicomserver.index.postgres.connection import Connection


class Writing(Protocol):
    """What is asked of dicomserver.index.postgres.engine.Postgres."""

    lock: threading.Lock
    connection: Connection

    def writer(self) -> Session: ...

    def sync(self) -> None: ...


class Nodes:
    """A part of the Index, with its rules; NodeFenced among what it raises. number: our own."""

    def __init__(self, engine: Writing, number: int) -> None:
        self.number = number
        self._engine = engine
        self._led_on: Connection | None = None
        self._terms = 0

    def lead(self) -> int:
        """Leads, if nobody else does: until the connection breaks. -> which of our terms it is, counted from 1; 0: we
        do not lead."""
        with self._engine.lock:
            session = self._engine.writer()
            if self._led_on is not self._engine.connection:
                if not membership.try_to_lead(session):
                    return 0
                self._led_on = self._engine.connection
                self._terms += 1
            return self._terms

    @property
    def leads(self) -> bool:
        """Whether we do, as far as is known: a connection that has broken may not have been used since."""
        connection = self._led_on
        return connection is not None and connection is self._engine.connection and not connection.closed

    @contextmanager
    def adopting(self, number: int) -> Iterator[bool]:
        """Within, no node of that number uses the index, and one that did finds out. False: one does, or somebody else
        adopts it."""
        with self._engine.lock:
            session = self._engine.writer()
            connection = self._engine.connection
            is_ours = membership.try_to_adopt(session, number)
            if is_ours:
                self._engine.sync()
        try:
            yield is_ours
        finally:
            if is_ours:
                self._leave(number, connection)

    def _leave(self, number: int, connection: Connection) -> None:
        with self._engine.lock:
            try:
                if self._engine.connection is connection:
                    membership.leave(self._engine.writer(), number)
            except IndexFault:
                return      # the lock has gone with the connection
