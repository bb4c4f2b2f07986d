from __future__ import annotations

import pytest
from pydicom.datadict import DicomDictionary, RepeatersDictionary, dictionary_VR

from dicomserver.transcoding.rewriting import vrs

CHOICES = {"US or SS": "us", "OB or OW": "ob", "US or OW": "OW", "US or SS or OW": "OW"}


def test_every_row_of_the_dictionary() -> None:
    for tag, (vr, *_) in DicomDictionary.items():
        assert vrs().vr(tag) == ("UN" if vr == "NONE" else CHOICES.get(vr, vr)), hex(tag)


def test_every_repeating_group() -> None:
    for pattern in RepeatersDictionary:
        for digit in "02E":
            tag = int(pattern.replace("x", digit), 16)
            vr = dictionary_VR(tag)
            assert vrs().vr(tag) == CHOICES.get(vr, vr), pattern


@pytest.mark.parametrize(("tag", "vr"), [
    (0x00090010, "LO"), (0x000900FF, "LO"), (0x0009000F, "UN"), (0x00090100, "UN"), (0x00091010, "UN"),
    (0x50010010, "LO"), (0x60013000, "UN"), (0x00081234, "UN"), (0xFFFFFFFF, "UN"), (0, "UL"),
])
def test_private_and_unknown_tags(tag: int, vr: str) -> None:
    assert vrs().vr(tag) == vr
