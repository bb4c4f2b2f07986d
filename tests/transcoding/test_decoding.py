from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pydicom
import pytest
from pydicom.encaps import generate_frames

from dicomserver.transcoding.decoding import COMPRESSED, RLE, decode_frame
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image
from tests.house.tree import ROOT
from tests.shipped import shipped
from tests.transcoding.compressed import HTJ2K, deadly, gradient
from tests.transcoding.test_rle import rle

HTJ2K_SYNTAXES = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
IMAGE = Image(24, 20, 1, "MONOCHROME2", 16, 12, 0, 1, False)


@pytest.mark.parametrize("syntax", HTJ2K_SYNTAXES)
def test_htj2k(syntax: str) -> None:
    assert decode_frame(syntax, IMAGE, HTJ2K) == (gradient().tobytes(), "MONOCHROME2")


@pytest.mark.parametrize("syntax", sorted(COMPRESSED))
def test_rubbish(syntax: str) -> None:
    with pytest.raises(ConversionFailed):
        decode_frame(syntax, IMAGE, b"rubbish " * 100)


def test_a_frame_that_is_cut_off() -> None:
    with pytest.raises(ConversionFailed, match="cannot be decoded"):
        decode_frame(HTJ2K_SYNTAXES[0], IMAGE, HTJ2K[:-150])


def test_a_frame_of_another_size() -> None:
    with pytest.raises(ConversionFailed, match="other dimensions"):
        decode_frame(HTJ2K_SYNTAXES[0], replace(IMAGE, rows=25), HTJ2K)


def test_bits_above_those_stored_stay() -> None:
    """They may be overlays: RLE keeps them, and so do we."""
    image = replace(IMAGE, rows=1, columns=2)
    assert decode_frame(RLE, image, rle(b"\1\xf1\2", b"\1\3\4")).pixels == b"\3\xf1\4\2"


def test_a_frame_that_kills_its_decoder() -> None:
    one = deadly()
    image = Image(one.Rows, one.Columns, 3, one.PhotometricInterpretation, 8, 8, 0, 1, False)
    frame = next(generate_frames(one.PixelData, number_of_frames=1))
    with pytest.raises(ConversionFailed, match="its decoder ended"):
        decode_frame(one.file_meta.TransferSyntaxUID, image, frame)
    assert decode_frame(HTJ2K_SYNTAXES[0], IMAGE, HTJ2K).pixels == gradient().tobytes()


def test_chrominance_is_that_of_each_pixel() -> None:
    one = pydicom.dcmread(next(iter(shipped("SC_rgb_dcmtk_+eb+cy+n1.dcm"))))
    image = Image(one.Rows, one.Columns, 3, "YBR_FULL_422", 8, 8, 0, 1, False)
    frame = next(generate_frames(one.PixelData, number_of_frames=1))
    assert decode_frame(one.file_meta.TransferSyntaxUID, image, frame).photometric_interpretation == "YBR_FULL"


LOADED = """
import sys
from dicomserver.services import registry
from dicomserver.transcoding.decoding import decode_frame
from dicomserver.transcoding.images import Image
image = Image(24, 20, 1, "MONOCHROME2", 16, 12, 0, 1, False)
decode_frame("1.2.840.10008.1.2.4.201", image, bytes.fromhex(sys.argv[1]))
sys.exit(bool({"pydicom", "numpy", "gdcm", "openjpeg", "jpeg_ls"} & set(sys.modules)))
"""


def test_decoders_are_never_loaded_into_the_server() -> None:
    """Which is in the working folder here, and nowhere else."""
    done = subprocess.run([sys.executable, "-c", LOADED, HTJ2K.hex()], cwd=ROOT, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
