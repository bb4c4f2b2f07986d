"""psycopg's pool of connections for whoever asks while another thread writes."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from dicomserver.index.errors import IndexAway, IndexUnavailable
from dicomserver.index.postgres.connection import Connection, PostgresSession, is_quiet, set_up

CLOSED = "the index is closed"
RETRY_SECONDS = 2.0     # for so long a connection that was lost is tried anew without anybody asking for one

# Failures come out as errors where they matter; the driver's own words go nowhere.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class Readers:
    """At most `size` connections. on_connect: called with each new one before anybody has it, on any thread."""

    def __init__(self, parameters: Mapping[str, str], schema: str, size: int, patience: float,
                 on_connect: Callable[[], None]) -> None:
        def configure(connection: Connection) -> None:
            set_up(connection, schema, read_only=True)
            on_connect()

        self._patience = patience
        self._pool = ConnectionPool(
            connection_class=Connection, kwargs={**parameters, "autocommit": True}, min_size=1, max_size=size,
            open=True, configure=configure, reconnect_timeout=RETRY_SECONDS,
            num_workers=1, name="dicom-server")

    @contextmanager
    def session(self) -> Iterator[PostgresSession]:
        """Raises IndexUnavailable if none is free, or none can be had, within `patience`."""
        connection = self._taken()
        try:
            yield PostgresSession(connection)
        finally:
            self._pool.putconn(connection)

    def _taken(self) -> Connection:
        deadline = time.monotonic() + self._patience
        try:
            # The pool's own check pauses behind each connection that a restart of the server has broken.
            while not is_quiet(connection := self._pool.getconn(deadline - time.monotonic())):
                connection.close()
                self._pool.putconn(connection)
        except PoolClosed:
            raise IndexUnavailable(CLOSED) from None
        except PoolTimeout:
            raise IndexAway("no connection to PostgreSQL is free") from None
        return connection

    def close(self) -> None:
        """Sessions that are in use end when they are given back."""
        self._pool.close()
