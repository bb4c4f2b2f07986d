"""Every compressed file of pydicom, and some more, without compression: pixels, attributes, hostile ones."""
from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import get_decoder
from pydicom.sequence import Sequence

from dicomserver.transcoding import decompression
from dicomserver.transcoding.decoding import COMPRESSED
from dicomserver.transcoding.errors import ConversionFailed
from tests.house.tree import ROOT
from tests.shipped import shipped
from tests.transcoding.compressed import HTJ2K, by_dcmtk, dataset_of_frames, gradient
from tests.transcoding.datasets import EXPLICIT, IMPLICIT, converted, of_file, read, shipped_datasets

BASELINE, EXTENDED, LOSSLESS, SV1 = (f"1.2.840.10008.1.2.4.{end}" for end in ("50", "51", "57", "70"))
JPEG_LS, NEAR_LOSSLESS, J2K, HTJ2K_LOSSLESS = (f"1.2.840.10008.1.2.4.{end}" for end in ("80", "81", "90", "201"))
RLE = "1.2.840.10008.1.2.5"
# Cells that fail, and with what.
FAILING = {"JPEG2000-embedded-sequence-delimiter.dcm": "other dimensions"}
# What pydicom does not decode; DCMTK does.
ONLY_DCMTK = {"JPEG-lossy.dcm", "JPGExtended.dcm"}
CHANGING = {"PhotometricInterpretation", "PlanarConfiguration", "LossyImageCompression", "PixelData",
            "ExtendedOffsetTable", "ExtendedOffsetTableLengths"}

FILES = {name: (stored, dataset) for name, stored, dataset in shipped_datasets(*COMPRESSED)
         if b"\xe0\x7f\x10\0O" in dataset}


def pixels_of(dataset: Dataset, syntax: str) -> numpy.ndarray:
    """As pydicom has them, with colours as they are."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    return get_decoder(syntax).as_array(dataset, raw=True)[0]


def dcmtk_pixels(path: Path, folder: Path, syntax: str) -> numpy.ndarray:
    """As DCMTK has them."""
    tool = "dcmdrle" if syntax == RLE else "dcmdjpls" if syntax in (JPEG_LS, NEAR_LOSSLESS) else "dcmdjpeg"
    options = ["+cn"] if tool == "dcmdjpeg" else []
    subprocess.run([tool, *options, path, folder / "theirs.dcm"], check=True, capture_output=True, timeout=60)
    return pixels_of(pydicom.dcmread(folder / "theirs.dcm"), EXPLICIT)


@pytest.mark.parametrize("name", sorted(FILES.keys() - FAILING.keys()))
@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT])
def test_pixels_and_attributes(name: str, wanted: str, tmp_path: Path) -> None:
    stored, dataset = FILES[name]
    original, made = read(dataset, EXPLICIT), read(converted(dataset, stored, wanted), wanted)
    ours = pixels_of(made, wanted)
    if name in ONLY_DCMTK:
        path = next(path for path in shipped(name) if path.name == name)
        assert numpy.array_equal(ours, dcmtk_pixels(path, tmp_path, stored))
    else:
        assert numpy.array_equal(ours, pixels_of(read(dataset, EXPLICIT), stored))
    tags = {element.tag for element in original if element.keyword not in CHANGING and element.tag.element}
    assert {element.tag for element in made if element.keyword not in CHANGING} == tags
    assert all(original[tag].value == made[tag].value for tag in tags if original[tag].VR == made[tag].VR)
    colour = original.SamplesPerPixel > 1
    becomes = {"YBR_FULL_422": "YBR_FULL", "YBR_RCT": "RGB", "YBR_ICT": "RGB"}
    photometric = original.PhotometricInterpretation
    assert made.PhotometricInterpretation == becomes.get(photometric, photometric)
    assert made.get("PlanarConfiguration") == (0 if colour else original.get("PlanarConfiguration"))
    lossy = "01" if stored in (BASELINE, EXTENDED) else original.get("LossyImageCompression")
    assert made.get("LossyImageCompression") == lossy
    assert len(made.PixelData) % 2 == 0
    assert made["PixelData"].VR == ("OB" if original.BitsAllocated == 8 and wanted == EXPLICIT else "OW")


@pytest.mark.parametrize("name", sorted(name for name, (stored, _) in FILES.items()
                                        if stored in (BASELINE, EXTENDED, SV1, JPEG_LS, NEAR_LOSSLESS, RLE)
                                        and name != "SC_rgb_jpeg.dcm"))
def test_dcmtk_has_the_same_pixels(name: str, tmp_path: Path) -> None:
    """A second oracle where it has decoders; that one file lacks what DCMTK asks for."""
    stored, dataset = FILES[name]
    path = next(path for path in shipped(name) if path.name == name)
    ours = pixels_of(read(converted(dataset, stored, EXPLICIT), EXPLICIT), EXPLICIT)
    assert numpy.array_equal(ours, dcmtk_pixels(path, tmp_path, stored))


@pytest.mark.parametrize(("tool", "option", "syntax"), [
    ("dcmcjpeg", "+e1", SV1), ("dcmcjpeg", "+el", LOSSLESS), ("dcmcjpls", "+el", JPEG_LS), ("dcmcrle", "-q", RLE),
])
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "examples_rgb_color.dcm"])
def test_what_dcmtk_compressed_without_loss(tool: str, option: str, syntax: str, name: str, tmp_path: Path) -> None:
    stored, dataset = by_dcmtk(tmp_path, tool, option, name=name)
    assert stored == syntax
    original = pixels_of(read(of_file(name)[1], EXPLICIT), EXPLICIT)
    assert numpy.array_equal(pixels_of(read(converted(dataset, stored, EXPLICIT), EXPLICIT), EXPLICIT), original)


def test_htj2k_frames_with_every_kind_of_offset_table(tmp_path: Path) -> None:
    """Extended Offset Tables and their kin go."""
    stored, dataset = dataset_of_frames([HTJ2K] * 3, HTJ2K_LOSSLESS, tmp_path, NumberOfFrames="3",
                                        ExtendedOffsetTable=bytes(24), ExtendedOffsetTableLengths=bytes(24))
    made = read(converted(dataset, stored, EXPLICIT), EXPLICIT)
    assert made.PixelData == gradient().tobytes() * 3
    assert "ExtendedOffsetTable" not in made and "ExtendedOffsetTableLengths" not in made


def test_an_icon_is_decoded_as_well(tmp_path: Path) -> None:
    icon = Dataset()
    icon.SamplesPerPixel, icon.PhotometricInterpretation, icon.Rows, icon.Columns = 1, "MONOCHROME2", 24, 20
    icon.BitsAllocated, icon.BitsStored, icon.HighBit, icon.PixelRepresentation = 16, 12, 11, 0
    icon.PixelData = pydicom.encaps.encapsulate([HTJ2K])
    icon["PixelData"].VR, icon["PixelData"].is_undefined_length = "OB", True
    stored, dataset = dataset_of_frames([HTJ2K], HTJ2K_LOSSLESS, tmp_path, IconImageSequence=Sequence([icon]))
    for wanted in (EXPLICIT, IMPLICIT):
        made = read(converted(dataset, stored, wanted), wanted)
        assert made.PixelData == made.IconImageSequence[0].PixelData == gradient().tobytes()


def test_planar_configuration_says_nothing_of_codestreams(tmp_path: Path) -> None:
    stored, dataset = of_file("SC_rgb_jpeg_dcmtk.dcm")
    plane = struct.pack("<HH2sHH", 0x0028, 0x0006, b"US", 2, 0)
    assert dataset.count(plane) == 1
    other = dataset.replace(plane, plane[:-2] + b"\1\0")
    assert converted(other, stored, EXPLICIT) == converted(dataset, stored, EXPLICIT)


def test_an_object_without_an_image(tmp_path: Path) -> None:
    dataset = of_file("rtplan.dcm")
    plain = converted(dataset[1], dataset[0], EXPLICIT)
    assert converted(plain, RLE, EXPLICIT) == plain


@pytest.mark.parametrize("name", sorted(FAILING))
def test_what_fails_by_name(name: str) -> None:
    with pytest.raises(ConversionFailed, match=FAILING[name]):
        converted(FILES[name][1], FILES[name][0], EXPLICIT)


@pytest.mark.parametrize(("frames", "changes", "problem"), [
    ([HTJ2K], {"NumberOfFrames": "2"}, "as many frames"),
    ([HTJ2K, HTJ2K[:-150]], {"NumberOfFrames": "2"}, "cannot be decoded"),
    ([HTJ2K], {"Rows": 25}, "other dimensions"),
    ([HTJ2K], {"Rows": 65535, "Columns": 65535}, "a larger one"),
    ([HTJ2K], {"Rows": 8192, "Columns": 8192, "NumberOfFrames": "40"}, "longer than 4 GB"),
    ([HTJ2K], {"SamplesPerPixel": 3}, "other dimensions"),
    ([HTJ2K], {"BitsAllocated": 8, "BitsStored": 8}, "other dimensions"),
    ([b"\0\0"], {}, "no codestream"),
])
def test_hostile_images(frames: list[bytes], changes: dict, problem: str, tmp_path: Path) -> None:
    stored, dataset = dataset_of_frames(frames, HTJ2K_LOSSLESS, tmp_path, **changes)
    with pytest.raises(ConversionFailed, match=problem):
        converted(dataset, stored, EXPLICIT)


def test_fragments_that_are_cut_off_anywhere(tmp_path: Path) -> None:
    stored, dataset = dataset_of_frames([HTJ2K], HTJ2K_LOSSLESS, tmp_path)
    begin = dataset.index(b"\xe0\x7f\x10\0OB")
    for length in range(begin + 1, begin + 12 + 8 + 4 + 8 + len(HTJ2K) + 8):
        with pytest.raises(ConversionFailed):
            converted(dataset[:length], stored, EXPLICIT)


def test_more_images_than_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, dataset = dataset_of_frames([HTJ2K], HTJ2K_LOSSLESS, tmp_path)
    monkeypatch.setattr(decompression, "MOST_IMAGES", 0)
    with pytest.raises(ConversionFailed, match="too many images"):
        converted(dataset, stored, EXPLICIT)


MEMORY = """
import os, resource, struct, sys
from dicomserver.transcoding.conversion import convert
from tests.transcoding.datasets import open_scratch
from tests.transcoding.test_rewriter import explicit, item
from tests.transcoding.test_rle import rle
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
side, frames = 1024, 100
head = b"".join(explicit(tag, vr, value) for tag, vr, value in [
    (0x00280002, "US", b"\\1\\0"), (0x00280004, "CS", b"MONOCHROME2 "), (0x00280008, "IS", b"%d " % frames),
    (0x00280010, "US", struct.pack("<H", side)), (0x00280011, "US", struct.pack("<H", side)),
    (0x00280100, "US", b"\\x10\\0"), (0x00280101, "US", b"\\x10\\0"), (0x00280103, "US", b"\\0\\0")])
run = b"\\x7f" + bytes(range(128))
frame = rle(run * (side * side // 128), run * (side * side // 128))
with open_scratch() as source:
    os.write(source.file, head + explicit(0x7FE00010, "OB", item(b""), 0xFFFFFFFF))
    for _ in range(frames):
        os.write(source.file, item(frame))
    os.write(source.file, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    before = peak()
    length = os.fstat(source.file).st_size
    with convert(source.file, 0, length, "1.2.840.10008.1.2.5", "1.2.840.10008.1.2", open_scratch) as made:
        assert made.length > side * side * 2 * frames
    print(peak() - before)
"""


def test_memory_stays_flat() -> None:
    """200 MB of a hundred frames; a process of its own, as its peak is looked at."""
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 24 << 10      # KB: frames of 2 MB, compressed and not
