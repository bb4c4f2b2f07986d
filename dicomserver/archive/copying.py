"""Copies that can be relied on: a name stands only for what is whole, durable, and was read back from the disk.

Nothing but plain files, folders and renames is asked of the target: a USB stick (FAT) or a share (SMB) will do.
"""
from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from dicomserver.archive.durable import FILE_MODE, NEW_FILE, Folder, open_or_make, replace_file
from dicomserver.archive.errors import CopyFailed, InstanceDamaged, translated, unreadable_is_damaged

INCOMING = "incoming"
AT_ONCE = 1 << 20       # bytes in memory, whatever the file's size
FILES_AT_ONCE = 64      # a batch: enough for syncs to be shared, few descriptors
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)   # of file systems that write names at once


@dataclass(slots=True, eq=False)
class Copy:
    """A file to be copied.

    source: its descriptor, the caller's to close. length: in bytes. place: the copy's path below the target's root.
    check: reads a descriptor and raises InstanceDamaged unless it holds the right bytes.
    """

    source: int
    length: int
    place: str
    check: Callable[[int], None]


class Copies:
    """Makes copies below `root`; what is not complete lies in incoming/. For one thread."""

    def __init__(self, root: Folder) -> None:
        """Removes what an earlier one left unfinished. Raises CopyFailed."""
        self._root = root
        self._changed: set[str] = set()     # folders whose names are not durable yet
        with translated(CopyFailed, "making the copy"):
            self.incoming, _ = open_or_make(INCOMING, root)
            for name in os.listdir(self.incoming.fd):
                os.unlink(name, dir_fd=self.incoming.fd)

    def copy(self, batch: Sequence[Copy]) -> dict[str, str]:
        """-> what is wrong with damaged sources, by place; all other copies are there, durable and verified.

        As many more descriptors as the batch has files are open meanwhile. Raises CopyFailed.
        """
        with translated(CopyFailed, "making the copy"):
            bad = self._attempt(batch)
            faults = {one.place: fault for one in bad if (fault := fault_of(one.source, one.check))}
            if self._attempt([one for one in bad if one.place not in faults]):
                raise OSError(errno.EIO, "twice something else was read than was written")
            self.settle()
        return faults

    def name(self, part: str, place: str) -> None:
        """Gives a durable file in incoming/ its place; the name is durable only after `settle`."""
        path, _, name = place.rpartition("/")
        with self._opened(path) as folder:
            os.rename(part, name, src_dir_fd=self.incoming.fd, dst_dir_fd=folder.fd)
        self._changed.add(path)

    def rely_on(self, place: str) -> None:
        """A file is at its place already: who made it may have been killed before its name was durable. As `name`."""
        while place:
            place = place.rpartition("/")[0]
            self._changed.add(place)

    def settle(self) -> None:
        """Makes all names durable. Raises OSError."""
        for path in sorted(self._changed):
            with self._opened(path) as folder:
                sync_names(folder)
        self._changed.clear()

    def close(self, *, remove: bool = False) -> None:
        """remove: incoming/ too, which must be empty."""
        self.incoming.close()
        if remove:
            with translated(CopyFailed, "making the copy"):
                os.rmdir(INCOMING, dir_fd=self._root.fd)

    def _attempt(self, batch: Sequence[Copy]) -> list[Copy]:
        """-> those whose copy is not what it should be."""
        bad: list[Copy] = []
        with ExitStack() as opened:
            parts = []
            for number, one in enumerate(batch):
                fd = self._new_part(f"{number}.part")
                opened.callback(os.close, fd)
                parts.append((one, f"{number}.part", fd, _transfer(one, fd)))
            # All are written before the first sync: it takes most of the others along.
            for _, _, fd, _ in parts:
                os.fsync(fd)
            for one, part, fd, complete in parts:
                if not complete or fault_of(fd, one.check):
                    bad.append(one)
                    os.unlink(part, dir_fd=self.incoming.fd)
                else:
                    self.name(part, one.place)
        return bad

    def _new_part(self, name: str) -> int:
        return os.open(name, NEW_FILE, FILE_MODE, dir_fd=self.incoming.fd)

    def _opened(self, path: str) -> Folder:
        """The folder of that path below the root, made where it is missing."""
        folder, so_far = Folder(".", self._root), ""
        for step in filter(None, path.split("/")):
            with folder as parent:
                folder, is_new = open_or_make(step, parent)
            if is_new:
                self._changed.add(so_far)
            so_far = f"{so_far}/{step}".lstrip("/")
        return folder


def fault_of(fd: int, check: Callable[[int], None]) -> str:
    """What is wrong with a file that is read anew from the disk; "" if nothing is. Raises OSError."""
    try:
        with unreadable_is_damaged():
            # What lies in the page cache proves nothing of the disk.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            check(fd)
    except InstanceDamaged as damage:
        return str(damage)
    return ""


def replace_small(folder: Folder, name: str, data: bytes) -> None:
    """As durable.replace_file, on any file system. Raises OSError."""
    try:
        replace_file(folder, name, data)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def sync_names(folder: Folder) -> None:
    """Makes the names in a folder durable, on file systems that know of it. Raises OSError."""
    try:
        folder.sync()
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _transfer(one: Copy, fd: int) -> bool:
    """Whether all bytes of the source could be read; raises OSError where they cannot be written."""
    offset = 0
    while offset < one.length:
        try:
            block = memoryview(os.pread(one.source, min(AT_ONCE, one.length - offset), offset))
        except OSError:
            return False
        if not block:
            return False
        offset += len(block)
        while block:
            block = block[os.write(fd, block):]
    return True
