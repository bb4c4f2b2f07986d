"""One PostgreSQL connection: opened, set up, and everything that was set read back."""
from __future__ import annotations

import select
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import psycopg
from psycopg.types.numeric import Int8Dumper

from dicomserver.index.engine import Value
from dicomserver.index.errors import IndexAway, IndexUnavailable, SearchInterrupted
from dicomserver.index.postgres.errors import translating
from dicomserver.index.postgres.prepared import ASKED_SECONDS, Prepared

OLDEST = 130000         # the version whose pg_trgm the owner of a database may add
AT_ONCE = 1000          # rows of what is streamed: that many and fewer take one round trip instead of five
NEXT_ROWS = 2000


class Connection(psycopg.Connection):
    """keep_going: asked while a statement runs; after a False the statement is cancelled and the connection closed,
    for the cancellation may come late and hit another statement."""

    keep_going: Callable[[], bool] | None = None

    @cached_property
    def prepared(self) -> Prepared:
        """Its statements."""
        return Prepared(self)

    @contextmanager
    def transaction(self, *details, **more):
        """See psycopg, which drops all statements of the connection at a rollback if one of its own is prepared."""
        try:
            with super().transaction(*details, **more) as transaction:
                yield transaction
        except BaseException:
            self.prepared.forget()
            raise

    def wait(self, gen: Generator, *details, **more):
        """See psycopg."""
        if self.keep_going is None:
            return super().wait(gen, *details, **more)
        return super().wait(self._asking(gen), interval=ASKED_SECONDS)

    def _asking(self, gen: Generator) -> Generator:
        try:
            state = next(gen)
            while True:
                ready = yield state
                if not ready:
                    self.still()
                state = gen.send(ready)
        except StopIteration as end:
            return end.value

    def still(self) -> None:
        """Asks keep_going, while a statement runs."""
        if self.keep_going is not None and not self.keep_going():
            self.keep_going = None
            self.cancel_safe(timeout=2)
            self.close()
            raise SearchInterrupted("nobody wants the rest")


def connect(parameters: Mapping[str, str], schema: str) -> Connection:
    """A connection on which each statement commits by itself and waits for no disk. Raises IndexAway, IndexFault."""
    try:
        connection = Connection.connect(**parameters, autocommit=True)
    except psycopg.Error as error:
        raise IndexAway(f"no connection to PostgreSQL: {_reason(error, parameters)}") from None
    try:
        set_up(connection, schema)
    except BaseException:
        connection.close()
        raise
    return connection


def set_up(connection: psycopg.Connection, schema: str, *, read_only: bool = False) -> None:
    """Raises IndexUnavailable where the database or its settings will not do, IndexAway where they may soon."""
    # One type for all numbers, so that a statement is prepared once.
    connection.adapters.register_dumper(int, Int8Dumper)
    wanted = {
        "search_path": schema, "synchronous_commit": "off", "standard_conforming_strings": "on",
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "on" if read_only else "off",
        "statement_timeout": "0", "client_min_messages": "warning",
        "jit": "off",       # it takes longer to compile a query of ours than to run it
        "cursor_tuple_fraction": "1",   # what streams is read to its end
    }
    with translating(connection):
        version = connection.info.server_version
        if version < OLDEST:
            raise IndexUnavailable(f"PostgreSQL {version // 10000} is too old; 13 or later is needed")
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise IndexUnavailable(f"the database's encoding is {encoding}; it must be UTF8")
        calls = ", ".join(["set_config(%s, %s, false)"] * len(wanted))
        standby, *answer = connection.execute(f"SELECT pg_is_in_recovery(), {calls}", [
            text for pair in wanted.items() for text in pair]).fetchone()
    if standby:
        # Nor would what is read there be of now. It may be about to become the primary.
        raise IndexAway("this PostgreSQL server is a standby: it takes no writes. A URL may name all hosts, with "
                        "target_session_attrs=primary")
    for (name, value), taken in zip(wanted.items(), answer, strict=True):
        if taken != value:
            raise IndexUnavailable(f"PostgreSQL did not take {name} = {value}")


def is_quiet(connection: psycopg.Connection) -> bool:
    """Whether an idle connection has nothing to read, as one has whose server has gone. No round trip."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def _reason(error: psycopg.Error, parameters: Mapping[str, str]) -> str:
    """libpq's words, which are of hosts, users and databases; in case a password is among them, without it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = "; ".join(lines) or type(error).__name__
    for name, value in parameters.items():
        if value and ("password" in name or "secret" in name):
            text = text.replace(value, "***")
    return text


class PostgresSession:
    """See engine.Session."""

    __slots__ = ("_connection", "_prepared")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._prepared = connection.prepared

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """See engine.Session. Not to be interrupted once it runs."""
        self._ask()
        with translating(self._connection):
            return self._prepared.run(sql, values)

    def run_each(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[int]:
        """See engine.Session. One round trip for all, which is a transaction by itself."""
        with translating(self._connection):
            return self._prepared.run_each(sql, rows)

    def one(self, sql: str, values: Sequence[Value] = ()) -> tuple | None:
        """See engine.Session."""
        rows = self.rows(sql, values)
        return rows[0] if rows else None

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[tuple]:
        """See engine.Session."""
        self._ask()
        with translating(self._connection):
            still = self._connection.still if self._connection.keep_going else None
            return self._prepared.rows(sql, values, still)

    def stream(self, sql: str, values: Sequence[Value] = ()) -> Iterator[tuple]:
        """See engine.Session. The statement has no LIMIT."""
        few = self.rows(f"{sql} LIMIT {AT_ONCE + 1}", values)
        if len(few) <= AT_ONCE:
            yield from few
            return
        with translating(self._connection), self._connection.transaction(), \
                self._connection.cursor("stream", binary=True) as cursor:
            self._ask()
            cursor.execute(sql, values or None)
            while rows := cursor.fetchmany(NEXT_ROWS):
                yield from rows
                self._ask()

    @contextmanager
    def watched(self, keep_going: Callable[[], bool]) -> Iterator[None]:
        """See engine.Session."""
        self._connection.keep_going = keep_going
        try:
            yield
        finally:
            self._connection.keep_going = None

    def _ask(self) -> None:
        keep_going = self._connection.keep_going
        if keep_going is not None and not keep_going():
            raise SearchInterrupted("nobody wants the rest")
