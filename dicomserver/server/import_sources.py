"""Files that are to be imported: which there are, and what each is."""
from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dicomserver.archive.preamble import LENGTH, LONGEST_HEADER
from dicomserver.scu.part10_files import NotSendable, instance_in, read_meta
from dicomserver.scu.store import Instance
from dicomserver.wire.meta import FileMeta

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_BLOCK = 1 << 20
# Orthanc's StorageCompression: the length of what was compressed, little endian, then a zlib stream.
_SIZE = 8
_DEFLATE_32K = 0x78


class NotImportable(Exception):
    """`str()` says why, without the path. is_skipped: nobody would expect that it is imported."""

    def __init__(self, why: str, *, is_skipped: bool = False) -> None:
        super().__init__(why)
        self.is_skipped = is_skipped


@dataclass(frozen=True, slots=True)
class Source:
    """An open file, the user's to close. dataset_length: in bytes. is_original: fd is the file itself, not what was in
    it compressed. keeps_header: its meta header can be that of a file of the archive."""

    path: str
    fd: int
    instance: Instance
    meta: FileMeta
    dataset_length: int
    is_original: bool
    keeps_header: bool

    def has_free_preamble(self) -> bool:
        """Whether nobody uses the 128 bytes that belong to the implementation (PS3.10 7.1). Raises OSError."""
        return not any(os.pread(self.fd, LENGTH, 0))

    def source_ae(self) -> str:
        """The AE title that the header names as its source; "": none, or none that may be one."""
        return self.meta.source_ae if _is_ae_title(self.meta.source_ae) else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path to look at. unreadable: why a folder could not be listed; "" for anything else."""

    path: str
    unreadable: str = ""


def walk(folders: Sequence[str]) -> Iterator[Candidate]:
    """All below these folders but folders, in the order of their names; a path that is no folder is there itself.

    Symbolic links below them are not followed.
    """
    for folder in folders:
        if os.path.isdir(folder):
            yield from _below(folder)
        else:
            yield Candidate(folder)


def _below(folder: str) -> Iterator[Candidate]:
    unreadable: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=unreadable.append):
        yield from (Candidate(error.filename, error.strerror) for error in unreadable)
        unreadable.clear()
        folders.sort()
        yield from (Candidate(os.path.join(where, name)) for name in sorted(files))
    yield from (Candidate(error.filename, error.strerror) for error in unreadable)


def open_source(candidate: Candidate, make_scratch: Callable[[int], int]) -> Source:
    """make_scratch: a descriptor of an empty file with room for so many bytes. Raises NotImportable, and what
    make_scratch raises."""
    path = candidate.path
    if candidate.unreadable:
        raise NotImportable(f"this folder cannot be read: {candidate.unreadable}")
    if os.path.islink(path):
        raise NotImportable("a symbolic link", is_skipped=True)
    try:
        fd = os.open(path, _OPEN)
    except OSError as error:
        raise NotImportable(f"it cannot be read: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotImportable("no regular file", is_skipped=True)
        original, fd = fd, _inflated(fd, make_scratch)
        return _described(path, fd, fd == original)
    except BaseException as error:
        os.close(fd)
        if isinstance(error, NotSendable):
            raise NotImportable(f"it {error}", is_skipped=error.is_foreign) from None
        if isinstance(error, OSError):
            raise NotImportable(f"it cannot be read: {error.strerror}") from None
        raise


def _described(path: str, fd: int, is_original: bool) -> Source:
    try:
        meta = read_meta(fd)
    except NotSendable as error:
        if error.is_foreign and _begins_with_an_element(os.pread(fd, _SIZE, 0)):
            raise NotImportable("it is a dataset without the header of a DICOM file: nothing says how it is encoded") \
                from None
        raise
    instance = instance_in(fd, meta)
    keeps_header = (bool(meta.sop_class_uid and meta.sop_instance_uid) and meta.dataset_offset <= LONGEST_HEADER
                    and (not meta.source_ae or _is_ae_title(meta.source_ae)))
    return Source(path, fd, instance, meta, os.fstat(fd).st_size - meta.dataset_offset, is_original, keeps_header)


def _begins_with_an_element(head: bytes) -> bool:
    """Whether it looks like a dataset: an element of group 0002 or 0008, and then a VR, or a length that may be one."""
    if len(head) < _SIZE or head[:2] not in (b"\x02\0", b"\x08\0", b"\0\x08"):
        return False
    return head[4:6].isalpha() and head[4:6].isupper() or head[6:8] == b"\0\0"


def _inflated(fd: int, make_scratch: Callable[[int], int]) -> int:
    """The descriptor of what Orthanc has compressed, if it is that and DICOM, and `fd` closed; else `fd`."""
    head = os.pread(fd, _BLOCK, 0)
    if len(head) <= _SIZE or head[_SIZE] != _DEFLATE_32K or head[LENGTH:LENGTH + 4] == b"DICM":
        return fd
    inflater = zlib.decompressobj()
    try:
        if inflater.decompress(head[_SIZE:], LENGTH + 4)[LENGTH:] != b"DICM":
            return fd
    except zlib.error:
        return fd
    length = int.from_bytes(head[:_SIZE], "little")
    scratch = make_scratch(length)
    try:
        _inflate(fd, scratch, length)
    except BaseException:
        os.close(scratch)
        raise
    os.close(fd)
    return scratch


def _inflate(fd: int, scratch: int, length: int) -> None:
    inflater = zlib.decompressobj()
    compressed, offset, written = b"", _SIZE, 0
    try:
        while not inflater.eof and written <= length:
            if not compressed:
                compressed = os.pread(fd, _BLOCK, offset)
                offset += len(compressed)
                if not compressed:
                    break
            written += os.pwrite(scratch, inflater.decompress(compressed, _BLOCK), written)
            compressed = inflater.unconsumed_tail
    except zlib.error:
        raise NotImportable("it is compressed as Orthanc does it, and damaged") from None
    if written != length or not inflater.eof:
        raise NotImportable("it is compressed as Orthanc does it, and does not have its length")


def _is_ae_title(text: str) -> bool:
    return 0 < len(text) <= 16 and text.isascii() and text.isprintable() and "\\" not in text
