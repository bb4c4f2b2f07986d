"""Opening stored instances, whichever name they have at the moment."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from dicomserver.archive.checksum import Checksum
from dicomserver.archive.durable import OPEN_FILE, Folder
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing, unreadable_is_damaged
from dicomserver.archive.layout import DataDirectory, checked_uid, instance_name, slot_name
from dicomserver.archive.preamble import Preamble, check_length, check_whole, read_header
from dicomserver.wire.meta import FileMeta

_COMPARE_AT_ONCE = 1 << 20
_DIGEST_AT_ONCE = 1 << 20


class StoredInstance(Protocol):
    """What a stored instance is compared by; the index's rows have it. Fields as in dicomserver.archive.preamble."""

    slot: int
    file_length: int
    dataset_offset: int
    checksum: int
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


def open_instance(directory: DataDirectory, slot: int, study_instance_uid: str, series_instance_uid: str,
                  sop_instance_uid: str) -> int:
    """A descriptor of the whole file, verified to be that slot's and that SOP Instance UID's.

    The caller owns it. Header and length are checked, the dataset's checksum is not. Moving or deleting the
    file meanwhile does not disturb a reader. Raises InstanceMissing, InstanceDamaged, InvalidUid, OSError.
    """
    study, series, name = (checked_uid(study_instance_uid), checked_uid(series_instance_uid),
                           instance_name(sop_instance_uid))
    intake = directory.intakes.of(slot)
    fd = _open(slot_name(slot), intake)
    if fd is None:
        fd = open_filed(directory.root, study, series, name)
    if fd is None:
        # While the mover replaces a stray, the final name is away for a moment; the slot is not.
        fd = _open(slot_name(slot), intake)
    if fd is None:
        raise InstanceMissing("neither the slot nor the file is there")
    try:
        header = read_header(fd)
        if header.preamble.slot != slot or header.meta.sop_instance_uid != sop_instance_uid:
            raise InstanceDamaged("another instance has its name")
        check_length(fd, header.preamble)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open(name: str, folder: Folder) -> int | None:
    try:
        return os.open(name, OPEN_FILE, dir_fd=folder.fd)
    except FileNotFoundError:
        return None


def open_filed(root: Folder, study_uid: str, series_uid: str, name: str) -> int | None:
    """A descriptor of what has an instance's final name, nothing verified; None where a part of it is missing."""
    try:
        with Folder(study_uid, root) as study, Folder(series_uid, study) as series:
            return _open(name, series)
    except FileNotFoundError:
        return None


def verify(directory: DataDirectory, stored: StoredInstance) -> None:
    """Reads a stored instance to its end, and compares it with its own header and with what the index says.

    Raises InstanceMissing, InstanceDamaged, InvalidUid, OSError.
    """
    with _opened_anew(directory, stored) as (fd, preamble):
        check_whole(fd, preamble)


def digest(directory: DataDirectory, stored: StoredInstance, on_read: Callable[[int], None]) -> bytes:
    """The SHA-256 of the whole file of a stored instance, verified on the way as `verify` does.

    on_read: told after each block how many bytes it had; may wait, and what it raises ends it. The file is not left in
    the page cache. Raises as `verify` does.
    """
    with _opened_anew(directory, stored) as (fd, preamble):
        check_length(fd, preamble)
        whole, dataset = hashlib.sha256(), Checksum()
        block = memoryview(bytearray(min(_DIGEST_AT_ONCE, preamble.file_length)))
        offset = 0
        while length := os.preadv(fd, [block], offset):
            part = block[:length]
            whole.update(part)
            dataset.update(part[max(0, preamble.dataset_offset - offset):])
            os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)
            offset += length
            on_read(length)
        if dataset.value() != preamble.checksum:
            raise InstanceDamaged("the dataset's checksum does not hold")
        return whole.digest()


@contextmanager
def _opened_anew(directory: DataDirectory, stored: StoredInstance) -> Iterator[tuple[int, Preamble]]:
    """A stored instance, to be read from the disk; its header is what the index says."""
    with unreadable_is_damaged():
        fd = open_instance(directory, stored.slot, stored.study_instance_uid, stored.series_instance_uid,
                           stored.sop_instance_uid)
        try:
            # What lies in the page cache proves nothing of the disk. Pages that are not written yet stay.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            preamble = read_header(fd).preamble
            if (preamble.checksum, preamble.file_length, preamble.dataset_offset) != (
                    stored.checksum, stored.file_length, stored.dataset_offset):
                raise InstanceDamaged("the file and the index disagree")
            yield fd, preamble
        finally:
            os.close(fd)


def holds(directory: DataDirectory, fd: int, there: StoredInstance) -> bool:
    """Whether a complete file has the dataset of a stored instance, every byte, in the same transfer syntax.

    Raises InstanceMissing or InstanceDamaged where one of the two cannot be read, OSError.
    """
    header = read_header(fd)
    return header.preamble.checksum == there.checksum and holds_dataset(directory, fd, header.meta, there)


def holds_dataset(directory: DataDirectory, fd: int, meta: FileMeta, there: StoredInstance) -> bool:
    """The same of any Part 10 file whose meta header is `meta`."""
    length = there.file_length - there.dataset_offset
    if (meta.transfer_syntax_uid, os.fstat(fd).st_size - meta.dataset_offset) != (there.transfer_syntax_uid, length):
        return False
    theirs = open_instance(directory, there.slot, there.study_instance_uid, there.series_instance_uid,
                           there.sop_instance_uid)
    try:
        return same_bytes(fd, meta.dataset_offset, theirs, there.dataset_offset, length)
    finally:
        os.close(theirs)


def same_dataset(fd: int, other_fd: int) -> bool:
    """Whether two complete files have the same dataset, every byte, in the same transfer syntax. Raises InstanceDamaged
    where a header cannot be read, OSError."""
    ours, theirs = read_header(fd), read_header(other_fd)
    if (ours.preamble.checksum, ours.meta.transfer_syntax_uid) != (
            theirs.preamble.checksum, theirs.meta.transfer_syntax_uid):
        return False
    length, their_length = (header.preamble.file_length - header.preamble.dataset_offset for header in (ours, theirs))
    return length == their_length and same_bytes(fd, ours.preamble.dataset_offset, other_fd,
                                                 theirs.preamble.dataset_offset, length)


def same_bytes(fd: int, offset: int, other_fd: int, other_offset: int, length: int) -> bool:
    """Whether two files have the same `length` bytes from their offsets; both must have them all."""
    while length > 0:
        ours = os.pread(fd, min(length, _COMPARE_AT_ONCE), offset)
        theirs = os.pread(other_fd, len(ours), other_offset)
        if not ours or ours != theirs:
            return False
        offset += len(ours)
        other_offset += len(ours)
        length -= len(ours)
    return True
