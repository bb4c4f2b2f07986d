"""Packed attributes: what the scanner keeps of one level of a dataset, as one blob for the index.

Records one behind the other, all little-endian: tag u32, length u16, VR 2 ASCII bytes, then the value. They stand at
the top of the dataset until a record of VR SQ says otherwise: its tag is the sequence's, its value the number of the
item (u16, from 0) in which those that follow stand; tag 0 without a value leads back to the top. Short, because an
index has one blob for each of millions of instances.
"""
from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from dicomserver.wire.errors import DatasetError

_HEADER = struct.Struct("<IH2s")
_ITEM = struct.Struct("<H")
_PLACE = b"SQ"


class Element(NamedTuple):
    """One kept element. `value` is as it was in the dataset, padding too, but numbers are little-endian."""

    tag: int
    sequence: int
    item: int
    vr: str
    value: bytes


def pack(elements: Iterable[Element]) -> bytes:
    """The blob of these elements, in their order. No value has more than 65 535 bytes."""
    parts = []
    place = (0, 0)
    for tag, sequence, item, vr, value in elements:
        if (sequence, item) != place:
            place = (sequence, item)
            where = _ITEM.pack(item) if sequence else b""
            parts += _HEADER.pack(sequence, len(where), _PLACE), where
        parts += _HEADER.pack(tag, len(value), vr.encode("ascii")), value
    return b"".join(parts)


def unpack(blob: bytes) -> list[Element]:
    """The elements of a blob, in its order; raises DatasetError if it is damaged."""
    elements = []
    at = sequence = item = 0
    while at < len(blob):
        value_at = at + _HEADER.size
        if value_at > len(blob):
            raise DatasetError("is cut off", "packed attribute header", at)
        tag, length, vr = _HEADER.unpack_from(blob, at)
        if not vr.isalpha() or length > len(blob) - value_at or (vr == _PLACE and length != (2 if tag else 0)):
            raise DatasetError("is damaged", "packed attribute", at)
        at = value_at + length
        value = bytes(blob[value_at:at])
        if vr == _PLACE:
            sequence, item = tag, _ITEM.unpack(value)[0] if tag else 0
        else:
            elements.append(Element(tag, sequence, item, vr.decode("ascii"), value))
    return elements


def top_level(blob: bytes) -> dict[int, bytes]:
    """The values at the top of the dataset by tag, of a tag that is there twice the first; raises as unpack() does.

    Several times as quick, as it makes no elements: a rebuilt index spent a tenth of its time on them.
    """
    values: dict[int, bytes] = {}
    header, size, end = _HEADER.unpack_from, _HEADER.size, len(blob)
    at, top = 0, True
    while at + size <= end:
        tag, length, vr = header(blob, at)
        value_at = at + size
        at = value_at + length
        if vr == _PLACE:
            top = tag == 0
            if length != (0 if top else _ITEM.size):
                raise DatasetError("is damaged", "packed attribute", value_at - size)
        elif not vr.isalpha():
            raise DatasetError("is damaged", "packed attribute", value_at - size)
        elif top and tag not in values:
            values[tag] = bytes(blob[value_at:at])
    if at != end:
        raise DatasetError("is cut off", "packed attributes", end)
    return values


def value_of(blob: bytes, wanted: int) -> bytes | None:
    """The value of a tag at the top of the dataset, without unpacking the rest; None if it is not there."""
    at, top = 0, True
    while at + _HEADER.size <= len(blob):
        tag, length, vr = _HEADER.unpack_from(blob, at)
        at += _HEADER.size
        if vr == _PLACE:
            top = tag == 0
        elif tag == wanted and top:
            return bytes(blob[at:at + length])
        at += length
    return None
