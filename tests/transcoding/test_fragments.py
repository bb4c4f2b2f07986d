from __future__ import annotations

import os
import struct

import pytest

from dicomserver.transcoding import fragments as module
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.fragments import Fragments
from tests.transcoding.datasets import open_scratch

END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
JPEG = b"\xff\xd8\xff\xe0rest"


def item(content: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content) if length is None else length) + content


def frames(data: bytes, number: int) -> list[bytes]:
    """What the frames are of fragments that stand behind ten bytes of a file, and before others."""
    with open_scratch() as scratch:
        os.pwrite(scratch.file, bytes(10) + data + b"behind", 0)
        found = Fragments(scratch.file, 10, 10 + len(data))
        assert found.end == 10 + len(data)
        begins = found.begins(number)
        return [found.read(begin, end) for begin, end in zip(begins, begins[1:])]


def table(*offsets: int) -> bytes:
    return item(struct.pack(f"<{len(offsets)}I", *offsets))


def test_one_frame_is_all_fragments() -> None:
    assert frames(item(b"") + item(b"ab") + item(b"cd") + END, 1) == [b"abcd"]


@pytest.mark.parametrize("offsets", [(), (0, 10), (7, 7), (0xFFFFFFFF, 0), (1,)])
def test_one_fragment_each_whatever_the_table_says(offsets: tuple[int, ...]) -> None:
    assert frames(table(*offsets) + item(b"ab") + item(b"cd") + END, 2) == [b"ab", b"cd"]


def test_the_offset_table() -> None:
    assert frames(table(0, 20) + item(b"ab") + item(b"cd") + item(b"ef") + END, 2) == [b"abcd", b"ef"]


def test_without_a_table_frames_begin_where_codestreams_do() -> None:
    assert frames(item(b"") + item(JPEG) + item(b"more") + item(JPEG) + END, 2) == [JPEG + b"more", JPEG]


@pytest.mark.parametrize(("data", "number"), [
    (table(0, 21) + item(b"ab") * 3, 2), (table(0, 20, 20) + item(b"ab") * 3, 2), (table(20, 0) + item(b"ab") * 3, 2),
    (table(10, 20) + item(b"ab") * 3, 2), (table(0) + item(b"ab") * 3, 2), (table(0, 10, 20, 30) + item(b"ab") * 3, 4),
    (item(b"\0") + item(b"ab") * 3, 2), (item(b"") + item(b"ab") * 3, 2), (item(b"") + item(JPEG) * 3, 2),
    (item(b"") + item(b"ab") + item(JPEG) * 2, 2), (item(b"") + item(b"ab"), 2), (item(b""), 1), (b"", 1), (b"", 5),
    (table(0, 0) , 2),
])
def test_what_does_not_make_the_number_of_frames(data: bytes, number: int) -> None:
    with pytest.raises(ConversionFailed, match="as many frames|offset table|Offset Table"):
        frames(data + END, number)


@pytest.mark.parametrize("data", [
    b"", item(b"")[:5], item(b""), item(b"") + item(b"ab"), item(b"") + item(b"ab", 0xFFFFFFFF) + END,
    item(b"") + item(b"ab", 30) + END, item(b"") + b"\x10\0\x10\0PN\2\0ab" + END, item(b"") + END[:4] + b"\1\0\0\0",
])
def test_what_is_no_sequence_of_fragments(data: bytes) -> None:
    with pytest.raises(ConversionFailed, match="compressed pixel data"):
        frames(data, 1)


def test_more_fragments_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FRAGMENTS", 3)
    assert len(frames(item(b"") + item(b"ab") * 3 + END, 3)) == 3
    with pytest.raises(ConversionFailed, match="too many fragments"):
        frames(item(b"") + item(b"ab") * 4 + END, 4)
