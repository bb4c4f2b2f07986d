"""The identifiers of queries and retrievals (PS3.4 C.2.1): keys to bytes, and a response's bytes to values."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from dicomserver.index.decoding import decode
from dicomserver.index.text import split_values
from dicomserver.standard.query import SPECIFIC_CHARACTER_SET, query_attributes, query_sequences
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.wire.element import encode_element
from dicomserver.wire.identifier import IdentifierDecoder, IdentifierElement

# One text, in which a backslash separates nothing (PS3.5 6.4).
_SINGLE = frozenset(("LT", "ST", "UR", "UT"))
_IN_CHARACTER_SET = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN", "AT"))


class Key(NamedTuple):
    """One key of a request. value: several are separated by backslashes, "" asks for the attribute."""

    tag: int
    vr: str
    value: str = ""


class Values(NamedTuple):
    """One attribute of a response. values: texts, numbers in their decimal form; of a sequence its items."""

    vr: str
    values: tuple[str | dict[int, Values], ...]

    def __str__(self) -> str:
        return "\\".join(value for value in self.values if isinstance(value, str))


def encode_identifier(keys: Iterable[Key], transfer_syntax: str) -> bytes:
    """The keys as a dataset in explicit or implicit VR little endian. Letters beyond ASCII go out as Latin-1 if that
    has them all, else as UTF-8, and Specific Character Set (0008,0005) says so."""
    keys = sorted(key for key in keys if key.tag != SPECIFIC_CHARACTER_SET)
    term, codec = _character_set("".join(key.value for key in keys))
    if term:
        keys = sorted([*keys, Key(SPECIFIC_CHARACTER_SET, "CS", term)])
    explicit = encoding(transfer_syntax).explicit
    return b"".join(_element(key, codec, explicit) for key in keys)


def decode_identifier(dataset: bytes, transfer_syntax: str) -> dict[int, Values]:
    """The attributes of a response by tag. Text that is not what it should be comes as well as it can be read. Raises
    DatasetError for what is no dataset."""
    how = encoding(transfer_syntax)
    decoder = IdentifierDecoder(how.explicit, how.big_endian, frozenset(query_sequences()))
    return _decoded(decoder.decode(dataset), b"")


def _character_set(text: str) -> tuple[str, str]:
    if text.isascii():
        return "", "ascii"
    try:
        text.encode("latin_1")
    except UnicodeEncodeError:
        return "ISO_IR 192", "utf_8"
    return "ISO_IR 100", "latin_1"


def _element(key: Key, codec: str, explicit: bool) -> bytes:
    # What a command line could not decode stands in `value` as surrogates: it goes out as the bytes that were typed.
    return encode_element(key.tag, key.vr, key.value.encode(codec, "surrogateescape"), explicit)


def _decoded(elements: Iterable[IdentifierElement], character_set: bytes) -> dict[int, Values]:
    elements = list(elements)
    for element in elements:
        if element.tag == SPECIFIC_CHARACTER_SET:
            character_set = element.value
    return {element.tag: _values(element, character_set) for element in elements}


def _values(element: IdentifierElement, character_set: bytes) -> Values:
    if element.items is not None:
        return Values("SQ", tuple(_decoded(item, character_set) for item in element.items))
    vr = element.vr if element.vr not in ("", "UN") else _vrs().get(element.tag, "UN")
    value = element.value
    if vr in _NUMBERS:
        how = struct.Struct("<" + _NUMBERS[vr])
        whole = value[:len(value) - len(value) % how.size]
        return Values(vr, tuple(format(number, "g" if vr in ("FL", "FD") else "d")
                                for number, in how.iter_unpack(whole)))
    if vr in _BINARY:
        return Values(vr, (value.hex(),) if value else ())
    used = character_set if vr in _IN_CHARACTER_SET else b""
    if vr in _SINGLE:
        text = decode(value, used).rstrip(" \0")
        return Values(vr, (text,) if text else ())
    return Values(vr, tuple(split_values(value, used)))


@cache
def _vrs() -> dict[int, str]:
    """By tag, for implicit VR; what a query may ask for is what responses hold."""
    return {tag: attribute.vr for (sequence, tag), attribute in query_attributes().items()} | {
        0x00080005: "CS", 0x00080052: "CS", 0x00080054: "AE", 0x00080056: "CS", 0x00080058: "UI"}
