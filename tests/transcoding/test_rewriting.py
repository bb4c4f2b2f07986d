"""Every uncompressed file of pydicom to every uncompressed transfer syntax, compared by pydicom."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from dicomserver.transcoding.errors import ConversionFailed
from tests.shipped import shipped
from tests.transcoding.datasets import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    UNCOMPRESSED,
    converted,
    of_file,
    read,
    shipped_datasets,
)

# What ends in the middle of an element, and where it does.
CUT_OFF = {"MR_truncated.dcm": "7FE0,0010", "rtplan_truncated.dcm": "300A,00B0"}
# What does not come back byte for byte, and why.
OTHER_BYTES = {
    "CT_small.dcm": {IMPLICIT: "implicit VR says nothing of private elements' VRs: they come back as UN"},
    "SC_rgb_small_odd.dcm": {IMPLICIT: "8-bit pixel data comes back as OB, was OW"},
    "SC_rgb_small_odd_big_endian.dcm": {IMPLICIT: "8-bit pixel data comes back as OB, was OW"},
    "examples_overlay.dcm": {IMPLICIT: "private elements come back as UN"},
    "examples_palette.dcm": {IMPLICIT: "LUT data comes back as OW, was US"},
    "waveform_ecg.dcm": {IMPLICIT: "private elements come back as UN"},
    "ExplVR_BigEnd.dcm": dict.fromkeys((IMPLICIT, EXPLICIT, DEFLATED), "group lengths are left out"),
}
NUMBERS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
FILES = {name: (stored, dataset) for name, stored, dataset in shipped_datasets(*UNCOMPRESSED)}
WHOLE = sorted(FILES.keys() - CUT_OFF.keys())
PAIRS = [(name, wanted) for name in WHOLE for wanted in UNCOMPRESSED if wanted != FILES[name][0]]


def check_same(one: Dataset, other: Dataset) -> None:
    """Every element but the group lengths, with its value; of those that may have become UN the bytes."""
    tags = [tag for tag in one.keys() if tag.element]
    assert tags == list(other.keys())
    for tag in tags:
        check_same_element(one[tag], other[tag])


def little_endian(dataset: Dataset, big_endian: bool) -> Dataset:
    """The numbers of OW and its kin are bytes to pydicom: swaps them where they came in big endian."""
    def swap(_dataset: Dataset, element: DataElement) -> None:
        if element.VR in NUMBERS and element.value:
            size = NUMBERS[element.VR]
            element._value = b"".join(element.value[at:at + size][::-1] for at in range(0, len(element.value), size))
    if big_endian:
        dataset.walk(swap)
    return dataset


def check_same_element(one: DataElement, other: DataElement) -> None:
    """Values are compared as they are read: with the same VR, unless one side cannot know it."""
    if one.VR == other.VR == "SQ":
        assert len(one.value) == len(other.value)
        for item, same in zip(one.value, other.value):
            check_same(item, same)
    elif one.VR == other.VR:
        assert one.value == other.value, one.tag
    elif {one.VR, other.VR} == {"US", "OW"}:
        assert one.tag == 0x00283006 or 0x00281201 <= one.tag <= 0x00281203
    else:
        assert "UN" in (one.VR, other.VR) or {one.VR, other.VR} == {"OB", "OW"}, (one, other)


@pytest.mark.parametrize(("name", "wanted"), PAIRS)
def test_pydicom_reads_the_same_elements(name: str, wanted: str) -> None:
    stored, dataset = FILES[name]
    check_same(little_endian(read(dataset, stored), stored == BIG_ENDIAN),
               little_endian(read(converted(dataset, stored, wanted), wanted), wanted == BIG_ENDIAN))


@pytest.mark.parametrize(("name", "wanted"), PAIRS)
def test_what_comes_back_is_what_went(name: str, wanted: str) -> None:
    stored, dataset = FILES[name]
    back = converted(converted(dataset, stored, wanted), wanted, stored)
    if stored == DEFLATED:      # zlib may pack it in another way
        back, dataset, stored = converted(back, DEFLATED, EXPLICIT), converted(dataset, DEFLATED, EXPLICIT), EXPLICIT
    assert (back == dataset) is (wanted not in OTHER_BYTES.get(name, {}))
    check_same(read(dataset, stored), read(back, stored))


@pytest.mark.parametrize("name", sorted(CUT_OFF))
def test_a_dataset_that_is_cut_off_is_not_converted(name: str) -> None:
    stored, dataset = FILES[name]
    for wanted in {IMPLICIT, EXPLICIT, BIG_ENDIAN} - {stored}:
        with pytest.raises(ConversionFailed, match=CUT_OFF[name]):
            converted(dataset, stored, wanted)


def test_pairs_of_files_that_pydicom_brings_agree() -> None:
    """The same image in several transfer syntaxes, made by others."""
    (syntax, little), (_, big) = of_file("MR_small.dcm"), of_file("MR_small_bigendian.dcm")
    assert read(converted(little, syntax, BIG_ENDIAN), BIG_ENDIAN).PixelData == read(big, BIG_ENDIAN).PixelData
    assert read(converted(big, BIG_ENDIAN, syntax), syntax).PixelData == read(little, syntax).PixelData


@pytest.mark.parametrize("name", ["rtdose.dcm", "MR_small.dcm", "waveform_ecg.dcm", "priv_SQ.dcm", "reportsi.dcm"])
@pytest.mark.parametrize(("wanted", "option"), [(IMPLICIT, "+ti"), (EXPLICIT, "+te"), (BIG_ENDIAN, "+tb")])
def test_dcmtk_makes_the_same_of_it(tmp_path: Path, name: str, wanted: str, option: str) -> None:
    """OW is 16-bit words also where a pixel has 32 bits (PS3.5 6.2)."""
    stored, dataset = of_file(name)
    made = tmp_path / "made.dcm"
    path = next(path for path in shipped(name) if path.name == name)
    subprocess.run(["dcmconv", "-q", option, path, made], check=True, timeout=60)
    theirs = pydicom.dcmread(made, force=True)
    ours = read(converted(dataset, stored, wanted) if wanted != stored else dataset, wanted)
    check_same(theirs, ours)


def test_compressed_pixel_data_has_no_place_in_an_uncompressed_syntax() -> None:
    _, dataset = of_file("JPEG2000.dcm")
    with pytest.raises(ConversionFailed, match="compressed pixel data in an uncompressed transfer syntax"):
        converted(dataset, EXPLICIT, IMPLICIT)
