"""The 128 bytes in front of "DICM" (PS3.10 7.1 leaves them to the implementation) and the header they seal.

    offset  0  magic              8 bytes
            8  file_length        u64   of the whole file
           16  checksum           u64   XXH3-64 of the dataset's bytes
           24  slot               u64   number of the slot that the file was received in, unique for ever
           32  dataset_offset     u32   where the dataset begins
           36  flags              u32
           40  header checksum    u64   XXH3-64 of the first dataset_offset bytes with this field zero
           48  order              u64   counts the sealed headers of one start: of two slots with the same SOP Instance
                                        UID, only the one sealed first can have been acknowledged
           56  zero

All little-endian. The preamble is written last, within one page, which no SIGKILL breaks apart: so a file without
it was never acknowledged, and one with it and a checksum that does not hold was damaged, by a power cut or the disk.
"""
from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from dicomserver.archive.checksum import checksum_file, xxh3_64
from dicomserver.archive.errors import InstanceDamaged, NoPreamble
from dicomserver.wire.errors import MetaError
from dicomserver.wire.part10 import FileMeta, decode_file_meta

MAGIC = b"DCMSRV\0\1"
LENGTH = 128
_FIELDS = struct.Struct("<8sQQQIIQQ")
_HEADER_CHECKSUM = struct.Struct("<Q")
_HEADER_CHECKSUM_AT = 40
_SHORTEST_HEADER = LENGTH + 4
LONGEST_HEADER = 1 << 16
_FIRST_READ = 4096


@dataclass(slots=True, frozen=True)
class Preamble:
    """What the archive knows of a file from its first 128 bytes; lengths in bytes."""

    file_length: int
    checksum: int
    slot: int
    dataset_offset: int
    flags: int = 0
    order: int = 0


@dataclass(slots=True, frozen=True)
class Header:
    """A preamble and the meta header behind it, both covered by the header checksum."""

    preamble: Preamble
    meta: FileMeta


def pack(preamble: Preamble, meta: bytes) -> bytes:
    """The sealed header: preamble, "DICM" and `meta` (group 0002); `dataset_offset` must be its length."""
    fields = _FIELDS.pack(MAGIC, preamble.file_length, preamble.checksum, preamble.slot,
                          preamble.dataset_offset, preamble.flags, 0, preamble.order)
    header = bytearray(fields.ljust(LENGTH, b"\0") + b"DICM" + meta)
    if len(header) != preamble.dataset_offset:
        raise ValueError("the dataset does not begin where the header ends")
    _HEADER_CHECKSUM.pack_into(header, _HEADER_CHECKSUM_AT, xxh3_64(header))
    return bytes(header)


def unpack(head: bytes) -> Preamble:
    """The fields as they stand, nothing verified; raises NoPreamble when there are none."""
    if len(head) < LENGTH or head[: len(MAGIC)] != MAGIC:
        raise NoPreamble("no header of this server")
    _, file_length, checksum, slot, dataset_offset, flags, _, order = _FIELDS.unpack_from(head)
    return Preamble(file_length, checksum, slot, dataset_offset, flags, order)


def verify(header: bytes) -> None:
    """Raises InstanceDamaged unless the header checksum holds over exactly these bytes."""
    blank = bytearray(header)
    (expected,) = _HEADER_CHECKSUM.unpack_from(blank, _HEADER_CHECKSUM_AT)
    _HEADER_CHECKSUM.pack_into(blank, _HEADER_CHECKSUM_AT, 0)
    if xxh3_64(blank) != expected:
        raise InstanceDamaged("the header's checksum does not hold")


def read_header(fd: int) -> Header:
    """The verified header of an open file. Raises NoPreamble, InstanceDamaged, OSError."""
    head = os.pread(fd, _FIRST_READ, 0)
    preamble = unpack(head)
    end = preamble.dataset_offset
    if not _SHORTEST_HEADER < end <= LONGEST_HEADER:
        raise InstanceDamaged("the header's length is out of range")
    if end > len(head):
        head += os.pread(fd, end - len(head), len(head))
    if end > len(head):
        raise NoPreamble("the header is not complete")
    verify(head[:end])
    try:
        meta = decode_file_meta(head[:end])
    except MetaError as error:
        raise InstanceDamaged("the meta header cannot be read") from error
    if meta.dataset_offset != end:
        raise InstanceDamaged("the meta header and the preamble disagree")
    return Header(preamble, meta)


def check_whole(fd: int, preamble: Preamble) -> None:
    """Raises InstanceDamaged unless the file has its length and the dataset its checksum; reads all of it."""
    check_length(fd, preamble)
    length = preamble.file_length - preamble.dataset_offset
    if checksum_file(fd, preamble.dataset_offset, length) != preamble.checksum:
        raise InstanceDamaged("the dataset's checksum does not hold")


def check_length(fd: int, preamble: Preamble) -> None:
    """Raises InstanceDamaged unless the file has the length that its preamble says."""
    if os.fstat(fd).st_size != preamble.file_length:
        raise InstanceDamaged("the file does not have its length")
