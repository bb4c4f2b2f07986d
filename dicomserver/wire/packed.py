"""Packed attributes: what the dataset scanner keeps of one level, in the form in which the index stores it.

A blob is a row of records, little endian throughout: tag(4) sequence(4) VR(2) item(2) length(4) value(length).
`sequence` is the tag of the enclosing sequence, 0 at the top level; `item` counts its items from 0.
"""
from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from dicomserver.wire.errors import DatasetError

_HEAD = struct.Struct("<II2sHI")


class Element(NamedTuple):
    """One kept element. value: as sent, padding and all, cut at the scanner's limit; numbers are little endian."""
    tag: int
    sequence: int
    item: int
    vr: str
    value: bytes


def unpack(blob: bytes) -> list[Element]:
    """The records of a blob, in order. Raises DatasetError where it is damaged."""
    elements = []
    offset = 0
    while offset < len(blob):
        begin = offset + _HEAD.size
        if begin > len(blob):
            raise DatasetError("header of a packed attribute", offset)
        tag, sequence, vr, item, length = _HEAD.unpack_from(blob, offset)
        offset = begin + length
        if offset > len(blob):
            raise DatasetError("value of a packed attribute", begin)
        elements.append(Element(tag, sequence, item, vr.decode("latin-1"), blob[begin:offset]))
    return elements


def pack(elements: Iterable[Element]) -> bytes:
    """The blob of these elements."""
    return b"".join(_HEAD.pack(e.tag, e.sequence, e.vr.encode("latin-1"), e.item, len(e.value)) + e.value
                    for e in elements)
