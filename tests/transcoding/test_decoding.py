from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from dicomserver.transcoding.decoding import COMPRESSED, RLE, decode_frame
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image
from tests.house.tree import ROOT
from tests.transcoding.compressed import HTJ2K, gradient
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


def test_nothing_is_loaded_before_it_is_needed() -> None:
    program = ("import sys; from dicomserver.services import registry;"
               "sys.exit(bool({'pydicom', 'numpy', 'gdcm', 'openjpeg', 'jpeg_ls'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60).returncode == 0
