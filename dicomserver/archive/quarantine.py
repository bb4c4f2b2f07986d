"""Files that must neither be served nor lost: set aside for an operator, with the reason beside them."""
from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from dicomserver.archive.durable import OPEN_FILE, Folder, read_file, replace_file, status_of, unlink_if_there
from dicomserver.archive.errors import ArchiveError, InstanceMissing, QuarantineFailed, translated
from dicomserver.archive.layout import SUFFIX, slot_name, slot_number
from dicomserver.archive.preamble import read_header

_NOTE = ".json"
_LONGEST_NOTE = 1 << 16
_MOST_OF_ONE_NAME = 1000


class Kind(StrEnum):
    """Why a file lies here: `kind` among the details of its note, DAMAGED where they say none."""

    CONFLICT = "conflict"   # its SOP Instance UID was stored with other content
    REPLACED = "replaced"   # it was stored until somebody accepted another one in its place
    STRAY = "stray"         # it had the name of a stored instance, but no index row
    DAMAGED = "damaged"     # its header, its checksum or its dataset does not hold


@dataclass(slots=True, frozen=True)
class SetAside:
    """A file that lies here, and what its note says: "" where that is silent.

    name: <name>.dcm and <name>.json. set_aside_at: ISO 8601, UTC. file_length: bytes.
    """

    name: str
    kind: Kind
    reason: str
    set_aside_at: str
    sop_instance_uid: str
    source_ae: str
    file_length: int


class Quarantine:
    """The folder quarantine/. Thread-safe for different files."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def set_aside(self, folder: Folder, name: str, reason: str, details: Mapping[str, str | int]) -> str:
        """Moves a file of `folder` here: <name>.dcm and <name>.json; returns <name>.

        Durable before it leaves its place; after a crash calling it again ends at the same name. `details`
        say which UIDs and from which AE, never patient data. Raises QuarantineFailed, and the file is where
        it was.
        """
        with translated(QuarantineFailed, "setting a file aside"):
            base = self.keep(folder, name, reason, details)
            os.unlink(name, dir_fd=folder.fd)
        return base

    def keep(self, folder: Folder, name: str, reason: str, details: Mapping[str, str | int]) -> str:
        """The same, but the file stays in its place, too."""
        with translated(QuarantineFailed, "setting a file aside"):
            base = self._link(folder, name, _own_name(folder, name))
            note = {"reason": reason, "set_aside_at": datetime.now(UTC).isoformat(), **details}
            # Its sync of the folder makes the link durable too.
            replace_file(self._folder, base + _NOTE, json.dumps(note, indent=1).encode() + b"\n")
        return base

    def _link(self, folder: Folder, name: str, base: str) -> str:
        ours = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        for copy in range(_MOST_OF_ONE_NAME):
            candidate = f"{base}-{copy}" if copy else base
            try:
                os.link(name, candidate + SUFFIX, src_dir_fd=folder.fd, dst_dir_fd=self._folder.fd,
                        follow_symlinks=False)
            except FileExistsError:
                there = os.stat(candidate + SUFFIX, dir_fd=self._folder.fd, follow_symlinks=False)
                if not os.path.samestat(ours, there):
                    continue
            return candidate
        raise FileExistsError(f"{base} was set aside too often")

    def count(self) -> int:
        """How many files lie here."""
        with os.scandir(self._folder.fd) as entries:
            return sum(entry.name.endswith(SUFFIX) for entry in entries)

    def entries(self) -> list[SetAside]:
        """All files that lie here, by name. Raises QuarantineFailed."""
        with translated(QuarantineFailed, "reading the quarantine"), os.scandir(self._folder.fd) as entries:
            lengths = {entry.name.removesuffix(SUFFIX): entry.stat(follow_symlinks=False).st_size
                       for entry in entries if entry.name.endswith(SUFFIX)}
            return [self._entry(name, lengths[name]) for name in sorted(lengths)]

    def _entry(self, name: str, length: int) -> SetAside:
        try:
            note = json.loads(read_file(self._folder, name + _NOTE, _LONGEST_NOTE))
        except (FileNotFoundError, ValueError):
            note = {}       # an operator may have put the file here

        def said(key: str) -> str:
            value = note.get(key) if isinstance(note, dict) else None
            return value if isinstance(value, str) else ""

        kind = Kind(said("kind")) if said("kind") in set(Kind) else Kind.DAMAGED
        return SetAside(name, kind, said("reason"), said("set_aside_at"), said("sop_instance_uid"), said("source_ae"),
                        length)

    def open(self, name: str) -> int:
        """A descriptor of a file that lies here, the caller's to close. Raises InstanceMissing, OSError."""
        try:
            return os.open(name + SUFFIX, OPEN_FILE, dir_fd=self._folder.fd)
        except FileNotFoundError:
            raise InstanceMissing("the file is not in quarantine any more") from None

    def remove(self, name: str) -> None:
        """Removes a file and its note; durable when it returns. Safe to repeat. Raises QuarantineFailed."""
        with translated(QuarantineFailed, "removing a file from quarantine"):
            unlink_if_there(name + SUFFIX, self._folder)
            unlink_if_there(name + _NOTE, self._folder)
            self._folder.sync()

    def put_into(self, folder: Folder, name: str, target: str) -> None:
        """Gives a file that lies here a second name, `target` in `folder`, durably. Safe to repeat.

        Raises FileExistsError where another file has that name, OSError.
        """
        try:
            os.link(name + SUFFIX, target, src_dir_fd=self._folder.fd, dst_dir_fd=folder.fd, follow_symlinks=False)
        except FileExistsError:
            there = os.stat(target, dir_fd=folder.fd, follow_symlinks=False)
            if not self.has(name, there):
                raise
        folder.sync()

    def lies_here(self, name: str) -> bool:
        """Whether a file of that name does."""
        return status_of(name + SUFFIX, self._folder) is not None

    def has(self, name: str, status: os.stat_result) -> bool:
        """Whether the file of that name here is the one with this status."""
        ours = status_of(name + SUFFIX, self._folder)
        return ours is not None and os.path.samestat(ours, status)


def _own_name(folder: Folder, name: str) -> str:
    """Syncs the file's bytes, and says how to call it: by its slot, or by its inode if it does not tell."""
    status = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    unknown = f"inode-{status.st_ino}"
    if not stat.S_ISREG(status.st_mode):
        return unknown
    fd = os.open(name, OPEN_FILE, dir_fd=folder.fd)
    try:
        os.fdatasync(fd)
        return name if slot_number(name) is not None else slot_name(read_header(fd).preamble.slot)
    except ArchiveError:
        return unknown
    finally:
        os.close(fd)
