"""A few read-only connections for whoever asks while another thread writes."""
from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw

from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.sqlite.connection import SqliteSession
from dicomserver.index.sqlite.errors import translated


class Readers:
    """At most `size` connections, opened when they are first wanted; who finds none free waits for one."""

    def __init__(self, connect: Callable[[], apsw.Connection], size: int):
        self._connect = connect
        # The one that was used last is taken first: its cache is warm, and idle ones are never opened.
        self._places: queue.LifoQueue[tuple[apsw.Connection, SqliteSession] | None] = queue.LifoQueue()
        self._size = size
        self._closed = False
        for _ in range(size):
            self._places.put(None)

    @contextmanager
    def session(self) -> Iterator[SqliteSession]:
        place = self._places.get()
        try:
            if self._closed:
                raise IndexUnavailable("the index is closed")
            if place is None:
                connection = self._connect()
                place = connection, SqliteSession(connection)
            yield place[1]
        finally:
            self._places.put(place)

    def close(self) -> None:
        """Waits until every session is given back, then closes all connections."""
        self._closed = True
        for place in [self._places.get() for _ in range(self._size)]:
            if place is not None:
                try:
                    place[0].close()
                except apsw.Error as error:
                    raise translated(error) from error
        for _ in range(self._size):
            self._places.put(None)
