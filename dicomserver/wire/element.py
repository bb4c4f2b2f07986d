"""One element of a dataset, written (PS3.5 7.1): for the few that are made here."""
from __future__ import annotations

import struct
from collections.abc import Iterable

_SHORT = 0xFFFE         # the longest even value of a VR with a two-byte length
_LONG_LENGTH = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})


def encode_element(tag: int, vr: str, value: bytes, explicit_vr: bool = True, big_endian: bool = False) -> bytes:
    """The element with its value padded to even length; one too long for its VR in explicit VR is UN (PS3.5 6.2.2)."""
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB", "UN") else b" "
    order = ">" if big_endian else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if not explicit_vr:
        return head + struct.pack(order + "I", len(value)) + value
    if vr not in _LONG_LENGTH and len(value) > _SHORT:
        vr = "UN"
    if vr in _LONG_LENGTH:
        return head + vr.encode("ascii") + b"\0\0" + struct.pack(order + "I", len(value)) + value
    return head + vr.encode("ascii") + struct.pack(order + "H", len(value)) + value


def encode_sequence(tag: int, items: Iterable[bytes], explicit_vr: bool = True, big_endian: bool = False) -> bytes:
    """A sequence of defined length (PS3.5 7.5); items: the elements of each, encoded in the same way."""
    head = struct.Struct((">" if big_endian else "<") + "HHI")
    value = b"".join(part for item in items for part in (head.pack(0xFFFE, 0xE000, len(item)), item))
    return encode_element(tag, "SQ", value, explicit_vr, big_endian)
