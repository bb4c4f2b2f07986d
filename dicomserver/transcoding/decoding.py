"""Compressed frames to native ones: RLE by ourselves, all else by pydicom's decoders and their plugins, which are
loaded when the first frame comes."""
from __future__ import annotations

import logging
import warnings
from functools import cache
from typing import NamedTuple

from dicomserver.transcoding import codestreams
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image
from dicomserver.transcoding.rle import decode_rle

JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS, JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
RLE = "1.2.840.10008.1.2.5"
# They lose something, always; the others with lossy processes may have been used without loss.
LOSSY = frozenset({JPEG_BASELINE, JPEG_EXTENDED})
_JPEG = frozenset({JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1})

# By transfer syntax: whose decoder in pydicom, and its plugin. One plugin each, so that the same bytes always become
# the same pixels. GDCM, not Pillow: that one changes colours as it thinks fit where it finds an Adobe marker. GDCM
# reads JPEG's process from the codestream; pydicom's own decoder for JPEG Extended would refuse 12 bits.
DECODERS = {
    JPEG_BASELINE: (JPEG_BASELINE, "gdcm"),
    JPEG_EXTENDED: (JPEG_LOSSLESS, "gdcm"),
    JPEG_LOSSLESS: (JPEG_LOSSLESS, "gdcm"),
    JPEG_LOSSLESS_SV1: (JPEG_LOSSLESS_SV1, "gdcm"),
    **{uid: (uid, "pyjpegls") for uid in ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")},     # JPEG-LS
    **{uid: (uid, "pylibjpeg") for uid in (
        "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91",                                         # JPEG 2000
        "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")},          # HTJ2K
}
COMPRESSED = frozenset({RLE, *DECODERS})
# Chrominance that neighbouring pixels shared is there for each of them when it is decoded.
_FULL = {"YBR_FULL_422": "YBR_FULL"}


class DecodedFrame(NamedTuple):
    """pixels: little endian, the samples of a pixel together, exactly as many bytes as the image says."""

    pixels: bytes
    photometric_interpretation: str


def decode_frame(syntax: str, image: Image, frame: bytes) -> DecodedFrame:
    """Raises ConversionFailed where that does not give a frame of that image."""
    if syntax == RLE:
        pixels = decode_rle(frame, image.rows * image.columns, image.samples_per_pixel, image.bits_allocated // 8)
        return DecodedFrame(pixels, image.photometric_interpretation)
    codestreams.check(frame, image)
    owner, plugin = DECODERS[syntax]
    options = {
        "rows": image.rows, "columns": image.columns, "number_of_frames": 1,
        "samples_per_pixel": image.samples_per_pixel, "bits_allocated": image.bits_allocated,
        "bits_stored": image.bits_stored, "pixel_representation": image.pixel_representation,
        "photometric_interpretation": image.photometric_interpretation, "pixel_keyword": "PixelData",
        # How codestreams order samples is their own affair; the attribute is about native data.
        "planar_configuration": 0,
        "allow_excess_frames": False,
    }
    if syntax in _JPEG:
        # JPEG has no signs: they are extended. Else bits above those stored may be overlays, and stay.
        options["correct_unused_bits"] = image.pixel_representation == 1
    try:
        pydicom = _pydicom()
        array, found = pydicom.pixels.get_decoder(owner).as_array(
            pydicom.encaps.encapsulate([frame]), index=0, raw=True, decoding_plugin=plugin, **options)
    except ImportError:
        raise
    except Exception as error:
        raise ConversionFailed(f"a frame cannot be decoded ({type(error).__name__})") from None
    photometric = str(found["photometric_interpretation"])
    pixels = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    if len(pixels) != image.frame_octets:
        raise ConversionFailed("a frame is decoded to another number of bytes than the dataset says")
    return DecodedFrame(pixels, _FULL.get(photometric, photometric))


@cache
def _pydicom():
    """pydicom with its decoders: 0.3 s and 60 MB, which a server without conversions does not pay."""
    import pydicom.encaps
    import pydicom.pixels

    # What it finds strange of a dataset is nothing that anybody here could mend.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="pydicom")
    return pydicom
