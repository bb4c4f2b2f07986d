"""Files that must neither be served nor lost: set aside for an operator, with the reason beside them."""
from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime

from dicomserver.archive.durable import OPEN_FILE, Folder, replace_file
from dicomserver.archive.errors import ArchiveError, QuarantineFailed, translated
from dicomserver.archive.layout import SUFFIX, slot_name, slot_number
from dicomserver.archive.preamble import read_header

_MOST_OF_ONE_NAME = 1000


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
            base = self._link(folder, name, _own_name(folder, name))
            note = {"reason": reason, "set_aside_at": datetime.now(UTC).isoformat(), **details}
            # Its sync of the folder makes the link durable too.
            replace_file(self._folder, base + ".json", json.dumps(note, indent=1).encode() + b"\n")
            os.unlink(name, dir_fd=folder.fd)
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
