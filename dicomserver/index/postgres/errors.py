"""PostgreSQL's errors in our words, by SQLSTATE and never by message: that may quote a patient's data."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from dicomserver.index.errors import (
    Collision,
    IndexDamaged,
    IndexFault,
    IndexFull,
    IndexUnavailable,
    OutcomeUnknown,
    RowIsThere,
)

_BY_STATE: dict[str, type[IndexFault]] = {
    "23503": Collision,         # foreign_key_violation: a series that was remembered has gone
    "23505": RowIsThere,        # unique_violation
    "40P01": Collision,         # deadlock_detected
    "53100": IndexFull,         # disk_full
    "XX001": IndexDamaged,      # data_corrupted
    "XX002": IndexDamaged,      # index_corrupted
}
# admin_shutdown, crash_shutdown, database_dropped, idle_session_timeout
_ENDS_THE_SESSION = frozenset(("57P01", "57P02", "57P04", "57P05"))


def translated(error: psycopg.Error, connection: psycopg.Connection | None = None) -> IndexFault:
    """What to raise for `error` of a statement on `connection`. The text has the condition's name, nothing of the
    statement's values."""
    state = error.sqlstate
    if state in _ENDS_THE_SESSION or (state or "").startswith("08") or (connection is not None and connection.closed):
        return OutcomeUnknown("the connection to PostgreSQL broke")
    kind = _BY_STATE.get(state, IndexUnavailable)
    return kind(f"PostgreSQL: {type(error).__name__}{f' ({state})' if state else ''}")


@contextmanager
def translating(connection: psycopg.Connection) -> Iterator[None]:
    """The driver's errors within come out as IndexFault."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(error, connection) from error
