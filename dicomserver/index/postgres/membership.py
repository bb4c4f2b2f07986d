"""Who may use an index in PostgreSQL: one server alone, or several nodes, each under a number of its own.

All by advisory locks of the writer's connection, so that they go with it:

    LOCK                    whoever is alone, a rebuild and a migration exclusively; nodes share it
    SPACE, 1 to 127         the node of that number, or who adopts what it left behind
    SPACE, LEADER           the node that leads
    SPACE, STRUCTURE        for the length of a transaction: what makes or removes anything above instances
    SPACE, MIGRATION        while the schema is looked at

A node writes a token into the index when it starts. Who adopts it writes another one, so that it finds out, should it
only have seemed dead: on its next connection, and without one it commits nothing and so acknowledges nothing.
"""
from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from dicomserver.index.engine import Session
from dicomserver.index.errors import IndexAway, NodeFenced

LOCK = 0x44434D53       # "DCMS"
SPACE = LOCK
LEADER, STRUCTURE, MIGRATION = 0, 128, 129
ALONE = 0

_ADOPT = "INSERT INTO nodes VALUES (%s, %s) ON CONFLICT (number) DO UPDATE SET token = excluded.token"
# Of a node that is frozen or has vanished, the locks go soon, too; its transaction's, on which others wait, first. On a
# socket of the same machine there are no keepalives to set.
_ENDS_SOON = {"idle_in_transaction_session_timeout": "10s",
              "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
              "tcp_user_timeout": "30000"}


class InUse(IndexAway):
    """Another server has the index, or what is left of our own that lost its connection."""


class Membership:
    """Of the node `number`, or of a server that is alone. Used under the engine's lock; errors are the driver's, but
    for those named."""

    def __init__(self, number: int = ALONE) -> None:
        self.number = number
        self._token = 0

    @contextmanager
    def joining(self, connection: psycopg.Connection) -> Iterator[bool]:
        """Takes the locks for the first time; within, whether nobody else uses the index, so that its schema may be
        changed. Raises InUse."""
        if not self.number:
            self.enter(connection)
            yield True
            return
        connection.execute("SELECT pg_advisory_lock(%s::int, %s::int)", (SPACE, MIGRATION))
        is_alone = _try(connection, "pg_try_advisory_lock", LOCK)
        if not is_alone:
            self.enter(connection)
        yield is_alone
        if is_alone:
            self.enter(connection)
            connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
        connection.execute("SELECT pg_advisory_unlock(%s::int, %s::int)", (SPACE, MIGRATION))

    def enter(self, connection: psycopg.Connection) -> None:
        """Takes the locks. Raises InUse."""
        if not self.number:
            if not _try(connection, "pg_try_advisory_lock", LOCK):
                raise InUse("another server uses the index in this database")
            return
        if not _try(connection, "pg_try_advisory_lock_shared", LOCK):
            raise InUse("a server that is no node uses the index in this database, or it is being rebuilt")
        if not _try(connection, "pg_try_advisory_lock", SPACE, self.number):
            raise InUse(f"a node {self.number} uses the index in this database already, or is being adopted")
        for name, value in _ENDS_SOON.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    def register(self, session: Session) -> None:
        """A new life of this node begins; to be made durable."""
        if self.number:
            self._token = secrets.randbits(62)
            session.run(_ADOPT, (self.number, self._token))

    def check(self, session: Session) -> None:
        """On a new connection, with the locks taken. Raises NodeFenced."""
        if not self.number:
            return
        row = session.one("SELECT token FROM nodes WHERE number = %s", (self.number,))
        if row != (self._token,):
            raise NodeFenced(f"node {self.number} was taken for dead, and another node has taken over its instances")

    def order(self, session: Session) -> None:
        """In a transaction that makes or removes anything above instances: one at a time, of all nodes."""
        session.one("SELECT pg_advisory_xact_lock(%s::int, %s::int)", (SPACE, STRUCTURE))


def try_to_lead(session: Session) -> bool:
    """Once to a connection: such locks are counted."""
    return session.one("SELECT pg_try_advisory_lock(%s::int, %s::int)", (SPACE, LEADER))[0]


def try_to_adopt(session: Session, number: int) -> bool:
    """True: it has no connection, and will get none before `leave`; its token is another one, to be made durable."""
    if not session.one("SELECT pg_try_advisory_lock(%s::int, %s::int)", (SPACE, number))[0]:
        return False
    session.run(_ADOPT, (number, secrets.randbits(62)))
    return True


def leave(session: Session, number: int) -> None:
    """It is adopted: it may start anew."""
    session.one("SELECT pg_advisory_unlock(%s::int, %s::int)", (SPACE, number))


def _try(connection: psycopg.Connection, function: str, *key: int) -> bool:
    places = "%s::int, %s::int" if len(key) == 2 else "%s"
    return connection.execute(f"SELECT {function}({places})", key).fetchone()[0]
