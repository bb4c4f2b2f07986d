from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import xxhash

from dicomserver.archive.checksum import Checksum, checksum_file, xxh3_64


@pytest.mark.parametrize(("data", "expected"), [
    (b"", 0x2D06800538D394C2), (b"a", 0xE6C632B61E964E1F), (b"abc", 0x78AF5F94892F3950),
])
def test_published_values(data: bytes, expected: int) -> None:
    assert xxh3_64(data) == expected


@pytest.mark.parametrize("size", [0, 1, 240, 241, 1000, 100_000])
def test_bytes_in_parts(size: int) -> None:
    content = os.urandom(size)
    checksum = Checksum()
    for at in range(0, size, 97):
        assert checksum.value() == xxh3_64(content[:at])
        checksum.update(memoryview(content)[at:at + 97])
    checksum.update(b"")
    assert checksum.value() == xxh3_64(content)


def test_a_file_in_parts(tmp_path: Path) -> None:
    content = os.urandom((2 << 20) + 77)
    (tmp_path / "x").write_bytes(content)
    fd = os.open(tmp_path / "x", os.O_RDONLY)
    assert checksum_file(fd, 0, len(content)) == xxh3_64(content)
    assert checksum_file(fd, 133, 2 << 20) == xxh3_64(content[133:133 + (2 << 20)])
    assert checksum_file(fd, 100, 1 << 40) == xxh3_64(content[100:])
    assert checksum_file(fd, 5, 0) == xxh3_64(b"")
    os.close(fd)


def test_the_reference_says_the_same(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(2_500_000)
    (tmp_path / "x").write_bytes(data)
    assert xxh3_64(data) == xxhash.xxh3_64_intdigest(data)
    assert xxh3_64(b"") == xxhash.xxh3_64_intdigest(b"")
    with (tmp_path / "x").open("rb") as file:
        assert checksum_file(file.fileno(), 3, 2_000_000) == xxhash.xxh3_64_intdigest(data[3:2_000_003])
        assert checksum_file(file.fileno(), 0, len(data) + 1) == xxhash.xxh3_64_intdigest(data)
    with pytest.raises(OSError):
        checksum_file(-1, 0, 10)
