"""How each transfer syntax encodes, as pydicom says."""
from __future__ import annotations

import pytest
from pydicom.uid import UID, AllTransferSyntaxes

from dicomserver.standard.transfer_syntaxes import encoding, name_of, transfer_syntaxes
from dicomserver.standard.uids import EXPLICIT_VR_LE


def test_all_of_pydicom_are_there() -> None:
    assert set(AllTransferSyntaxes) <= transfer_syntaxes()


@pytest.mark.parametrize("uid", sorted(AllTransferSyntaxes))
def test_encoding_is_as_pydicom_says(uid: str) -> None:
    found = encoding(uid)
    assert found.explicit != UID(uid).is_implicit_VR
    assert found.big_endian != UID(uid).is_little_endian
    assert found.deflated == (UID(uid).is_deflated or "Deflate" in UID(uid).name)


def test_the_unknown_is_explicit_little_endian() -> None:
    assert encoding("1.3.46.670589.33.1.4.1") == encoding(EXPLICIT_VR_LE) == (True, False, False)
    assert encoding("1.2.840.113619.5.2").explicit is False     # GE's private one


def test_names() -> None:
    assert name_of(EXPLICIT_VR_LE) == "Explicit VR Little Endian"
    assert name_of("1.3.46.670589.33.1.4.1") == "1.3.46.670589.33.1.4.1"
