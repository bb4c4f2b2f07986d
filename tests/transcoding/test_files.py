"""The writer, as Python sees it; the reader, and the writer's patches, are under the rewriter's tests."""
from __future__ import annotations

import os

import pytest

from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.files import FileWriter
from tests.transcoding.datasets import open_scratch


def test_writes_pieces_of_any_size() -> None:
    pieces = [os.urandom(n) for n in (0, 1, 262143, 262144, 262145, 5, 1_000_000)]
    with open_scratch() as scratch:
        writer = FileWriter(scratch.file, scratch.most)
        for piece in pieces:
            writer.write(piece)
        assert writer.length == sum(map(len, pieces))
        writer.flush()
        assert os.pread(scratch.file, writer.length + 1, 0) == b"".join(pieces)


def test_takes_no_more_than_there_is_room_for() -> None:
    with open_scratch() as scratch:
        writer = FileWriter(scratch.file, 10)
        writer.write(bytes(10))
        with pytest.raises(ConversionFailed, match="no room on the disk"):
            writer.write(b"x")


def test_a_file_that_cannot_be_written() -> None:
    read_only = os.open("/dev/null", os.O_RDONLY)
    try:
        writer = FileWriter(read_only, 1 << 20)
        writer.write(b"x")
        with pytest.raises(ConversionFailed, match="cannot be written"):
            writer.flush()
    finally:
        os.close(read_only)
