"""PS3.5 Annex G, against pydicom's own encoder and against what is broken."""
from __future__ import annotations

import numpy
import pytest
from pydicom.pixels.encoders.base import EncodeRunner
from pydicom.pixels.encoders.native import _encode_frame
from pydicom.uid import RLELossless

from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.rle import decode_rle


def rle(*segments: bytes, count: int | None = None) -> bytes:
    """A frame of these segments."""
    offsets = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    numbers = [len(segments) if count is None else count, *offsets, *[0] * (15 - len(segments))]
    return b"".join(number.to_bytes(4, "little") for number in numbers) + b"".join(segments)


def by_pydicom(pixels: numpy.ndarray) -> bytes:
    runner = EncodeRunner(RLELossless)
    bits = pixels.dtype.itemsize * 8
    runner.set_options(rows=pixels.shape[0], columns=pixels.shape[1], samples_per_pixel=pixels.shape[2],
                       bits_allocated=bits, bits_stored=bits, pixel_representation=0, number_of_frames=1,
                       photometric_interpretation="RGB", planar_configuration=0)
    return bytes(_encode_frame(pixels.tobytes(), runner))


@pytest.mark.parametrize("kind", ["<u1", "<u2", "<u4"])
@pytest.mark.parametrize("samples", [1, 3])
def test_what_pydicom_encodes(kind: str, samples: int) -> None:
    generator = numpy.random.default_rng(samples)
    for pixels in (generator.integers(0, 1 << 30, (37, 41, samples)), generator.integers(0, 2, (37, 41, samples)),
                   numpy.zeros((37, 41, samples))):
        pixels = pixels.astype(kind)
        decoded = decode_rle(by_pydicom(pixels), 37 * 41, samples, pixels.dtype.itemsize)
        assert decoded == pixels.tobytes()


@pytest.mark.parametrize(("segment", "pixels"), [
    (b"\2abc", b"abc"), (b"\xfea", b"aaa"), (b"\0a\x80\xffb", b"abb"), (b"\2abc\0", b"abc"), (b"\2abc\5junk", b"abc"),
])
def test_runs(segment: bytes, pixels: bytes) -> None:
    assert decode_rle(rle(segment), 3, 1, 1) == pixels


@pytest.mark.parametrize("frame", [
    rle(b""), rle(b"\2ab"), rle(b"\1ab"), rle(b"\3abcd"), rle(b"\xfda"), rle(b"\xfe"), rle(b"\x80" * 50),
    rle(b"\2abc")[:-1], rle(b"\2abc").replace(b"\x40\0\0\0", b"\x3f\0\0\0", 1),
    rle(b"\2abc").replace(b"\x40\0\0\0", b"\xff\xff\xff\xff", 1),
])
def test_a_segment_that_does_not_fit(frame: bytes) -> None:
    with pytest.raises(ConversionFailed, match="segment is not as long"):
        decode_rle(frame, 3, 1, 1)


@pytest.mark.parametrize("frame", [b"", rle(b"\2abc")[:63], rle(b"\2abc", b"\2abc"), rle(),
                                   rle(b"\2abc", count=1 << 31)])
def test_another_number_of_segments(frame: bytes) -> None:
    with pytest.raises(ConversionFailed, match="number of segments"):
        decode_rle(frame, 3, 1, 1)


def test_segments_in_the_wrong_order() -> None:
    frame = bytearray(rle(b"\2abc", b"\2def"))
    frame[4:8], frame[8:12] = frame[8:12], frame[4:8]
    with pytest.raises(ConversionFailed, match="not as long"):
        decode_rle(bytes(frame), 3, 1, 2)
