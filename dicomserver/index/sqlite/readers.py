"""A few read-only connections for whoever asks while another thread writes."""
from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import apsw

from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.sqlite.connection import SqliteSession
from dicomserver.index.sqlite.errors import translated

WARM, COLD, UNOPENED = range(3)     # the order in which places are taken


@dataclass(slots=True, order=True)
class _Place:
    state: int
    number: int
    connection: apsw.Connection | None = field(default=None, compare=False)
    session: SqliteSession | None = field(default=None, compare=False)


class Readers:
    """At most `size` connections, opened when they are first wanted; who finds none free waits for one.

    warm: about so many idle ones keep their caches; after a crowd the others' memory is given back.
    """

    def __init__(self, connect: Callable[[], apsw.Connection], size: int, warm: int):
        self._connect = connect
        self._size = size
        self._warm = warm
        self._closed = False
        self._places: queue.PriorityQueue[_Place] = queue.PriorityQueue()
        for number in range(size):
            self._places.put(_Place(UNOPENED, number))

    @contextmanager
    def session(self) -> Iterator[SqliteSession]:
        place = self._places.get()
        try:
            if self._closed:
                raise IndexUnavailable("the index is closed")
            if place.connection is None:
                place.connection = self._connect()
                place.session = SqliteSession(place.connection)
            yield place.session
        finally:
            if place.connection is not None:
                place.state = WARM if self._idle_and_warm() < self._warm else COLD
                if place.state == COLD:
                    place.connection.release_memory()
            self._places.put(place)

    def _idle_and_warm(self) -> int:
        """A moment later it may be another number."""
        return sum(place.state == WARM for place in list(self._places.queue))

    def close(self) -> None:
        """Waits until every session is given back, then closes all connections."""
        self._closed = True
        for place in [self._places.get() for _ in range(self._size)]:
            if place.connection is not None:
                try:
                    place.connection.close()
                except apsw.Error as error:
                    raise translated(error) from error
        for number in range(self._size):
            self._places.put(_Place(UNOPENED, number))
