from __future__ import annotations

import os
import struct
from pathlib import Path

import pydicom
import pytest

from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.errors import InstanceDamaged, NoPreamble
from dicomserver.archive.preamble import MAGIC, Preamble, check_whole, pack, read_header, unpack, verify
from tests.archive.files import CT, instance_bytes

SLOT = (3 << 32) + 5
DATASET = struct.pack("<HHI", 8, 0x18, 6) + b"1.2.3\0"


def opened(tmp_path: Path, content: bytes) -> int:
    (tmp_path / "x").write_bytes(content)
    return os.open(tmp_path / "x", os.O_RDONLY)


def test_the_bytes() -> None:
    content = instance_bytes(SLOT, "1.2.3", DATASET)
    offset = len(content) - len(DATASET)
    assert content[:8] == b"DCMSRV\0\1"
    assert struct.unpack_from("<QQQII", content, 8) == (len(content), xxh3_64(DATASET), SLOT, offset, 0)
    unsealed = content[:40] + bytes(8) + content[48:offset]
    assert struct.unpack_from("<Q", content, 40) == (xxh3_64(unsealed),)
    assert content[48:128] == bytes(80)
    assert content[128:132] == b"DICM"


def test_it_is_a_part_10_file(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(instance_bytes(SLOT, "1.2.3", DATASET))
    dataset = pydicom.dcmread(tmp_path / "x.dcm")
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert dataset.file_meta.MediaStorageSOPClassUID == CT


def test_round_trip(tmp_path: Path) -> None:
    content = instance_bytes(SLOT, "1.2.3", DATASET)
    fd = opened(tmp_path, content)
    header = read_header(fd)
    offset = len(content) - len(DATASET)
    assert header.preamble == Preamble(len(content), xxh3_64(DATASET), SLOT, offset)
    assert header.meta.sop_instance_uid == "1.2.3"
    check_whole(fd, header.preamble)
    os.close(fd)


def test_every_changed_byte_is_noticed(tmp_path: Path) -> None:
    content = instance_bytes(SLOT, "1.2.3", DATASET)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x10
        fd = opened(tmp_path, bytes(changed))
        with pytest.raises(InstanceDamaged):
            check_whole(fd, read_header(fd).preamble)
        os.close(fd)


def test_every_missing_byte_is_noticed(tmp_path: Path) -> None:
    content = instance_bytes(SLOT, "1.2.3", DATASET)
    offset = len(content) - len(DATASET)
    for length in range(len(content)):
        fd = opened(tmp_path, content[:length])
        with pytest.raises(NoPreamble if length < offset else InstanceDamaged):
            check_whole(fd, read_header(fd).preamble)
        os.close(fd)


def test_a_byte_too_many_is_noticed(tmp_path: Path) -> None:
    fd = opened(tmp_path, instance_bytes(SLOT, "1.2.3", DATASET) + b"\0")
    with pytest.raises(InstanceDamaged, match="length"):
        check_whole(fd, read_header(fd).preamble)
    os.close(fd)


@pytest.mark.parametrize("content", [b"", bytes(128), bytes(500), b"DICM".rjust(132, b"\0"), MAGIC, b"x" * 200])
def test_what_was_never_finished_has_none(tmp_path: Path, content: bytes) -> None:
    fd = opened(tmp_path, content)
    with pytest.raises(NoPreamble):
        read_header(fd)
    os.close(fd)


@pytest.mark.parametrize("offset", [0, 132, (1 << 16) + 1, 0xFFFFFFFF])
def test_a_header_length_out_of_range(tmp_path: Path, offset: int) -> None:
    content = bytearray(instance_bytes(SLOT, "1.2.3", DATASET))
    struct.pack_into("<I", content, 32, offset)
    fd = opened(tmp_path, bytes(content))
    with pytest.raises(InstanceDamaged, match="out of range"):
        read_header(fd)
    os.close(fd)


def test_a_sealed_header_without_a_meta_header(tmp_path: Path) -> None:
    fd = opened(tmp_path, pack(Preamble(232, 0, SLOT, 232), b"\xff" * 100))
    with pytest.raises(InstanceDamaged, match="meta header"):
        read_header(fd)
    os.close(fd)


def test_pack_refuses_a_wrong_offset() -> None:
    with pytest.raises(ValueError, match="does not begin"):
        pack(Preamble(232, 0, SLOT, 231), b"\xff" * 100)


def test_verify_does_not_change_its_argument() -> None:
    header = pack(Preamble(232, 0, SLOT, 232, flags=3), b"\0" * 100)
    verify(header)
    assert unpack(header).flags == 3
