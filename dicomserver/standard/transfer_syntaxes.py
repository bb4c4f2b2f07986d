"""Transfer syntaxes (PS3.5 10 and Annex A): which there are, how they encode, which we would rather have."""
from __future__ import annotations

from functools import cache
from typing import NamedTuple

from dicomserver.standard.dictionary import uid_dictionary
from dicomserver.standard.uids import DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE


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

# For a storage context that offers several. Whatever the sender holds, it has to convert to what we choose: so
# first those that lose neither pixels nor the VRs of private elements, then those that lose VRs or are awkward.
# A lossy one stands nowhere here: it is right only where the sender offers nothing else.
PREFERENCE: tuple[str, ...] = (
    EXPLICIT_VR_LE,
    "1.2.840.10008.1.2.4.201",                # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",                # HTJ2K lossless, RPCL
    "1.2.840.10008.1.2.4.80",                 # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",                 # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.70",                 # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.57",                 # JPEG lossless
    "1.2.840.10008.1.2.5",                    # RLE lossless
    "1.2.840.10008.1.2.4.110",                # JPEG XL lossless: few can read it yet
    "1.2.840.10008.1.2.8.1",                  # deflated image frames
    "1.2.840.10008.1.2.1.98",                 # encapsulated uncompressed
    DEFLATED_EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    EXPLICIT_VR_BE,
)


@cache
def transfer_syntaxes() -> frozenset[str]:
    """The UIDs of all transfer syntaxes of PS3.6, retired ones too."""
    return frozenset(uid for uid, (_, kind, *_) in uid_dictionary().items() if kind == "Transfer Syntax")


def encoding(uid: str) -> Encoding:
    """How a dataset of this transfer syntax is encoded; explicit little-endian for the unknown and private
    ones, which PS3.5 10 asks of every syntax since 1993."""
    return _ENCODINGS.get(uid, _EXPLICIT_LE)
