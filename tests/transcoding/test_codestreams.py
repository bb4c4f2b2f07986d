from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from dicomserver.transcoding.codestreams import check
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image

IMAGE = Image(3, 5, 1, "MONOCHROME2", 16, 12, 0, 1, False)


def jpeg(marker: int = 0xC3, rows: int = 3, columns: int = 5, components: int = 1, precision: int = 12) -> bytes:
    before = b"\xff\xd8" + b"\xff\xe0\0\4ab" + b"\xff\xff\xff\x01" + b"\xff\xc4\0\3x"
    return before + b"\xff" + bytes([marker]) + struct.pack(">HBHHB", 11, precision, rows, columns, components)


def j2k(rows: int = 3, columns: int = 5, components: int = 1, precision: int = 12, left: int = 7) -> bytes:
    return b"\xff\x4f\xff\x51" + struct.pack(">HH8IHB", 41, 0, columns + left, rows, left, 0, columns, rows, 0, 0,
                                             components, precision - 1)


@pytest.mark.parametrize("frame", [
    jpeg(), jpeg(0xC0), jpeg(0xC1), jpeg(0xF7), jpeg(precision=16), j2k(), j2k(left=0), b"\0\0\0\x0cjP  header" + j2k(),
])
def test_what_agrees(frame: bytes) -> None:
    check(frame, IMAGE)


@pytest.mark.parametrize("make", [jpeg, j2k])
@pytest.mark.parametrize("change", [{"rows": 4}, {"columns": 60000}, {"components": 3}, {"precision": 17}])
def test_what_does_not_agree(make, change: dict[str, int]) -> None:
    with pytest.raises(ConversionFailed, match="other dimensions"):
        check(make(**change), IMAGE)
    with pytest.raises(ConversionFailed, match="other dimensions"):
        check(make(), replace(IMAGE, rows=2))


@pytest.mark.parametrize("whole", [jpeg(), j2k(), b"\0\0\0\x0cjP  header" + j2k()])
def test_what_is_cut_off(whole: bytes) -> None:
    for length in range(len(whole)):
        with pytest.raises(ConversionFailed, match="no codestream"):
            check(whole[:length], IMAGE)


@pytest.mark.parametrize("frame", [b"", b"GIF89a", b"\xff\xd8\0\0", b"\xff\xd8" + b"\xff\xe0\0\0" * 3, b"\0\0\0\x0cjP"])
def test_what_is_no_codestream(frame: bytes) -> None:
    with pytest.raises(ConversionFailed, match="no codestream"):
        check(frame, IMAGE)
