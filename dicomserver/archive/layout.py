"""The data directory: its folders, its lock, its format, and how a UID or a slot number becomes a name.

    <data>/format                        JSON, {"format": 1, ...}; written last when the directory is made
    <data>/starts                        how often the archive was opened; high half of every slot number
    <data>/identity                      32 hex digits; made for the first backup
    <data>/lock                          flock; holds the number of the process
    <data>/kept.json                     see dicomserver.archive.keeping
    <data>/index.json                    see dicomserver.archive.index_record
    <data>/intake/<16 hex digits>        slots
    <data>/quarantine/  <data>/tombstones/
    <data>/trash/                        see dicomserver.archive.trash
    <data>/commitments/                  made when it is first needed
    <data>/<StudyInstanceUID>/<SeriesInstanceUID>/<SOPInstanceUID>.dcm
"""
from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import uuid

from dicomserver.archive.durable import (FILE_MODE, FOLDER_MODE, Folder, open_or_make, read_file, replace_file,
                                         status_of)
from dicomserver.archive.errors import (ArchiveDamaged, ArchiveLocked, ArchiveTooNew, ArchiveUnusable,
                                        InvalidUid)
from dicomserver.standard.uids import is_valid_uid

FORMAT = 1
SUFFIX = ".dcm"
OWN_FOLDERS = ("intake", "quarantine", "tombstones")
# The format of a data directory while it is restored: no server starts on a part of an archive.
UNFINISHED = b'{"format": null, "unfinished": "restore"}\n'
_IDENTITY = re.compile(r"[0-9a-f]{32}\Z")
_SLOT_NAME = re.compile(r"[0-9a-f]{16}\Z")
_COUNTER_BITS = 32
_MOST_STARTS = (1 << 31) - 1


def checked_uid(uid: str) -> str:
    """The UID itself when it may be part of a path; raises InvalidUid."""
    if not is_valid_uid(uid):
        raise InvalidUid("not a UID")
    return uid


def instance_name(sop_instance_uid: str) -> str:
    """The name of an instance in its series folder."""
    return checked_uid(sop_instance_uid) + SUFFIX


def slot_name(number: int) -> str:
    """The name of a slot in intake/."""
    return f"{number:016x}"


def slot_number(name: str) -> int | None:
    """The number of the slot of that name; None when no slot is ever called so."""
    return int(name, 16) if _SLOT_NAME.match(name) else None


def start_of(slot: int) -> int:
    """During which start of the archive the slot was made."""
    return slot >> _COUNTER_BITS


class DataDirectory:
    """An open and locked data directory. One process at a time; threads may share it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens the directory and makes it when it is not there. Raises ArchiveUnusable and its kinds."""
        self.path = os.path.abspath(path)
        self._lock = -1
        self._open_folders: list[Folder] = []
        try:
            self._open()
        except OSError as error:
            self.close()
            reason = os.strerror(error.errno or errno.EIO)
            raise ArchiveUnusable(f"the data directory {self.path} cannot be used: {reason}") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        make_with_parents(self.path)
        self.root = self._kept(Folder(self.path, follow=True))
        self._lock = _locked(self.root, self.path)
        if not self._check_format():
            self._create()
        self.intake, self.quarantine, self.tombstones = (
            self._kept(Folder(name, self.root.fd)) for name in OWN_FOLDERS)
        # Directories of earlier versions have none. Its name is durable when the start is counted.
        self.trash = self._kept(open_or_make("trash", self.root.fd)[0])
        self.opened_start = self.start = self._read_starts() + 1
        self._write_starts()

    def _kept(self, folder: Folder) -> Folder:
        self._open_folders.append(folder)
        return folder

    def _check_format(self) -> bool:
        try:
            text = read_file(self.root, "format", 4096)
        except FileNotFoundError:
            return False
        if text == UNFINISHED:
            raise ArchiveDamaged(f"{self.path} holds a restore that was not finished: empty it and restore again")
        try:
            version = json.loads(text)["format"]
        except (ValueError, KeyError, TypeError):
            version = None
        if not isinstance(version, int):
            raise ArchiveDamaged(f"{self.path}/format cannot be understood")
        if version > FORMAT:
            raise ArchiveTooNew(f"the data directory {self.path} has format {version}, this version of "
                                f"dicom-server knows formats up to {FORMAT}: install a newer one")
        return True

    def _create(self) -> None:
        for name in OWN_FOLDERS:
            open_or_make(name, self.root.fd)[0].close()
        # A crash between the two files must not begin again with numbers that slots have had.
        self.start = self._read_starts() if status_of("starts", self.root) else 0
        self._write_starts()
        # Also those that exist: an earlier process may have made them and died before it synced.
        sync_ancestors(self.path)
        replace_file(self.root, "format", json.dumps({"format": FORMAT}).encode() + b"\n")

    def _read_starts(self) -> int:
        # Beginning again would give slots the numbers of earlier ones: a row could point at another's bytes.
        try:
            text = read_file(self.root, "starts", 64)
        except FileNotFoundError:
            raise ArchiveDamaged(f"{self.path}/starts is missing") from None
        if not text.strip().isdigit():
            raise ArchiveDamaged(f"{self.path}/starts cannot be understood")
        return int(text)

    def _write_starts(self) -> None:
        if self.start > _MOST_STARTS:
            raise ArchiveDamaged(f"{self.path}/starts is too large")
        replace_file(self.root, "starts", b"%d\n" % self.start)

    def next_start(self) -> int:
        """A new range of slot numbers, durable when it returns, for when 2**32 slots were made."""
        self.start += 1
        self._write_starts()
        return self.start

    def identity(self) -> str:
        """Made at the first call. Raises ArchiveDamaged, OSError."""
        try:
            found = read_file(self.root, "identity", 64).decode("ascii", "replace").strip()
        except FileNotFoundError:
            found = uuid.uuid4().hex
            replace_file(self.root, "identity", found.encode() + b"\n")
        if not _IDENTITY.match(found):
            raise ArchiveDamaged(f"{self.path}/identity cannot be understood")
        return found

    def first_number(self) -> int:
        """The first slot number of the present range."""
        return self.start << _COUNTER_BITS | 1

    def close(self) -> None:
        """Gives the lock back. Safe to call twice."""
        for folder in self._open_folders:
            folder.close()
        self._open_folders.clear()
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def make_with_parents(path: str) -> None:
    """Makes a folder and those above it, where they are missing. Raises OSError."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, FOLDER_MODE)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise


def sync_ancestors(path: str) -> None:
    """Makes the name of a folder, and of those above it, durable. Raises OSError."""
    folder = os.path.realpath(path)
    while folder != (parent := os.path.dirname(folder)):
        try:
            with Folder(parent, follow=True) as opened:
                opened.sync()
        except PermissionError:
            # Folders that we may pass but not read: only the whole system can be synced.
            os.sync()
        folder = parent


def wait_for_lock(path: str | os.PathLike[str]) -> None:
    """Returns when nobody has a data directory open. Raises OSError."""
    with Folder(os.fspath(path), follow=True) as root:
        fd = os.open("lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root.fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        finally:
            os.close(fd)


def _locked(root: Folder, path: str) -> int:
    fd = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=root.fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).strip()
        os.close(fd)
        raise ArchiveLocked(path, int(text) if text.isdigit() else None) from None
    except BaseException:
        os.close(fd)
        raise
    return fd
