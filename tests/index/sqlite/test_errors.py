from __future__ import annotations

import apsw
import pytest

from dicomserver.index.errors import IndexDamaged, IndexFull, IndexUnavailable, SearchInterrupted
from dicomserver.index.sqlite.errors import SyncFailed, translated


@pytest.mark.parametrize(("code", "kind", "name"), [
    (apsw.SQLITE_FULL, IndexFull, "SQLITE_FULL"),
    (apsw.SQLITE_IOERR_SHMSIZE, IndexFull, "SQLITE_IOERR_SHMSIZE"),
    (apsw.SQLITE_INTERRUPT, SearchInterrupted, "SQLITE_INTERRUPT"),
    (apsw.SQLITE_CORRUPT, IndexDamaged, "SQLITE_CORRUPT"),
    (apsw.SQLITE_CORRUPT_INDEX, IndexDamaged, "SQLITE_CORRUPT_INDEX"),
    (apsw.SQLITE_NOTADB, IndexDamaged, "SQLITE_NOTADB"),
    (apsw.SQLITE_IOERR_CORRUPTFS, IndexDamaged, "SQLITE_IOERR_CORRUPTFS"),
    (apsw.SQLITE_IOERR_FSYNC, SyncFailed, "SQLITE_IOERR_FSYNC"),
    (apsw.SQLITE_IOERR_DIR_FSYNC, SyncFailed, "SQLITE_IOERR_DIR_FSYNC"),
    (apsw.SQLITE_IOERR_WRITE, IndexUnavailable, "SQLITE_IOERR_WRITE"),
    (apsw.SQLITE_BUSY, IndexUnavailable, "SQLITE_BUSY"),
    (apsw.SQLITE_BUSY_SNAPSHOT, IndexUnavailable, "SQLITE_BUSY_SNAPSHOT"),
    (apsw.SQLITE_READONLY_DIRECTORY, IndexUnavailable, "SQLITE_READONLY_DIRECTORY"),
    (apsw.SQLITE_CANTOPEN, IndexUnavailable, "SQLITE_CANTOPEN"),
])
def test_codes_decide_and_messages_never(code: int, kind: type[Exception], name: str) -> None:
    error = apsw.exception_for(code)
    error.args = ("database or disk is full: DOE^JOHN",)
    fault = translated(error)
    assert type(fault) is kind
    assert str(fault) == f"SQLite: {name}"


def test_errors_of_the_wrapper_have_no_code() -> None:
    fault = translated(apsw.ConnectionClosedError("x"))
    assert type(fault) is IndexUnavailable
    assert str(fault) == "SQLite: ConnectionClosedError"
