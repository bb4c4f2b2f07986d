"""The index's file and its folder: made durably, and put in another's place durably."""
from __future__ import annotations

import errno
import os
from pathlib import Path

import apsw

from dicomserver.index.errors import IndexFault, IndexFull, IndexUnavailable
from dicomserver.index.sqlite.connection import connect

COMPANIONS = ("-wal", "-shm")  # SQLite's log and shared memory, beside the file


def create(path: Path) -> None:
    """An empty file with mode 0600 if there is none: SQLite gives its companions the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise _translated(error) from error


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _translated(error) from error


def remove(path: Path) -> None:
    """Removes an index's file and its companions, those that are there."""
    try:
        for name in (path, *companions(path)):
            name.unlink(missing_ok=True)
    except OSError as error:
        raise _translated(error) from error


def replace(old: Path, new: Path) -> None:
    """Puts `new`, closed and synced, where `old` is. A power cut leaves the one or the other, whole.

    The old file's log must be gone first: SQLite would play it into the new file.
    """
    _empty_log(old)
    try:
        for companion in companions(old):
            companion.unlink(missing_ok=True)
        sync_folder(old.parent)
        os.rename(new, old)
        sync_folder(old.parent)
    except OSError as error:
        raise _translated(error) from error


def companions(path: Path) -> list[Path]:
    """The paths of log and shared memory, whether they are there or not."""
    return [path.with_name(path.name + ending) for ending in COMPANIONS]


def _empty_log(path: Path) -> None:
    """Copies what the log holds into the file, so that the old index is whole without it. A damaged one, and
    that may be why it is replaced, can't be made whole; then its log is of no worth either."""
    if not path.exists():
        return
    try:
        connection = connect(str(path))
    except IndexFault:
        return
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError as error:
        raise IndexUnavailable("another process uses the index that shall be replaced") from error
    except apsw.Error:
        return
    finally:
        connection.close()


def _translated(error: OSError) -> IndexFault:
    kind = IndexFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else IndexUnavailable
    return kind(f"the index's file: {error.strerror}")
