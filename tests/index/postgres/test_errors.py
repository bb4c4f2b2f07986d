from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest
from psycopg import errors

from dicomserver.index import IndexDamaged, IndexFault, IndexFull, IndexUnavailable, OutcomeUnknown
from dicomserver.index.errors import RowIsThere
from dicomserver.index.postgres.errors import translated, translating

OPEN, CLOSED = SimpleNamespace(closed=False), SimpleNamespace(closed=True)


@pytest.mark.parametrize("error, kind, text", [
    (errors.DiskFull("a name"), IndexFull, "PostgreSQL: DiskFull (53100)"),
    (errors.DataCorrupted("a name"), IndexDamaged, "PostgreSQL: DataCorrupted (XX001)"),
    (errors.UniqueViolation("Key (patient_id)=(a name)"), RowIsThere, "PostgreSQL: UniqueViolation (23505)"),
    (errors.AdminShutdown("a name"), OutcomeUnknown, "the connection to PostgreSQL broke"),
    (errors.CrashShutdown("a name"), OutcomeUnknown, "the connection to PostgreSQL broke"),
    (errors.ConnectionFailure("a name"), OutcomeUnknown, "the connection to PostgreSQL broke"),
    (psycopg.DataError("a name"), IndexUnavailable, "PostgreSQL: DataError"),
])
def test_the_kind_comes_from_the_sqlstate_and_the_message_goes(
        error: psycopg.Error, kind: type[IndexFault], text: str) -> None:
    fault = translated(error, OPEN)
    assert type(fault) is kind and str(fault) == text


def test_on_a_connection_that_is_gone_nothing_is_known() -> None:
    assert type(translated(psycopg.OperationalError("lost"), CLOSED)) is OutcomeUnknown
    with pytest.raises(OutcomeUnknown), translating(CLOSED):
        raise psycopg.OperationalError("lost")
    with pytest.raises(ZeroDivisionError), translating(CLOSED):
        1 / 0
