from __future__ import annotations

import os
import zlib

import pytest

from dicomserver.transcoding.deflation import deflate, inflate
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.files import FileWriter
from tests.transcoding.datasets import open_scratch


def packed(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def through(step, data: bytes, most: int = 1 << 32) -> bytes:
    with open_scratch() as source, open_scratch() as target:
        os.pwrite(source.file, b"xx" + data, 0)
        writer = FileWriter(target.file, most)
        step(source.file, 2, len(data), writer)
        return os.pread(target.file, writer.length + 1, 0)


@pytest.mark.parametrize("data", [b"", b"\0\0", os.urandom(700_000), bytes(3_000_000)])
def test_there_and_back(data: bytes) -> None:
    deflated = through(deflate, data)
    assert len(deflated) % 2 == 0
    assert zlib.decompress(deflated, -zlib.MAX_WBITS) == data
    assert through(inflate, deflated) == data


@pytest.mark.parametrize("data", [b"", packed(bytes(1000))[:-1], packed(os.urandom(600_000))[:500_000]])
def test_what_ends_too_soon(data: bytes) -> None:
    with pytest.raises(ConversionFailed, match="ends too soon"):
        through(inflate, data)


def test_what_is_not_deflated() -> None:
    with pytest.raises(ConversionFailed, match="cannot be inflated"):
        through(inflate, b"\xff" * 100)


def test_a_bomb_stops_where_there_is_no_room() -> None:
    with pytest.raises(ConversionFailed, match="no room"):
        through(inflate, packed(bytes(50_000_000)), most=1_000_000)
