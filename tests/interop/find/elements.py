"""The elements of a pydicom dataset as plain text: what the oracle reads of what is stored and of what is asked."""
from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import TEXT_VR_DELIMS

from tests.interop.find.keys import vr_of
from tests.interop.find.values import ONE_VALUE

# At these the first character set is back (PS3.5 6.1.2.5.3).
_PN_DELIMITERS = {ord(c) for c in "\\^="}
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_BYTES = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


@dataclass(frozen=True, slots=True)
class Element:
    """text: the whole value. values: its single ones without padding, none of them empty. items: of a sequence."""

    tag: int
    vr: str
    text: str = ""
    values: tuple[str, ...] = ()
    items: tuple[tuple[Element, ...], ...] = ()

    @property
    def keyword(self) -> str:
        """The dictionary's, "" if it has none."""
        return keyword_for_tag(self.tag)


def elements_of(dataset: Dataset, encodings: Sequence[str] | None = None) -> tuple[Element, ...]:
    """In ascending order of tags. encodings: those of the dataset around it."""
    character_set = dataset.get("SpecificCharacterSet")
    encodings = convert_encodings(character_set) if character_set else encodings or ["iso8859"]
    return tuple(_element(dataset, tag, encodings) for tag in sorted(dataset.keys()))


def _element(dataset: Dataset, tag: int, encodings: Sequence[str]) -> Element:
    held, tag = dataset.get_item(tag), int(tag)
    vr = held.VR if held.VR not in (None, "UN") else vr_of(tag)
    if vr == "SQ":
        return Element(tag, vr, items=tuple(elements_of(item, encodings) for item in dataset[tag].value or ()))
    text = _text(held, vr, encodings)
    singles = [text] if vr in ONE_VALUE else text.split("\\")
    return Element(tag, vr, text, tuple(filter(None, (single.strip(" \0") for single in singles))))


def _text(held: object, vr: str, encodings: Sequence[str]) -> str:
    if not isinstance(held, RawDataElement):
        return "" if held.value is None else str(held.value)
    value = held.value or b""
    if vr in _BYTES:
        return ""
    if vr in _NUMBERS:
        order = "<" if held.is_little_endian else ">"
        size = struct.calcsize(_NUMBERS[vr])
        numbers = struct.unpack(f"{order}{len(value) // size}{_NUMBERS[vr]}", value[:len(value) // size * size])
        return "\\".join(map(str, numbers))
    delimiters = _PN_DELIMITERS if vr == "PN" else {*TEXT_VR_DELIMS, ord("\\")}
    return decode_bytes(value, encodings, delimiters).strip(" \0")
