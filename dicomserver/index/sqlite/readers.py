"""A few read-only connections for whoever asks while another thread writes."""
from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw

from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.sqlite.connection import SqliteSession
from dicomserver.index.sqlite.errors import translated

Place = tuple[apsw.Connection, SqliteSession]


class Readers:
    """At most `size` connections, opened when they are first wanted; who finds none free waits for one.

    warm: about so many idle ones keep their caches; after a crowd the others' memory is given back.
    """

    def __init__(self, connect: Callable[[], apsw.Connection], size: int, warm: int):
        self._connect = connect
        # The one that was used last is taken first: its cache is warm, and idle ones are never opened.
        self._places: queue.LifoQueue[Place | None] = queue.LifoQueue()
        self._size = size
        self._warm = warm
        self._opened = 0
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
                self._opened += 1
            yield place[1]
        finally:
            if place is not None and self._idle >= self._warm:
                place[0].release_memory()
            self._places.put(place)

    @property
    def _idle(self) -> int:
        """Open connections that nobody uses just now; a moment later it may be another number."""
        return self._places.qsize() - (self._size - self._opened)

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
