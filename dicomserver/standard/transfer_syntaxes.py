"""Transfer syntaxes (PS3.5 10 and Annex A): which there are, how they encode."""
from __future__ import annotations

from functools import cache
from typing import NamedTuple

from dicomserver.standard.dictionary import uid_dictionary
from dicomserver.standard.uids import DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_BE, IMPLICIT_VR_LE


class Encoding(NamedTuple):
    """How the elements of a dataset are written."""

    explicit: bool = True
    big_endian: bool = False
    deflated: bool = False


_EXPLICIT_LE = Encoding()
_DEFLATED = Encoding(deflated=True)
_IMPLICIT = Encoding(explicit=False)

_ENCODINGS = {
    IMPLICIT_VR_LE: _IMPLICIT,
    "1.2.840.10008.1.20": _IMPLICIT,          # Papyrus 3
    "1.2.840.113619.5.2": _IMPLICIT,          # GE private: only its pixel data is big-endian
    EXPLICIT_VR_BE: Encoding(big_endian=True),
    DEFLATED_EXPLICIT_VR_LE: _DEFLATED,
    "1.2.840.10008.1.2.4.95": _DEFLATED,      # JPIP Referenced Deflate
    "1.2.840.10008.1.2.4.205": _DEFLATED,     # JPIP HTJ2K Referenced Deflate
}

# JPIP: the dataset says where the pixels are (PS3.5 A.6, A.7, A.11).
PIXELS_ELSEWHERE = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (94, 95, 204, 205))


@cache
def transfer_syntaxes() -> frozenset[str]:
    """The UIDs of all transfer syntaxes of PS3.6, retired ones too."""
    return frozenset(uid for uid, (_, kind, *_) in uid_dictionary().items() if kind == "Transfer Syntax")


def name_of(uid: str) -> str:
    """The name of a transfer syntax in PS3.6; the UID itself where it has none."""
    return uid_dictionary()[uid][0] if uid in uid_dictionary() else uid


def encoding(uid: str) -> Encoding:
    """How a dataset of this transfer syntax is encoded; explicit little-endian for the unknown and private
    ones, which PS3.5 10 asks of every syntax since 1993."""
    return _ENCODINGS.get(uid, _EXPLICIT_LE)
