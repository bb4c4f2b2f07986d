"""What a compressed frame says of itself, read before a decoder allocates memory by it."""
from __future__ import annotations

import struct
from typing import NamedTuple

from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image

_JPEG_BEGIN, _J2K_BEGIN, _JP2_BEGIN = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP"
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})         # JPEG markers that stand alone
# Those of a frame header: SOF0 to SOF15 without DHT, JPG and DAC; and SOF55 of JPEG-LS.
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7})


class Header(NamedTuple):
    """Of a codestream."""

    rows: int
    columns: int
    components: int
    precision: int      # bits of a sample


def check(frame: bytes, image: Image) -> None:
    """Raises ConversionFailed where a frame of JPEG, JPEG-LS, JPEG 2000 or HTJ2K is not what the dataset says."""
    header = _header(frame)
    if (header.rows, header.columns, header.components) != (image.rows, image.columns, image.samples_per_pixel) \
            or header.precision > image.bits_allocated:
        raise ConversionFailed("a frame has other dimensions than the dataset says")


def _header(frame: bytes) -> Header:
    try:
        if frame.startswith(_JPEG_BEGIN):
            return _jpeg_header(frame)
        begin = frame.find(_J2K_BEGIN) if frame.startswith(_JP2_BEGIN) else 0
        if begin >= 0 and frame.startswith(_J2K_BEGIN, begin):
            return _j2k_header(frame, begin)
    except (struct.error, IndexError):
        pass    # it is cut off
    raise ConversionFailed("a frame is no codestream of its transfer syntax, or is cut off")


def _jpeg_header(frame: bytes) -> Header:
    """ISO/IEC 10918-1 B.1.1, B.2.2: marker segments up to the frame header."""
    at = len(_JPEG_BEGIN)
    while True:
        if frame[at] != 0xFF:
            raise IndexError
        marker = frame[at + 1]
        if marker == 0xFF:      # a fill byte
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker in _FRAME_HEADERS:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, at + 4)
            return Header(rows, columns, components, precision)
        else:
            at += 2 + struct.unpack_from(">H", frame, at + 2)[0]


def _j2k_header(frame: bytes, begin: int) -> Header:
    """ISO/IEC 15444-1 A.5.1: the SIZ segment, which comes first."""
    right, bottom, left, top = struct.unpack_from(">4I", frame, begin + 8)
    components, precision = struct.unpack_from(">HB", frame, begin + 40)
    return Header(bottom - top, right - left, components, (precision & 0x7F) + 1)
