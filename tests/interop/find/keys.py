"""Datasets and identifiers written down as {keyword: value}, and their bytes; no codec of the product takes part.

A value is text (encoded by the (0008,0005) of its own dictionary), bytes as they are, numbers, or a list of
dictionaries, which are the items of a sequence. A key that no dictionary has is written as its number.
"""
from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from io import BytesIO

from pydicom.charset import convert_encodings, encode_string
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.valuerep import PersonName

IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
SYNTAXES = (EXPLICIT, IMPLICIT, BIG_ENDIAN)

Value = str | bytes | int | Sequence[int] | Sequence["Keys"]
Keys = Mapping[str | int, Value]

# pydicom neither writes nor reads its escape sequence, which has to come again after every delimiter (PS3.5 K.2).
_GB_2312 = re.compile(rb"[\x80-\xff]+")
_LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
LATIN_9 = ("ISO_IR 203", "ISO 2022 IR 203")
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}


def tag_of(key: str | int) -> int:
    """0xGGGGEEEE of a keyword."""
    tag = key if isinstance(key, int) else tag_for_keyword(key)
    assert tag is not None, f"no attribute is called {key}"
    return tag


def vr_of(tag: int) -> str:
    """The dictionary's VR, the first one where it offers several; LO for what it does not know."""
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "LO"


def encoded(keys: Keys, syntax: str = EXPLICIT, encodings: Sequence[str] | None = None) -> bytes:
    """The bytes of a dataset, in ascending order of tags. encodings: of the dataset around it."""
    own = keys.get("SpecificCharacterSet")
    if isinstance(own, str):
        encodings = encodings_of(own)
    by_tag = {tag_of(key): value for key, value in keys.items()}
    return b"".join(_element(tag, by_tag[tag], syntax, encodings or ["ascii"]) for tag in sorted(by_tag))


def encodings_of(character_set: str) -> list[str]:
    """The codecs of a (0008,0005), by pydicom, which lacks Latin alphabet No. 9."""
    if character_set in LATIN_9:
        return ["iso8859_15"]
    return convert_encodings([term.strip() for term in character_set.split("\\")])


def dataset(keys: Keys) -> Dataset:
    """As pydicom reads it."""
    return decoded(encoded(keys), EXPLICIT)


def decoded(data: bytes, syntax: str) -> Dataset:
    """A dataset's bytes as pydicom reads them."""
    return read_dataset(BytesIO(data), syntax == IMPLICIT, syntax != BIG_ENDIAN, at_top_level=False)


def _element(tag: int, value: Value, syntax: str, encodings: Sequence[str]) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    vr = vr_of(tag)
    data = _value(vr, value, syntax, order, encodings)
    if len(data) & 1:
        data += b"\0" if vr in ("UI", "OB", "UN") else b" "
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack("<I", len(data)) + data
    length = struct.pack(order + "HI", 0, len(data)) if vr in _LONG else struct.pack(order + "H", len(data))
    return head + vr.encode() + length + data


def _value(vr: str, value: Value, syntax: str, order: str, encodings: Sequence[str]) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _text(vr, value, encodings)
    if vr == "SQ":
        return b"".join(_item(encoded(item, syntax, encodings), order) for item in value)
    numbers = [value] if isinstance(value, int) else list(value)
    return struct.pack(f"{order}{len(numbers)}{_NUMBERS[vr]}", *numbers)


def _text(vr: str, text: str, encodings: Sequence[str]) -> bytes:
    if text.isascii():
        return text.encode()
    if "iso_ir_58" in encodings:
        return _GB_2312.sub(lambda run: b"\x1b$)A" + run[0], text.encode("gb2312"))
    if vr in ("ST", "LT", "UT"):
        return encode_string(text, encodings)
    encode = (lambda one: PersonName(one).encode(encodings)) if vr == "PN" else (
        lambda one: encode_string(one, encodings))
    return b"\\".join(map(encode, text.split("\\")))


def _item(content: bytes, order: str) -> bytes:
    return struct.pack(order + "HHI", 0xFFFE, 0xE000, len(content)) + content
