"""Packed attributes: what the scanner keeps of one level of a dataset, as one blob for the index.

Records one behind the other, all little-endian: tag u32, sequence u32 (0 at the top of the dataset), VR 2 ASCII
bytes, item u16 (number of the item in the sequence, from 0), length u32, then the value.
"""
from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from dicomserver.wire.errors import DatasetError

_HEADER = struct.Struct("<II2sHI")


class Element(NamedTuple):
    """One kept element. `value` is as it was in the dataset, padding too, but numbers are little-endian."""

    tag: int
    sequence: int
    item: int
    vr: str
    value: bytes


def pack(elements: Iterable[Element]) -> bytes:
    """The blob of these elements, in their order."""
    return b"".join(
        part for tag, sequence, item, vr, value in elements
        for part in (_HEADER.pack(tag, sequence, vr.encode("ascii"), item, len(value)), value))


def unpack(blob: bytes) -> list[Element]:
    """The elements of a blob, in its order; raises DatasetError if it is damaged."""
    elements = []
    at = 0
    while at < len(blob):
        value_at = at + _HEADER.size
        if value_at > len(blob):
            raise DatasetError("is cut off", "packed attribute header", at)
        tag, sequence, vr, item, length = _HEADER.unpack_from(blob, at)
        if not vr.isalpha() or length > len(blob) - value_at:
            raise DatasetError("is damaged", "packed attribute", at)
        at = value_at + length
        elements.append(Element(tag, sequence, item, vr.decode("ascii"), bytes(blob[value_at:at])))
    return elements
