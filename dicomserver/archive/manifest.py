"""What belongs to one backup: a file of JSON lines that seals itself with a digest, so that half of one is none.

    {"backup": 1, "begun": …}                       the first line
    ["instance", slot, checksum, length, study, series, SOP instance]
    ["absent", slot, SOP instance]                  the index's copy has its row, but it was deleted meanwhile, or lost
    ["file", path, length, SHA-256, modified]       any other file of the data directory; the index's copy too
    {"sha256": …, "instances": …}                   the last line; the digest is that of all lines before

Instances are in the order of the index's copy.
"""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from dicomserver.archive.durable import FILE_MODE, NEW_FILE, OPEN_FILE, Folder
from dicomserver.archive.errors import BackupDamaged, InstanceDamaged, InvalidUid
from dicomserver.archive.layout import checked_uid, instance_name, slot_name
from dicomserver.archive.preamble import check_whole, read_header

VERSION = 1
_SHARD_BITS = 12        # instances of a folder
_LONGEST_LINE = _WRITTEN_AT_ONCE = 1 << 16


@dataclass(slots=True, frozen=True)
class ListedInstance:
    """A stored instance; fields as in dicomserver.index.Stored. length: of the file, in bytes."""

    slot: int
    checksum: int
    length: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str

    @property
    def place(self) -> str:
        """Where it is in the backup. Slot and checksum make it another name whenever it is another file."""
        return f"instances/{self.slot >> _SHARD_BITS:013x}/{slot_name(self.slot)}-{self.checksum:016x}.dcm"

    @property
    def path(self) -> str:
        """Where it is in a data directory. Raises InvalidUid."""
        return "/".join((checked_uid(self.study_instance_uid), checked_uid(self.series_instance_uid),
                         instance_name(self.sop_instance_uid)))

    def check(self, fd: int) -> None:
        """Reads an open file to its end; raises InstanceDamaged unless it is this instance, whole."""
        header = read_header(fd)
        if (header.preamble.slot, header.preamble.checksum, header.meta.sop_instance_uid) != (
                self.slot, self.checksum, self.sop_instance_uid):
            raise InstanceDamaged("another instance has its name")
        check_whole(fd, header.preamble)


@dataclass(slots=True, frozen=True)
class AbsentInstance:
    """A row of the index's copy that has no file in the backup."""

    slot: int
    sop_instance_uid: str


@dataclass(slots=True, frozen=True)
class ListedFile:
    """A file that is no instance of the index. path: in the data directory; modified: its time there, in nanoseconds,
    by which the next backup sees whether it has changed."""

    path: str
    length: int
    sha256: str
    modified: int

    @property
    def place(self) -> str:
        """Where it is in the backup."""
        return f"files/{self.sha256}"

    def check(self, fd: int) -> None:
        """As ListedInstance.check."""
        if digest_of(fd, self.length) != self.sha256:
            raise InstanceDamaged("its digest does not hold")


Entry = ListedInstance | AbsentInstance | ListedFile
_KINDS = {"instance": ListedInstance, "absent": AbsentInstance, "file": ListedFile}
_WORDS = {kind: word for word, kind in _KINDS.items()}


def digest_of(fd: int, length: int) -> str:
    """SHA-256 of the first `length` bytes of an open file, of fewer where it ends before. Raises OSError."""
    digest, offset = hashlib.sha256(), 0
    while offset < length and (block := os.pread(fd, min(1 << 20, length - offset), offset)):
        digest.update(block)
        offset += len(block)
    return digest.hexdigest()


class ManifestWriter:
    """Writes a manifest; it is none before `seal`. Raises OSError."""

    def __init__(self, folder: Folder, name: str, begun: str) -> None:
        self._fd = os.open(name, NEW_FILE, FILE_MODE, dir_fd=folder.fd)
        self._pending = bytearray()
        self._digest = hashlib.sha256()
        self._instances = 0
        self._write({"backup": VERSION, "begun": begun})

    def add(self, entry: Entry) -> None:
        """In which order is the caller's business."""
        self._instances += isinstance(entry, ListedInstance)
        self._write([_WORDS[type(entry)], *astuple(entry)])

    def seal(self) -> None:
        """All is in it: the file is complete and its bytes are durable. Its name is not."""
        self._write({"sha256": self._digest.hexdigest(), "instances": self._instances})
        self._flush()
        os.fsync(self._fd)
        self.close()

    def close(self) -> None:
        """Safe to call twice. What was not sealed may be lost."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _write(self, line: object) -> None:
        octets = json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"
        self._digest.update(octets)
        self._pending += octets
        if len(self._pending) >= _WRITTEN_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        with memoryview(self._pending) as pending:
            written = 0
            while written < len(pending):
                written += os.write(self._fd, pending[written:])
        self._pending.clear()


class Manifest:
    """A complete manifest. Every method reads the file anew: memory stays flat.

    begun: when the backup was begun, ISO 8601. instances: how many it has. Raises BackupDamaged, OSError.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self._name = name
        first, last = self._ends()
        try:
            self.begun, self.instances = str(first["begun"]), int(last["instances"])
            version = int(first["backup"])
        except (KeyError, TypeError, ValueError):
            raise BackupDamaged("the backup's list cannot be understood") from None
        if version > VERSION:
            raise BackupDamaged("a newer version of dicom-server made this backup: install that one")

    def entries(self) -> Iterator[Entry]:
        """One after the other."""
        for line in self._lines():
            if line.startswith(b"["):
                yield _entry_of(line)

    def _ends(self) -> tuple[dict, dict]:
        """The first and the last line, once all between them is known to be what was written."""
        digest, first, last = hashlib.sha256(), b"", b""
        for line in self._lines():
            first = first or line
            digest.update(last)
            last = line
        try:
            head, end = json.loads(first), json.loads(last)
            is_whole = last.endswith(b"\n") and end["sha256"] == digest.hexdigest()
        except (ValueError, KeyError, TypeError):
            is_whole = False
        if not is_whole or not isinstance(head, dict):
            raise BackupDamaged("the backup's list is damaged")
        return head, end

    def _lines(self) -> Iterator[bytes]:
        with os.fdopen(os.open(self._name, OPEN_FILE, dir_fd=self._folder.fd), "rb") as file:
            while line := file.readline(_LONGEST_LINE):
                yield line


def _entry_of(line: bytes) -> Entry:
    try:
        word, *values = json.loads(line)
        entry = _KINDS[word](*values)
        if isinstance(entry, ListedInstance):
            entry.path      # raises unless all of it may be part of a path
        elif isinstance(entry, ListedFile) and not _is_inside(entry.path):
            raise ValueError
        return entry
    except (ValueError, KeyError, TypeError, InvalidUid):
        raise BackupDamaged("the backup's list cannot be understood") from None


def _is_inside(path: str) -> bool:
    return all(step not in ("", ".", "..") for step in path.split("/"))
