"""Declared against existing pixels."""
from __future__ import annotations

import struct

import pytest

from dicomserver.standard.attributes import INDEXED
from dicomserver.wire.pixels import pixel_data_missing, pixel_data_short
from dicomserver.wire.scanner import DatasetScanner
from dicomserver.wire.wanted import Wanted


def image(pixels: int | None, *, rows=4, columns=6, bits=16, samples=1, frames=None, photometric=b"MONOCHROME2 ",
          big=False) -> bytes:
    order = ">" if big else "<"

    def element(tag, vr, value):
        return struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value

    def number(tag, value):
        return element(tag, b"US", struct.pack(f"{order}H", value))

    data = number(0x00280002, samples) + element(0x00280004, b"CS", photometric)
    if frames is not None:
        data += element(0x00280008, b"IS", frames)
    data += number(0x00280010, rows) + number(0x00280011, columns) + number(0x00280100, bits)
    if pixels is None:
        return data + struct.pack(f"{order}HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + b"".join(
            struct.pack(f"{order}HHI", 0xFFFE, tag, 0) for tag in (0xE000, 0xE0DD))
    return data + struct.pack(f"{order}HH2sHI", 0x7FE0, 0x10, b"OW", 0, pixels) + b"\0" * pixels


@pytest.mark.parametrize("facts, needed", [
    ({}, 48), ({"frames": b"3 "}, 144), ({"bits": 8, "samples": 3, "photometric": b"RGB "}, 72),
    ({"bits": 8, "samples": 3, "photometric": b"YBR_FULL_422"}, 48),
    ({"bits": 8, "samples": 3, "photometric": b"YBR_PARTIAL_420 "}, 36), ({"bits": 1, "rows": 3, "columns": 3}, 2),
    ({"big": True}, 48), ({"frames": b"0 "}, 48),
])
def test_one_byte_less_is_short(facts, needed):
    for pixels, short in ((needed, False), (needed - 1, True), (needed + 1, False)):
        scanner = DatasetScanner(Wanted(INDEXED), True, facts.get("big", False))
        scanner.feed(image(pixels, **facts))
        scanner.finish()
        assert pixel_data_short(scanner) is short


@pytest.mark.parametrize("data", [image(None), image(2, frames=b"a lot "), image(0)[:-12], image(2, rows=0)])
def test_what_declares_nothing_readable_is_not_short(data):
    scanner = DatasetScanner(Wanted(INDEXED))
    scanner.feed(data)
    scanner.finish()
    assert not pixel_data_short(scanner)


def test_declared_sizes_that_overflow_are_only_numbers():
    scanner = DatasetScanner(Wanted(INDEXED))
    scanner.feed(image(2, rows=65535, columns=65535, bits=65535, samples=65535, frames=b"2147483647"))
    scanner.finish()
    assert pixel_data_short(scanner)


def is_missing(data: bytes, **options) -> bool:
    scanner = DatasetScanner(Wanted(INDEXED), **options)
    scanner.feed(data)
    scanner.finish()
    return pixel_data_missing(scanner)


def test_pixels_are_missing_where_the_dataset_ends_in_front_of_them():
    whole = image(48)
    part = whole[:whole.index(b"\xe0\x7f")]
    assert is_missing(part) and not is_missing(whole) and not is_missing(image(None))
    assert is_missing(part + b"\x32\0\x32\x40LT\x02\0ab") and not is_missing(part + b"\xe0\x7f\x08\0OF\0\0\0\0\0\0")
    assert not is_missing(image(48, rows=0)[:len(part)]) and not is_missing(b"")
