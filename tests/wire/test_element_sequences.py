"""Sequences that are written here are what pydicom reads."""
from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomserver.wire.element import encode_element, encode_sequence

SYNTAXES = {ImplicitVRLittleEndian: (False, False), ExplicitVRLittleEndian: (True, False),
            ExplicitVRBigEndian: (True, True)}


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("count", [0, 1, 3000])
def test_items(syntax: str, count: int) -> None:
    how = SYNTAXES[syntax]
    items = [encode_element(0x00081155, "UI", f"1.2.{number}".encode(), *how) for number in range(count)]
    data = encode_sequence(0x00081199, items, *how) + encode_element(0x00100020, "LO", b"1", *how)
    dataset = dcmread(BytesIO(_part10(syntax) + data))
    assert [item.ReferencedSOPInstanceUID for item in dataset.ReferencedSOPSequence] == [
        f"1.2.{number}" for number in range(count)]
    assert dataset.PatientID == "1"


def _part10(syntax: str) -> bytes:
    meta = encode_element(0x00020010, "UI", syntax.encode())
    return bytes(128) + b"DICM" + encode_element(0x00020000, "UL", len(meta).to_bytes(4, "little")) + meta
