"""What the archive says no with. Texts carry neither UIDs nor patient data, at most the data directory."""
from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dicomserver.archive.durable import SyncFailed


class ArchiveError(Exception):
    """Base of every error that leaves this room."""


class ArchiveUnusable(ArchiveError):
    """The data directory cannot be opened; the text is one line for the user."""


class ArchiveLocked(ArchiveUnusable):
    """Another process serves this data directory."""

    def __init__(self, path: str, pid: int | None) -> None:
        self.pid = pid
        owner = f"process {pid}" if pid else "another process"
        super().__init__(f"the data directory {path} is in use by {owner}")


class ArchiveTooNew(ArchiveUnusable):
    """A newer version of the program wrote this data directory."""


class ArchiveDamaged(ArchiveUnusable):
    """A file that the archive keeps about itself is missing or cannot be understood."""


class InvalidUid(ArchiveError, ValueError):
    """This text must never become part of a path."""


class InstanceMissing(ArchiveError):
    """Neither the slot nor the final name exists."""


class InstanceDamaged(ArchiveError):
    """The file is not what was stored there, or not whole; it must not be served."""


class NoPreamble(InstanceDamaged):
    """No complete header of ours: in a slot this means that it was never acknowledged."""


class IntakeError(ArchiveError):
    """No slot for a new instance (PS3.4 B.2.3: out of resources, A700)."""


class IntakeBusy(IntakeError):
    """The mover did not catch up, or no slot came, within the time given."""


class IntakeRefused(IntakeError):
    """The mover cannot move, or the archive closes: nothing is taken in until that has changed."""


class IntakeFull(IntakeError):
    """No space left, no quota left, or only the reserve left."""


class IntakeFailed(IntakeError):
    """Slots cannot be made for another reason: descriptors, an I/O error."""


class StorageFailed(ArchiveError):
    """A system call failed. Calling the same function again is safe.

    `errno` is the system's number; `full` says that room would help.
    """

    def __init__(self, doing: str, number: int, why: str = "") -> None:
        self.errno = number
        self.full = number in (errno.ENOSPC, errno.EDQUOT)
        super().__init__(f"{doing}: {why or os.strerror(number)}")


class FilingFailed(StorageFailed):
    """A batch did not reach its final names durably; its slots are all still there or safely filed."""


class QuarantineFailed(StorageFailed):
    """The file could not be set aside and is where it was."""


class DeletionFailed(StorageFailed):
    """The deletion did not begin, or is not finished; a tombstone makes sure that it can be finished."""


class StillWaiting(ArchiveError):
    """Instances are in the intake of another node, which has to file them first."""


class TrashFailed(StorageFailed):
    """The trash could not be read or changed; what lies in it is safe."""


class KeepingFailed(StorageFailed):
    """The list of studies to keep could not be written; it is as it was."""


class CommitmentFailed(StorageFailed):
    """A request for storage commitment could not be written, read or removed."""


class CopyFailed(StorageFailed):
    """A copy could not be written, or the disk does not give back what was written to it."""


class NotABackup(ArchiveError):
    """The folder is no backup, not this archive's, or cannot be one; the text is one line for the user."""


class BackupDamaged(ArchiveError):
    """The list of what belongs to a backup cannot be read, or is not what was written."""


class RecoveryFailed(StorageFailed):
    """The intake could not be read or made durable."""


def reason_of(error: OSError) -> str:
    """Why a system call failed, in words without names."""
    return error.strerror if isinstance(error, SyncFailed) else os.strerror(error.errno or errno.EIO)


@contextmanager
def unreadable_is_damaged() -> Iterator[None]:
    """Turns EIO inside the block, which reads one instance, into InstanceDamaged; others do not suffer for it."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        raise InstanceDamaged("it cannot be read") from error


@contextmanager
def translated(kind: type[StorageFailed], doing: str) -> Iterator[None]:
    """Turns the system's errors inside the block into `kind`."""
    try:
        yield
    except OSError as error:
        raise kind(doing, error.errno or errno.EIO, reason_of(error)) from error
