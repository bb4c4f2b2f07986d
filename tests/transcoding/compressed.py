"""Compressed datasets that pydicom does not bring along."""
from __future__ import annotations

import base64
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy
import pydicom
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

from tests.shipped import shipped

# 24 x 20, 12 of 16 bits, reversible; made with OpenJPH. Its pixels are those of `gradient`.
HTJ2K = base64.b64decode("""
    /0//UQApQAAAAAAUAAAAGAAAAAAAAAAAAAAAFAAAABgAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQ
    kJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAJsAAf+TwAAm5fwFB3QAwAASwAATAGgBh3QA8vwCh3QAwAASQAAT
    AO0rcwBp+gACNADAABLAABVA1SjidABQoUL9wDGB/rYAwAAVcAAFaDCEMITYL9fgC3cApCQSifT0CEYhAey4AMAALQgABapERERERETv+Ken
    p6enwnoASARBEARBEOT/UAI9hCB79hCB7L0A/9k=""")


def gradient() -> numpy.ndarray:
    return (numpy.add.outer(numpy.arange(24) * 37, numpy.arange(20) * 11) % 4096).astype("<u2")


def dataset_of_frames(frames: Sequence[bytes], syntax: str, folder: Path, **attributes: object) -> tuple[str, bytes]:
    """-> the transfer syntax and a dataset with these frames, that of a small CT but for the attributes."""
    one = pydicom.dcmread(next(iter(shipped("CT_small.dcm"))))
    one.Rows, one.Columns, one.BitsStored, one.HighBit, one.PixelRepresentation = 24, 20, 12, 11, 0
    one.file_meta.TransferSyntaxUID = UID(syntax)
    for keyword, value in attributes.items():
        setattr(one, keyword, value)
    one.PixelData = encapsulate(list(frames))
    one["PixelData"].VR, one["PixelData"].is_undefined_length = "OB", True
    one.save_as(folder / "made.dcm")
    return read_file(folder / "made.dcm")


def deadly() -> pydicom.Dataset:
    """One of pydicom's files, whose JPEG frame makes GDCM abort its process: the Adobe segment names a transform of
    colours that there is not."""
    one = pydicom.dcmread(next(iter(shipped("SC_rgb_jpeg_gdcm.dcm"))))
    frame = bytearray(next(generate_frames(one.PixelData, number_of_frames=1)))
    frame[17] = 0x7F
    one.PixelData = encapsulate([bytes(frame)])
    return one


def by_dcmtk(folder: Path, tool: str, *options: str, name: str = "CT_small.dcm") -> tuple[str, bytes]:
    """One of pydicom's files compressed by dcmcjpeg, dcmcjpls or dcmcrle."""
    path = next(path for path in shipped(name) if path.name == name)
    subprocess.run([tool, *options, path, folder / "made.dcm"], check=True, capture_output=True, timeout=60)
    return read_file(folder / "made.dcm")


def read_file(path: Path) -> tuple[str, bytes]:
    """The transfer syntax and the dataset of a Part 10 file."""
    with path.open("rb") as file:
        meta = pydicom.filereader.read_file_meta_info(path)
        file.seek(132 + 12 + meta.FileMetaInformationGroupLength)
        return str(meta.TransferSyntaxUID), file.read()
