"""Whole files become slots: those that an import has laid into imports/ (dicomserver.archive.imports), or has written
into slots that were lent to it.

    fd = adopting.open(name)            nobody has written a preamble there yet
    adopting.mark(slot, fd, …)          the preamble is written
    adopting.seal(slot, name, fd)       the file is durable, and the slot's name is the file's
    adopting.settle()                   so that recovery finds it: one sync for the names of many

A lent slot is the file already. Of others a rename replaces the slot's own empty file: until `settle` a power cut
leaves the slot empty or with the whole file; what was in imports/ is nobody's, and the next import removes it.
"""
from __future__ import annotations

import os
import re
import stat
from contextlib import suppress

from dicomserver.archive.durable import OPEN_FILE, Folder
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing
from dicomserver.archive.intake import Slot
from dicomserver.archive.layout import IMPORTS, DataDirectory
from dicomserver.archive.preamble import LENGTH, LONGEST_HEADER, Preamble, pack
from dicomserver.wire.errors import MetaError
from dicomserver.wire.meta import FileMeta
from dicomserver.wire.part10 import decode_file_meta

_NAME = re.compile(r"[0-9a-f]{32}\Z")
_PREFIX = LENGTH + len(b"DICM")


class Adopting:
    """Thread-safe for different files and slots."""

    def __init__(self, directory: DataDirectory) -> None:
        self._root = directory.root
        self._intake = directory.intake

    def open(self, name: str) -> int:
        """A descriptor of a file of imports/, the caller's to close.

        Raises InstanceMissing, InstanceDamaged, OSError.
        """
        if not _NAME.match(name):
            raise InstanceMissing("no file of an import is called so")
        try:
            with Folder(IMPORTS, self._root) as imports:
                fd = os.open(name, os.O_RDWR | OPEN_FILE, dir_fd=imports.fd)
        except FileNotFoundError:
            raise InstanceMissing("the file is not in imports/ any more") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise InstanceDamaged("it is no file")
        return fd

    def place_of(self, slot: Slot) -> str:
        """Where a slot is in the data directory, for the process that writes into it."""
        intake, root = (os.readlink(f"/proc/self/fd/{folder.fd}") for folder in (self._intake, self._root))
        return os.path.relpath(os.path.join(intake, slot.name), root)

    def mark(self, slot: Slot, fd: int, meta: FileMeta, checksum: int, order: int) -> None:
        """Writes the preamble into an open file of which `read_foreign_header` gave the meta.

        checksum: of its dataset. order: see dicomserver.archive.claims. Raises OSError.
        """
        head = os.pread(fd, meta.dataset_offset, 0)
        preamble = Preamble(os.fstat(fd).st_size, checksum, slot.number, meta.dataset_offset, order=order)
        # One write within a page: no SIGKILL, and no power cut, leaves a part of it.
        os.pwrite(fd, pack(preamble, head[_PREFIX:])[:LENGTH], 0)

    def seal(self, slot: Slot, name: str, fd: int) -> None:
        """Makes a file that was marked durable, and the slot's own. On success the slot has the descriptor; of a lent
        slot it had it before.

        Raises OSError: the file must not be used any more, and the slot is as it was.
        """
        os.fdatasync(fd)
        if fd == slot.fd:
            return
        with Folder(IMPORTS, self._root) as imports:
            os.rename(name, slot.name, src_dir_fd=imports.fd, dst_dir_fd=self._intake.fd)
        empty, slot.fd = slot.fd, fd
        with suppress(OSError):     # a late report of what could not be written: nothing was
            os.close(empty)

    def settle(self) -> None:
        """The names of all slots that were sealed before are durable. Raises OSError."""
        self._intake.sync()


def read_foreign_header(fd: int) -> FileMeta:
    """The meta header of a complete Part 10 file whose preamble is free. Raises InstanceDamaged, OSError."""
    head = os.pread(fd, LONGEST_HEADER, 0)
    try:
        meta = decode_file_meta(head)
    except MetaError as error:
        raise InstanceDamaged(f"its header cannot be read: {error}") from None
    if any(head[:LENGTH]):
        raise InstanceDamaged("its preamble is in use")
    return meta
