"""The process that decodes frames with pydicom's decoders and their plugins: a damaged codestream may crash them, or
keep them busy for ever, which must not be the server's end.

    python -m dicomserver.transcoding.decoder DESCRIPTOR
"""
from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image

JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS, JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
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

# An answer is one of these and a text: the photometric interpretation, after which the pixels come as a message of
# their own; what ConversionFailed says; the name of a module that is missing.
DECODED, FAILED, MISSING = b"D", b"F", b"M"
IDLE_SECONDS = 60       # so long it waits for work: 60 MB that nobody needs

# (transfer syntax, image, frame) -> (photometric interpretation, pixels)
Decode = Callable[[str, Image, bytes], tuple[str, bytes]]


def decode(syntax: str, image: Image, frame: bytes) -> tuple[str, bytes]:
    """See decoding.decode_frame. Raises ConversionFailed, ImportError."""
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
    pixels = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    if len(pixels) != image.frame_octets:
        raise ConversionFailed("a frame is decoded to another number of bytes than the dataset says")
    return str(found["photometric_interpretation"]), pixels


@cache
def _pydicom():
    """pydicom with its decoders: 0.3 s and 60 MB, which a server without conversions does not pay."""
    import pydicom.encaps
    import pydicom.pixels

    # What it finds strange of a dataset is nothing that anybody here could mend.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="pydicom")
    return pydicom


def serve(connection: Connection, decode: Decode, idle_seconds: float = IDLE_SECONDS) -> None:
    """Answers requests (transfer syntax, image, frame, seconds) until none comes any more. One that takes more seconds
    ends the process: C code that is frozen hears of nothing else."""
    while connection.poll(idle_seconds):
        try:
            syntax, image, frame, seconds = connection.recv()
        except (EOFError, OSError):
            return      # the server has ended
        signal.alarm(seconds)
        answer = _answer(decode, syntax, image, frame)
        signal.alarm(0)
        for message in answer:
            connection.send_bytes(message)


def _answer(decode: Decode, syntax: str, image: Image, frame: bytes) -> tuple[bytes, ...]:
    try:
        photometric, pixels = decode(syntax, image, frame)
    except ConversionFailed as failed:
        return (FAILED + str(failed).encode(),)
    except ImportError as error:
        return (MISSING + str(error.name).encode(),)
    return DECODED + photometric.encode(), pixels


def main(descriptor: int, decode: Decode = decode) -> None:
    """Serves whoever has the other end of that socket."""
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with suppress(OSError):
        # Where memory comes to its end, the kernel takes this process and not the server.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))        # patients' images in it
    with suppress(ImportError):     # said when a frame comes
        _pydicom()
    # It writes no file; after the imports, which may keep compiled modules.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    connection = Connection(descriptor)
    serve(connection, decode)
    os._exit(0)     # which is known before the connection closes: see Child.end


if __name__ == "__main__":
    main(int(sys.argv[1]))
