"""Compressed frames to native ones: RLE by ourselves, all else by pydicom's decoders, in processes of their own."""
from __future__ import annotations

from typing import NamedTuple

from dicomserver.transcoding import codestreams
from dicomserver.transcoding.children import Children
from dicomserver.transcoding.decoder import DECODERS, JPEG_BASELINE, JPEG_EXTENDED
from dicomserver.transcoding.images import Image
from dicomserver.transcoding.rle import decode_rle

RLE = "1.2.840.10008.1.2.5"
# They lose something, always; the others with lossy processes may have been used without loss.
LOSSY = frozenset({JPEG_BASELINE, JPEG_EXTENDED})
COMPRESSED = frozenset({RLE, *DECODERS})
# Chrominance that neighbouring pixels shared is there for each of them when it is decoded.
_FULL = {"YBR_FULL_422": "YBR_FULL"}
_children = Children()


class DecodedFrame(NamedTuple):
    """pixels: little endian, the samples of a pixel together, exactly as many bytes as the image says."""

    pixels: bytes
    photometric_interpretation: str


def decode_frame(syntax: str, image: Image, frame: bytes) -> DecodedFrame:
    """Raises ConversionFailed where that does not give a frame of that image; ImportError where a decoder lacks a
    module."""
    if syntax == RLE:
        pixels = decode_rle(frame, image.rows * image.columns, image.samples_per_pixel, image.bits_allocated // 8)
        return DecodedFrame(pixels, image.photometric_interpretation)
    codestreams.check(frame, image)
    photometric, pixels = _children.decode(syntax, image, frame)
    return DecodedFrame(pixels, _FULL.get(photometric, photometric))


def forget_ended() -> None:
    """To be called now and then: decoders that had nothing to do may have ended."""
    _children.forget_ended()
