"""Part 10 files on our disk as something to be sent: finding them, and reading the begin of each (PS3.10 7.1)."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dicomserver.scu.store import Instance
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.standard.uids import is_valid_uid
from dicomserver.wire.errors import DatasetError, MetaError
from dicomserver.wire.meta import FileMeta
from dicomserver.wire.part10 import decode_file_meta
from dicomserver.wire.scanner import DatasetScanner
from dicomserver.wire.wanted import Wanted

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
_FIRST_READ = 4096
_LONGEST_META = 1 << 20
_READ_BLOCK = 1 << 16
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK      # a pipe must not make us wait
_NOTHING = Wanted(())


class NotSendable(Exception):
    """`str()` says in one line why, without the path. is_foreign: it is no DICOM instance at all, and in a folder
    nobody would expect that it is sent."""

    def __init__(self, why: str, *, is_foreign: bool = False):
        super().__init__(why)
        self.is_foreign = is_foreign


@dataclass(frozen=True, slots=True)
class Part10File:
    """A file that can be sent. offset, length: where its dataset lies, in bytes."""

    path: str
    instance: Instance
    offset: int
    length: int

    @contextmanager
    def opened(self) -> Iterator[tuple[int, int, int]]:
        """Descriptor, offset and length of the dataset. Raises OSError."""
        fd = os.open(self.path, _OPEN)
        try:
            yield fd, self.offset, self.length
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class Found:
    """A path to look at. is_named: the user named it himself, or asked for it by a pattern."""

    path: str
    is_named: bool


def find_files(paths: Iterable[str], *, recursive: bool) -> Iterator[Found]:
    """The files that `paths` mean: files, folders with all below them if `recursive`, and patterns (`*`, `?`, `[…]`,
    `**`) that the shell has left as they are. In the order of the names.

    What is not there, and a folder that is not to be looked into, comes as it was named: reading it says why not.
    """
    for path in paths:
        named = [path] if os.path.lexists(path) else sorted(glob.glob(path, recursive=True)) or [path]
        for one in named:
            if recursive and os.path.isdir(one):
                yield from (Found(file, False) for file in _below(one))
            else:
                yield Found(one, True)


def _below(folder: str) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        folders.sort()
        yield from (os.path.join(where, name) for name in sorted(files))


def read_file(path: str) -> Part10File:
    """Reads what has to be known of a file before it is sent. Raises NotSendable."""
    try:
        fd = os.open(path, _OPEN)
    except OSError as error:
        raise NotSendable(f"cannot be read: {error.strerror}") from None
    try:
        return _read(path, fd)
    except IsADirectoryError:
        raise NotSendable("is a folder: -r sends what is in it") from None
    except OSError as error:
        raise NotSendable(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(fd)


def _read(path: str, fd: int) -> Part10File:
    meta = read_meta(fd)
    length = os.fstat(fd).st_size - meta.dataset_offset
    return Part10File(path, instance_in(fd, meta), meta.dataset_offset, length)


def read_meta(fd: int) -> FileMeta:
    """The meta header of an open file. Raises NotSendable, OSError."""
    head = os.pread(fd, _FIRST_READ, 0)
    try:
        try:
            return decode_file_meta(head)
        except MetaError:
            if len(head) < _FIRST_READ or head[128:132] != b"DICM":
                raise
            return decode_file_meta(os.pread(fd, _LONGEST_META, 0))
    except MetaError as error:
        if head[128:132] != b"DICM":
            raise NotSendable("is no DICOM file", is_foreign=True) from None
        raise NotSendable(f"has a damaged header: {error}") from None


def instance_in(fd: int, meta: FileMeta) -> Instance:
    """What the file with this meta header holds; where that does not say it, the dataset does.

    Raises NotSendable, OSError.
    """
    sop_class, sop_instance = meta.sop_class_uid, meta.sop_instance_uid
    if not (sop_class and sop_instance):
        length = os.fstat(fd).st_size - meta.dataset_offset
        sop_class, sop_instance, _, _ = _identity(fd, meta.dataset_offset, length, meta.transfer_syntax_uid)
    if sop_class == MEDIA_STORAGE_DIRECTORY:
        raise NotSendable("is a DICOMDIR, which holds no image", is_foreign=True)
    if not all(map(is_valid_uid, (sop_class, sop_instance, meta.transfer_syntax_uid))):
        raise NotSendable("does not say which SOP class or instance it is")
    return Instance(sop_class, sop_instance, meta.transfer_syntax_uid)


def read_identity(file: Part10File) -> tuple[str, str, str, str]:
    """SOP Class, SOP Instance, Study Instance and Series Instance UID as the dataset itself has them, "" where it has
    none. Raises NotSendable."""
    try:
        with file.opened() as (fd, offset, length):
            return _identity(fd, offset, length, file.instance.transfer_syntax_uid)
    except OSError as error:
        raise NotSendable(f"cannot be read: {error.strerror}") from None


def _identity(fd: int, offset: int, length: int, transfer_syntax: str) -> tuple[str, str, str, str]:
    how = encoding(transfer_syntax)
    scanner = DatasetScanner(_NOTHING, how.explicit, how.big_endian, how.deflated)
    end = offset + length
    all_seen = False
    try:
        while offset < end and not all_seen:
            all_seen = None not in scanner.values.identity     # the last one may still lack its end: one more piece
            piece = os.pread(fd, min(_READ_BLOCK, end - offset), offset)
            if not piece:
                break
            scanner.feed(piece)
            offset += len(piece)
            offset += scanner.skip(end - offset)
    except DatasetError as error:
        if None in scanner.values.identity[:2]:
            raise NotSendable(f"has a damaged dataset: {error}") from None
    return tuple((value or b"").rstrip(b"\0 ").decode("ascii", "replace") for value in scanner.values.identity)
