"""What may become part of a path, and who we say we are."""
from __future__ import annotations

import re
import string

import pytest
from hypothesis import given, strategies as st
from pydicom.uid import RE_VALID_UID, UID

from dicomserver.standard import uids


@pytest.mark.parametrize("text", ["1", "0", "1.2.840.10008.1.1", "1.02.3", "2.25." + "9" * 59, "1." * 31 + "11"])
def test_uids(text: str) -> None:
    assert uids.is_valid_uid(text)


@pytest.mark.parametrize("text", [
    "", ".", "..", "1.", ".1", "1..2", "1/2", "../1.2", "1.2\0", "1.2 ", " 1.2", "1.2\n", "1.a", "-1", "+1", "1e3",
    "1,2", "1" * 65, "1.2\\1.3", "１.２", "1.²", "٣.١", "1.\udc80",
])
def test_no_uids(text: str) -> None:
    assert not uids.is_valid_uid(text)


@given(st.text(max_size=70))
def test_what_passes_is_safe_in_a_path(text: str) -> None:
    if uids.is_valid_uid(text):
        assert set(text) <= set(string.digits + ".")
        assert text not in (".", "..") and len(text) <= 64


@given(st.text(alphabet="0123456789.", max_size=70))
def test_agrees_with_pydicom_but_for_leading_zeros(text: str) -> None:
    tolerant = ".".join(part.lstrip("0") or part and "0" for part in text.split("."))
    assert uids.is_valid_uid(text) == (len(text) <= 64 and re.match(RE_VALID_UID, tolerant) is not None)


def test_the_names_are_those_of_the_standard() -> None:
    names = {
        uids.APPLICATION_CONTEXT: "DICOM Application Context Name", uids.VERIFICATION: "Verification SOP Class",
        uids.IMPLICIT_VR_LE: "Implicit VR Little Endian", uids.EXPLICIT_VR_LE: "Explicit VR Little Endian",
        uids.EXPLICIT_VR_BE: "Explicit VR Big Endian",
        uids.DEFLATED_EXPLICIT_VR_LE: "Deflated Explicit VR Little Endian",
    }
    assert {uid: UID(uid).name for uid in names} == names


def test_our_implementation_has_a_uid_and_a_name() -> None:
    assert uids.is_valid_uid(uids.IMPLEMENTATION_CLASS_UID)
    assert uids.IMPLEMENTATION_CLASS_UID == "2.25.291205709246049752282222423494014777625"     # never changes
    assert 1 <= len(uids.IMPLEMENTATION_VERSION_NAME) <= 16
    assert uids.IMPLEMENTATION_VERSION_NAME.startswith("DCMSERVER_")
