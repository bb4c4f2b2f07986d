"""What a dataset says of an image, and what it has to say of the same image without compression (PS3.3 C.7.6.3)."""
from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from dicomserver.transcoding.errors import ConversionFailed

SAMPLES_PER_PIXEL, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION = 0x00280002, 0x00280004, 0x00280006
NUMBER_OF_FRAMES, ROWS, COLUMNS = 0x00280008, 0x00280010, 0x00280011
BITS_ALLOCATED, BITS_STORED, PIXEL_REPRESENTATION = 0x00280100, 0x00280101, 0x00280103
LOSSY_IMAGE_COMPRESSION = 0x00282110
# They describe fragments (PS3.5 A.4), of which native pixel data has none.
_OF_FRAGMENTS = ((0x7FE00001, "OV"), (0x7FE00002, "OV"), (0x7FE00003, "UV"))

MOST_FRAME_OCTETS = 1 << 28     # 256 MB: no device makes larger frames; decoders take several times as much memory
_MOST_OCTETS = 0xFFFFFFFE       # of native pixel data: what its length field can say
_SAMPLES = (1, 3)
_BITS = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class Edit:
    """An element to be put in the place of what a dataset has of that tag, if anything; None: to be left out."""

    tag: int
    vr: str
    value: bytes | None     # little endian


@dataclass(frozen=True, slots=True)
class Image:
    """Attributes of one image, which agree with each other."""

    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    number_of_frames: int
    is_marked_lossy: bool

    @classmethod
    def of(cls, facts: Mapping[int, bytes]) -> Image:
        """From values by tag. Raises ConversionFailed where they are missing, or describe nothing that we decode."""
        image = cls(rows=_number(facts, ROWS), columns=_number(facts, COLUMNS),
                    samples_per_pixel=_number(facts, SAMPLES_PER_PIXEL, 1),
                    photometric_interpretation=_text(facts, PHOTOMETRIC_INTERPRETATION),
                    bits_allocated=_number(facts, BITS_ALLOCATED), bits_stored=_number(facts, BITS_STORED),
                    pixel_representation=_number(facts, PIXEL_REPRESENTATION, 0),
                    number_of_frames=_frames(_text(facts, NUMBER_OF_FRAMES)),
                    is_marked_lossy=_text(facts, LOSSY_IMAGE_COMPRESSION) == "01")
        image._check()
        return image

    def _check(self) -> None:
        if self.samples_per_pixel not in _SAMPLES or self.bits_allocated not in _BITS \
                or not 0 < self.bits_stored <= self.bits_allocated or self.pixel_representation > 1:
            raise ConversionFailed("its samples are of a form that is not decoded")
        if not 0 < self.frame_octets <= MOST_FRAME_OCTETS:
            raise ConversionFailed("Rows and Columns make no frame, or a larger one than is decoded")
        if not self.number_of_frames or self.octets > _MOST_OCTETS:
            raise ConversionFailed("its pixel data would be empty, or longer than 4 GB")

    @property
    def frame_octets(self) -> int:
        """Bytes of a native frame."""
        return self.rows * self.columns * self.samples_per_pixel * self.bits_allocated // 8

    @property
    def octets(self) -> int:
        """Bytes of native pixel data, without the padding."""
        return self.frame_octets * self.number_of_frames

    def edits(self, photometric_interpretation: str, is_lossy: bool) -> list[Edit]:
        """What changes when it is decoded. photometric_interpretation: of the decoded frames. is_lossy: it was
        compressed so that it must have lost something."""
        edits = []
        if photometric_interpretation != self.photometric_interpretation:
            edits.append(Edit(PHOTOMETRIC_INTERPRETATION, "CS", photometric_interpretation.encode("ascii")))
        if self.samples_per_pixel > 1:
            edits.append(Edit(PLANAR_CONFIGURATION, "US", struct.pack("<H", 0)))
        if is_lossy and not self.is_marked_lossy:
            edits.append(Edit(LOSSY_IMAGE_COMPRESSION, "CS", b"01"))
        return edits + [Edit(tag, vr, None) for tag, vr in _OF_FRAGMENTS]


def _number(facts: Mapping[int, bytes], tag: int, absent: int | None = None) -> int:
    value = facts.get(tag, b"")
    if not value and absent is not None:
        return absent
    if len(value) != 2:
        raise ConversionFailed(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is missing, or not one number")
    return int.from_bytes(value, "little")


def _text(facts: Mapping[int, bytes], tag: int) -> str:
    return facts.get(tag, b"").decode("latin-1").strip(" \0")


def _frames(text: str) -> int:
    if text and not (text.isdecimal() and text.isascii()):
        raise ConversionFailed("Number of Frames is no number")
    return int(text or 1)
