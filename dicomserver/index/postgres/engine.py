"""The PostgreSQL engine. See dicomserver.index.engine.

Commits are not waited for: the writer has synchronous_commit off. sync() commits a marker that is waited for; the
server's log is one, so every commit before it is on the disk too. What a server that crashed has lost of the commits
in between is `replay`'s to bring back, before anybody reads or writes on a new connection.
"""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from dicomserver.index.engine import Session
from dicomserver.index.errors import IndexAway, IndexDamaged, IndexUnavailable, NodeFenced
from dicomserver.index.postgres import dialect
from dicomserver.index.postgres.address import parameters_of
from dicomserver.index.postgres.connection import Connection, PostgresSession, connect, is_quiet
from dicomserver.index.postgres.errors import translating
from dicomserver.index.postgres.membership import ALONE, InUse, Membership
from dicomserver.index.postgres.nodes import Nodes
from dicomserver.index.postgres.readers import CLOSED, Readers
from dicomserver.index.postgres.schema import NEW_SCHEMA, SCHEMA, index_trigrams, migrate, remove, replace
from dicomserver.index.statements import in_dialect

READERS = 4
SEARCHERS = 16
PATIENCE_SECONDS = 5.0      # for so long a store waits for a database that has gone, before it is refused
PAUSE_SECONDS = 0.5         # between two attempts later on; in between all is refused at once
RETRY_SECONDS = 0.1
# Numbers that a crashed server had given out, and has forgotten, are never given out again.
IDS_SKIPPED = 1 << 20
WITH_NUMBERS = ("labels", "patients", "studies", "series", "instances")     # tables that number their rows
_DURABLE = {"fsync": "on", "full_page_writes": "on", "data_sync_retry": "off"}


def take_place(url: str) -> None:
    """The index that was rebuilt, and closed, becomes the index: at one moment, durably."""
    connection = connect(parameters_of(url), SCHEMA)
    try:
        lock_soon(connection)
        with translating(connection):
            replace(connection, SCHEMA, NEW_SCHEMA)
    finally:
        connection.close()


def lock_soon(connection: Connection) -> None:
    """The same as `lock`, and waits some seconds for what is left of a process that has just ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return lock(connection)
        except InUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)


def lock(connection: Connection) -> None:
    """For as long as the connection lives nobody else has the index. Raises IndexAway."""
    with translating(connection):
        Membership().enter(connection)


class Postgres:
    """The index in the database at `url`. Raises UnknownEngine, IndexFault.

    rebuilds: a new one beside it, see take_place; what a rebuild that was cut short has left is removed. node: its
    number, where several servers use the index; see membership. connection: the writer's, under `lock`.
    """

    statements = in_dialect(dialect)
    dialect = dialect
    warnings: tuple[str, ...] = ()
    may_forget = True
    may_linger = False
    replay: Callable[[Session], None] | None = None
    order: Callable[[Session], None] | None = None
    nodes: Nodes | None = None

    def __init__(self, url: str, *, rebuilds: bool = False, node: int = ALONE) -> None:
        self.lock = threading.Lock()
        self._parameters = parameters_of(url)
        self._schema = NEW_SCHEMA if rebuilds else SCHEMA
        self._membership = Membership(node)
        if node:
            self.order, self.nodes = self._membership.order, Nodes(self, node)
        self._fenced: str | None = None     # why nothing is written any more, ever
        self._synced = 0                # the last marker that is on the disk for sure
        self._closing = threading.Event()
        self._closing_until = 0.0       # of time.monotonic(): so long a sync may take then
        self._refuse_until: float | None = None     # of time.monotonic(), once the database has been given up
        self._made = self._proved = 0   # readers' connections: how many, and how many before the writer's last proof
        self._sync_level = "on"
        self._has_trigrams = False
        self.connection = self._patiently(partial(self._joined, rebuilds), lambda error: isinstance(error, InUse))
        self._session = PostgresSession(self.connection)
        try:
            with translating(self.connection):
                self.warnings = self._look_at_settings()
                self._membership.register(self._session)
            self._sync()        # so that a crash does not take the schema away
            self._readers = self._pool(READERS)
            self._searchers = self._pool(SEARCHERS)
        except BaseException:
            self.connection.close()
            raise

    def writer(self) -> PostgresSession:
        """See engine.Engine."""
        if self._closing.is_set():
            raise IndexUnavailable(CLOSED)
        if not is_quiet(self.connection):
            self._reconnect()
        return self._session

    @contextmanager
    def transaction(self) -> Iterator[PostgresSession]:
        """See engine.Engine."""
        session = self.writer()
        with translating(self.connection), self.connection.transaction():
            yield session

    @contextmanager
    def reading(self) -> Iterator[PostgresSession]:
        """See engine.Engine."""
        with self._reading(self._readers) as session:
            yield session

    @contextmanager
    def searching(self) -> Iterator[PostgresSession]:
        """See engine.Engine."""
        with self._reading(self._searchers) as session:
            yield session

    def sync(self) -> None:
        """See engine.Engine."""
        if self._closing.is_set():
            raise IndexUnavailable(CLOSED)
        self._sync()

    def _sync(self) -> None:
        # Never on a new connection: what its caller has just committed on the old one might be gone.
        connection = self.connection
        # A standby that has to confirm it may be gone for long.
        with translating(connection), PostgresSession(connection).watched(self._may_wait):
            with connection.pipeline(), connection.transaction():
                connection.execute("SELECT set_config('synchronous_commit', %s, true)", (self._sync_level,))
                connection.execute(self.statements.MARK)
                marker = connection.execute("SELECT marker FROM state WHERE id = 1")
            self._synced = marker.fetchone()[0]

    def _may_wait(self) -> bool:
        return not self._closing.is_set() or time.monotonic() < self._closing_until

    def checkpoint(self) -> None:
        """The server does that by itself."""

    def close(self) -> None:
        """See engine.Engine."""
        first = not self._closing.is_set()
        if first:
            self._closing_until = time.monotonic() + PATIENCE_SECONDS
        self._closing.set()     # before the lock: who has it may be waiting for the database
        with self.lock:
            if not first:
                return
            try:
                if not self.connection.closed:
                    self._sync()
            finally:
                self._readers.close()
                self._searchers.close()
                self.connection.close()

    # -- connections

    def _pool(self, size: int) -> Readers:
        return Readers(self._parameters, self._schema, size, PATIENCE_SECONDS, self._count_reader)

    def _count_reader(self) -> None:
        self._made += 1

    @contextmanager
    def _reading(self, readers: Readers) -> Iterator[PostgresSession]:
        if self._closing.is_set():
            raise IndexUnavailable(CLOSED)
        self._refuse_in_between()
        with readers.session() as session:
            # A new connection may be one to a server that has just been started again. Then the writer's is broken,
            # and what the server has lost comes back first.
            if self._proved < self._made:
                with self.lock:
                    self._prove()
            yield session

    def _prove(self) -> None:
        made = self._made
        if self._proved < made:
            try:
                self.writer().one("SELECT 1")
            except IndexAway:
                self.writer()
            self._proved = made

    def _refuse_in_between(self) -> None:
        if self._fenced is not None:
            raise NodeFenced(self._fenced)
        if self._refuse_until is not None and time.monotonic() < self._refuse_until:
            raise IndexAway("PostgreSQL is away; it is tried again soon")

    def _reconnect(self) -> None:
        """A new connection for the writer, with all on it that was committed on the old one."""
        self._refuse_in_between()
        self.connection.close()
        patience = self._refuse_until is None
        try:
            connection = self._patiently(self._restored, lambda error: patience)
        except NodeFenced as error:
            self._fenced = str(error)
            raise
        except IndexAway:
            self._refuse_until = time.monotonic() + PAUSE_SECONDS
            raise
        self._refuse_until = None
        self.connection, self._session = connection, PostgresSession(connection)

    def _patiently(self, attempt: Callable[[], Connection], may_pass: Callable[[Exception], bool]) -> Connection:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return attempt()
            except IndexAway as error:
                if (isinstance(error, NodeFenced) or not may_pass(error) or time.monotonic() > deadline
                        or self._closing.wait(RETRY_SECONDS)):
                    raise

    def _joined(self, rebuilds: bool) -> Connection:
        connection = connect(self._parameters, self._schema)
        try:
            with translating(connection), self._membership.joining(connection) as is_alone:
                if rebuilds:
                    remove(connection, self._schema)
                migrate(connection, self._schema, is_alone=is_alone)
                self._has_trigrams = index_trigrams(connection)     # in here: no two nodes can make it at once
        except BaseException:
            connection.close()
            raise
        return connection

    def _connected(self) -> Connection:
        connection = connect(self._parameters, self._schema)
        try:
            with translating(connection):
                self._membership.enter(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _restored(self) -> Connection:
        connection = self._connected()
        try:
            with translating(connection), connection.transaction():
                session = PostgresSession(connection)
                self._membership.check(session)
                if self.order is not None:
                    self.order(session)     # other nodes do the same in this moment
                if session.one("SELECT marker FROM state WHERE id = 1")[0] < self._synced:
                    raise IndexDamaged("the database has lost what it had confirmed: it is an older copy. Stop the "
                                       "server and run `dicom-server index rebuild`")
                for table in WITH_NUMBERS:
                    session.one("SELECT setval(s, nextval(s) + %s) FROM pg_get_serial_sequence(%s, 'id') s",
                                (IDS_SKIPPED, table))
                if self.replay is not None:
                    self.replay(session)
        except BaseException:
            connection.close()
            raise
        return connection

    def _look_at_settings(self) -> tuple[str, ...]:
        session, said = self._session, []
        settings = dict(session.rows("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(_DURABLE),)))
        for name, wanted in _DURABLE.items():
            if settings.get(name, wanted) != wanted:
                said.append(f"PostgreSQL has {name} = {settings[name]}: after a power cut of its machine what was "
                            f"acknowledged may be lost; set it to {wanted}")
        level = session.one("SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'")[0]
        if level == "off":
            said.append("PostgreSQL has synchronous_commit = off; where it matters the index turns it on by itself")
        else:
            self._sync_level = level
        if not self._has_trigrams:
            said.append("PostgreSQL has no extension pg_trgm here: queries for *text* read every study; let its "
                        "administrator run CREATE EXTENSION pg_trgm")
        return tuple(said)
