"""The data directory: its folders, its lock, its format, and how a UID or a slot number becomes a name.

    <data>/format                        JSON, {"format": 1, ...}; written last when the directory is made
    <data>/starts                        how often the archive was opened; high half of every slot number
    <data>/identity                      32 hex digits; made for the first backup
    <data>/lock                          flock; holds the number of the process
    <data>/kept.json                     see dicomserver.archive.keeping
    <data>/index.json                    see dicomserver.archive.index_record
    <data>/intake/<16 hex digits>        slots
    <data>/nodes/                        of several servers, see dicomserver.archive.nodes
    <data>/quarantine/  <data>/tombstones/
    <data>/trash/                        see dicomserver.archive.trash
    <data>/commitments/                  made when it is first needed
    <data>/room                          see dicomserver.archive.space
    <data>/imports/                      while an import runs, see dicomserver.archive.imports
    <data>/<StudyInstanceUID>/<SeriesInstanceUID>/<SOPInstanceUID>.dcm

A server alone holds the lock for itself, nodes share it. A slot's number says whose it is:

    bits 62-56  the node, 0: a server alone     55-32  its start     31-0  counts
"""
from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import uuid

from dicomserver.archive.durable import FOLDER_MODE, Folder, open_or_make, read_file, replace_file, status_of
from dicomserver.archive.errors import ArchiveDamaged, ArchiveTooNew, ArchiveUnusable, InvalidUid
from dicomserver.archive.nodes import (ALONE, Home, Intakes, Nodes, home_path, intake_path, lock_alone, lock_shared,
                                       node_of, start_of)
from dicomserver.standard.uids import is_valid_uid

FORMAT = 2              # what this program knows
_WITHOUT_NODES = 1      # the format of a directory that no node has used
SUFFIX = ".dcm"
OWN_FOLDERS = ("intake", "quarantine", "tombstones")
IMPORTS = "imports"
FORMAT_FILE = "format"
# The format of a data directory while it is restored: no server starts on a part of an archive.
UNFINISHED = b'{"format": null, "unfinished": "restore"}\n'
_IDENTITY = re.compile(r"[0-9a-f]{32}\Z")
_SLOT_NAME = re.compile(r"[0-9a-f]{16}\Z")


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


def slot_path(slot: int) -> str:
    """Where a slot of that number is, relative to the data directory."""
    return f"{intake_path(node_of(slot))}/{slot_name(slot)}"


def slot_number(name: str) -> int | None:
    """The number of the slot of that name; None when no slot is ever called so."""
    return int(name, 16) if _SLOT_NAME.match(name) else None


class DataDirectory:
    """An open and locked data directory. Threads may share it.

    node: 0 for a server that is alone; else several processes may have it open, each under a number of its own.
    """

    def __init__(self, path: str | os.PathLike[str], node: int = ALONE) -> None:
        """Opens the directory and makes it when it is not there. Raises ArchiveUnusable and its kinds."""
        self.path = os.path.abspath(path)
        self.node = node
        self.nodes: Nodes | None = None
        self.intakes: Intakes | None = None
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
        if self.node:
            self._lock = lock_shared(self.root, self.path, self._prepare)
            self.nodes = Nodes(self.root, self.node, self.path)
            self._home = Home(self.nodes.home, self.node, self.nodes.path)
        else:
            self._lock = lock_alone(self.root, self.path)
            self._home = Home(self.root, ALONE, self.path)
            self._prepare()
        self.intake = self._kept(Folder("intake", self._home.folder))
        self.intakes = Intakes(self.root, self.node, self.intake)
        self.quarantine, self.tombstones = (self._kept(Folder(name, self.root)) for name in OWN_FOLDERS[1:])
        # Directories of earlier versions have none. Its name is durable when the start is counted.
        self.trash = self._kept(open_or_make("trash", self.root)[0])
        self.opened_start = self.start = self._home.read_starts() + 1
        self._home.write_starts(self.start)

    def _prepare(self) -> None:
        """Nobody else has the directory meanwhile."""
        version = self._read_format()
        if not version:
            self._create()
        if self.node and version < FORMAT:
            # A server that knows no nodes would not look into their intakes.
            open_or_make("trash", self.root)[0].close()
            self._write_format(FORMAT)

    @property
    def is_shared(self) -> bool:
        """Whether other processes may have it open, too."""
        return self.nodes is not None

    def _kept(self, folder: Folder) -> Folder:
        self._open_folders.append(folder)
        return folder

    def _read_format(self) -> int:
        """0: it is not made yet."""
        try:
            text = read_file(self.root, FORMAT_FILE, 4096)
        except FileNotFoundError:
            return 0
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
        return version

    def _write_format(self, version: int) -> None:
        replace_file(self.root, FORMAT_FILE, json.dumps({"format": version}).encode() + b"\n")

    def _create(self) -> None:
        for name in OWN_FOLDERS:
            open_or_make(name, self.root)[0].close()
        alone = Home(self.root, ALONE, self.path)
        # A crash between the two files must not begin again with numbers that slots have had.
        alone.write_starts(alone.read_starts() if status_of("starts", self.root) else 0)
        # Also those that exist: an earlier process may have made them and died before it synced.
        sync_ancestors(self.path)
        self._write_format(_WITHOUT_NODES)

    def next_start(self) -> int:
        """A new range of slot numbers, durable when it returns, for when 2**32 slots were made."""
        self.start += 1
        self._home.write_starts(self.start)
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
        return self._home.first_number(self.start)

    def has_had(self, slot: int) -> bool:
        """Whether a slot's number may be one that this archive has given out; else a slot to come will have it."""
        node = node_of(slot)
        if node == self.node:
            return start_of(slot) <= self.start
        try:
            if node == ALONE:
                return start_of(slot) <= Home(self.root, ALONE, self.path).read_starts()
            with Folder(home_path(node), self.root) as folder:
                return start_of(slot) <= Home(folder, node, self.path).read_starts()
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Gives the lock back. Safe to call twice."""
        for folder in self._open_folders:
            folder.close()
        self._open_folders.clear()
        for part in (self.intakes, self.nodes):
            if part is not None:
                part.close()
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
