"""How each transfer syntax encodes, as pydicom says."""
from __future__ import annotations

import pytest
from pydicom.uid import UID, AllTransferSyntaxes, JPEGBaseline8Bit, JPEGLSNearLossless

from dicomserver.standard.dictionary import uid_dictionary
from dicomserver.standard.transfer_syntaxes import PREFERENCE, encoding, transfer_syntaxes
from dicomserver.standard.uids import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE


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


def test_we_prefer_what_loses_nothing() -> None:
    assert PREFERENCE[0] == EXPLICIT_VR_LE
    assert PREFERENCE[-2:] == (IMPLICIT_VR_LE, EXPLICIT_VR_BE)
    assert len(set(PREFERENCE)) == len(PREFERENCE)
    assert set(PREFERENCE) <= transfer_syntaxes()
    assert not {JPEGBaseline8Bit, JPEGLSNearLossless} & set(PREFERENCE)
    uncompressed = {EXPLICIT_VR_LE, IMPLICIT_VR_LE, EXPLICIT_VR_BE, "1.2.840.10008.1.2.1.98"}
    compressed = [uid_dictionary()[uid][0] for uid in PREFERENCE if uid not in uncompressed]
    assert [name for name in compressed if "Lossless" not in name and "Deflate" not in name] == []
