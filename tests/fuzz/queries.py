"""What C-FIND reads and writes: the identifier of a request, and responses from what the index keeps."""
from __future__ import annotations

import struct

from dicomserver.index.decoding import decode as decode_text
from dicomserver.index.representing import represent
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.identifier import IdentifierElement
from dicomserver.wire.packed import Element, pack, unpack
from tests.wire import identifiers, responses
from tests.wire.identifiers import ENCODINGS
from tests.wire.responses import CODES, ID, NAME, PROCEDURE, REQUESTS, ROWS, STEP, Texts


class ReadsDifferently(Exception):
    """What was written does not say what it should."""


# -- identifiers -----------------------------------------------------------------------------------------------

def identifier(data: bytes) -> None:
    """An identifier; the first byte says in which encoding. Written again, in explicit VR, it reads the same."""
    encoding = tuple(ENCODINGS)[data[0] % len(ENCODINGS)] if data else "explicit"
    found = identifiers.decode(data[1:], encoding)
    if identifiers.decode(_written(found)) != _with_vr(found):
        raise ReadsDifferently(f"{encoding}: {found!r}")


def _with_vr(elements: list[IdentifierElement]) -> list[IdentifierElement]:
    return [element._replace(vr=element.vr or "UT", items=None if element.items is None else
                             [_with_vr(item) for item in element.items]) for element in elements]


def _written(elements: list[IdentifierElement]) -> bytes:
    return b"".join(_head(tag, vr or "UT", value if items is None else b"".join(map(_item, items)))
                    for tag, vr, value, items in elements)


def _head(tag: int, vr: str, value: bytes) -> bytes:
    is_short = vr in responses.SHORT
    return struct.pack("<HH2s" + ("H" if is_short else "xxI"), tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def _item(elements: list[IdentifierElement]) -> bytes:
    content = _written(elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _identifier_corpus() -> tuple[bytes, ...]:
    return tuple(
        bytes((number,)) + identifiers.encode(identifiers.with_undefined_lengths(identifiers.sample(), *how), encoding)
        for number, encoding in enumerate(ENCODINGS) for how in ((False, False), (True, False), (True, True)))


# -- responses -------------------------------------------------------------------------------------------------

_ASKED = b"ISO_IR 100"


def _in_one_set(texts: Texts) -> tuple[bytes, list[bytes]]:
    return represent([(decode_text(value, character_set), vr) for value, character_set, vr in texts], _ASKED)


def response(blob: bytes) -> None:
    """Packed attributes, damaged or not: what is sent can be read, and is what a slow model says."""
    try:
        kept, damage = unpack(blob), None
    except DatasetError as error:
        kept, damage = [], error
    for encoding in ENCODINGS:
        if _sent(blob, encoding, 0) != _sent(blob, encoding, 64):
            raise ReadsDifferently(f"{encoding}, in other pieces")
        if damage is None and not any(map(_is_strange, kept)):
            found = responses.read(responses.dataset_of((_ASKED, blob, "CT"), encoding=encoding), encoding)
            if found != responses.expected(kept, "CT", _ASKED, encoding):
                raise ReadsDifferently(f"{encoding}: {kept!r}")
    if damage is not None:
        raise damage


def _sent(blob: bytes, encoding: str, limit: int) -> bytes:
    return responses.dataset_of((_ASKED, blob, "CT"), encoding=encoding, limit=limit, represent=_in_one_set)


def _is_strange(element: Element) -> bool:
    """What `unpack` lets pass but no dataset may hold."""
    return (not element.vr.isupper() or element.tag >> 16 in (0x0000, 0x0002, 0xFFFE)
            or element.tag in (CODES, REQUESTS))


_TOP = [Element(NAME, 0, 0, "PN", b"M\xfcller^Ann"), Element(ID, 0, 0, "LO", b"P-1"),
        Element(ROWS, 0, 0, "US", b"\2\1")]
_NESTED = [Element(STEP, REQUESTS, 0, "SH", b"S1"), Element(PROCEDURE, REQUESTS, 0, "SH", b"R1 "),
           Element(PROCEDURE, REQUESTS, 1, "SH", b"R\xe9"), Element(STEP, CODES, 0, "UI", b"1.2\0")]

IDENTIFIERS = _identifier_corpus()
BLOBS = (b"", pack(_TOP), pack([*_NESTED, *_TOP]), pack([*_TOP, *_NESTED]))
