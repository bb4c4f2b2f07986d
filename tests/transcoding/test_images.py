from __future__ import annotations

import pytest

from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    LOSSY_IMAGE_COMPRESSION,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_REPRESENTATION,
    PLANAR_CONFIGURATION,
    ROWS,
    SAMPLES_PER_PIXEL,
    Edit,
    Image,
)

GRAY = {SAMPLES_PER_PIXEL: b"\1\0", PHOTOMETRIC_INTERPRETATION: b"MONOCHROME2 ", ROWS: b"\3\0", COLUMNS: b"\5\0",
        BITS_ALLOCATED: b"\x10\0", BITS_STORED: b"\x0c\0", PIXEL_REPRESENTATION: b"\1\0", NUMBER_OF_FRAMES: b"7 "}
COLOUR = GRAY | {SAMPLES_PER_PIXEL: b"\3\0", PHOTOMETRIC_INTERPRETATION: b"YBR_RCT ", BITS_ALLOCATED: b"\x08\0",
                 BITS_STORED: b"\x08\0"}
NO_FRAGMENTS = [Edit(0x7FE00001, "OV", None), Edit(0x7FE00002, "OV", None), Edit(0x7FE00003, "UV", None)]


def test_what_a_dataset_says() -> None:
    image = Image.of(GRAY)
    assert image == Image(3, 5, 1, "MONOCHROME2", 16, 12, 1, 7, False)
    assert (image.frame_octets, image.octets) == (30, 210)


def test_what_may_be_missing() -> None:
    image = Image.of({tag: value for tag, value in GRAY.items()
                      if tag not in (SAMPLES_PER_PIXEL, PIXEL_REPRESENTATION, NUMBER_OF_FRAMES)})
    assert (image.samples_per_pixel, image.pixel_representation, image.number_of_frames) == (1, 0, 1)


@pytest.mark.parametrize(("change", "problem"), [
    ({ROWS: b""}, "0028,0010"), ({COLUMNS: b"\1\0\1\0"}, "0028,0011"), ({BITS_STORED: b"8 \0"}, "0028,0101"),
    ({ROWS: b"\0\0"}, "no frame"), ({NUMBER_OF_FRAMES: b"0 "}, "empty"),
    ({NUMBER_OF_FRAMES: b"-1"}, "no number"), ({NUMBER_OF_FRAMES: "\u0665".encode()}, "no number"),
    ({NUMBER_OF_FRAMES: b"1E3 "}, "no number"), ({NUMBER_OF_FRAMES: b"9" * 60}, "longer than 4 GB"),
    ({SAMPLES_PER_PIXEL: b"\4\0"}, "a form"), ({BITS_ALLOCATED: b"\1\0"}, "a form"),
    ({BITS_STORED: b"\x11\0"}, "a form"), ({BITS_STORED: b"\0\0"}, "a form"),
    ({PIXEL_REPRESENTATION: b"\2\0"}, "a form"),
    ({ROWS: b"\xff\xff", COLUMNS: b"\xff\xff"}, "a larger one than is decoded"),
    ({ROWS: b"\0\x20", COLUMNS: b"\0\x20", NUMBER_OF_FRAMES: b"32"}, "longer than 4 GB"),
])
def test_what_is_not_decoded(change: dict[int, bytes], problem: str) -> None:
    with pytest.raises(ConversionFailed, match=problem):
        Image.of(GRAY | change)


def test_edits() -> None:
    assert Image.of(GRAY).edits("MONOCHROME2", False) == NO_FRAGMENTS
    assert Image.of(COLOUR).edits("RGB", True) == [
        Edit(PHOTOMETRIC_INTERPRETATION, "CS", b"RGB"), Edit(PLANAR_CONFIGURATION, "US", b"\0\0"),
        Edit(LOSSY_IMAGE_COMPRESSION, "CS", b"01"), *NO_FRAGMENTS]
    marked = Image.of(GRAY | {LOSSY_IMAGE_COMPRESSION: b"01"})
    assert marked.is_marked_lossy and marked.edits("MONOCHROME2", True) == NO_FRAGMENTS
