"""SQLite's errors in our words, by extended result code and never by message."""
from __future__ import annotations

import apsw

from dicomserver.index.errors import (
    IndexDamaged,
    IndexFault,
    IndexFull,
    IndexUnavailable,
    RowIsThere,
    SearchInterrupted,
)


class SyncFailed(IndexUnavailable):
    """The disk refused a sync. Linux may have marked the lost pages clean: no later sync can be believed."""


_BY_EXTENDED_CODE: dict[int, type[IndexFault]] = {
    apsw.SQLITE_IOERR_FSYNC: SyncFailed,
    apsw.SQLITE_IOERR_DIR_FSYNC: SyncFailed,
    apsw.SQLITE_IOERR_SHMSIZE: IndexFull,  # the shared memory beside the file could not grow
    apsw.SQLITE_IOERR_DATA: IndexDamaged,
    apsw.SQLITE_IOERR_CORRUPTFS: IndexDamaged,
    apsw.SQLITE_CONSTRAINT_UNIQUE: RowIsThere,
}
_BY_CODE: dict[int, type[IndexFault]] = {
    apsw.SQLITE_FULL: IndexFull,
    apsw.SQLITE_INTERRUPT: SearchInterrupted,
    apsw.SQLITE_CORRUPT: IndexDamaged,
    apsw.SQLITE_NOTADB: IndexDamaged,
}


def translated(error: apsw.Error) -> IndexFault:
    """What to raise for `error`. The text has the code's name, nothing of the statement's values."""
    extended = getattr(error, "extendedresult", None)
    if extended is None:
        return IndexUnavailable(f"SQLite: {type(error).__name__}")
    kind = _BY_EXTENDED_CODE.get(extended) or _BY_CODE.get(extended & 0xFF, IndexUnavailable)
    name = (apsw.mapping_extended_result_codes.get(extended) or apsw.mapping_result_codes.get(extended & 0xFF)
            or f"code {extended}")
    return kind(f"SQLite: {name}")
