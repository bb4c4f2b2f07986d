"""C-FIND responses of every kind of element: how to make them, how to read them, and what they should hold."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from dicomserver.wire import stream
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.identifier import IdentifierDecoder, IdentifierElement
from dicomserver.wire.inlet import BytesInlet
from dicomserver.wire.matches import ResponseEncoder, ResponseField, Source
from dicomserver.wire.packed import Element
from tests.wire.identifiers import ENCODINGS
from tests.wire.samples import COMMANDS

LEVEL, MODALITIES, NAME, ID, ROWS = 0x00080052, 0x00080061, 0x00100010, 0x00100020, 0x00280010
CODES, REQUESTS, STEP, PROCEDURE = 0x00321064, 0x00400275, 0x00400009, 0x00401001
CHARACTER_SET = 0x00080005

# Of rows (raw character set, packed attributes, modalities).
FIELDS = [
    ResponseField(LEVEL, "CS", Source.CONSTANT, value=b"STUDY"),
    ResponseField(MODALITIES, "CS", Source.PLAIN, 2),
    ResponseField(NAME, "PN", Source.PACKED, 0),
    ResponseField(ID, "LO", Source.PACKED, 0),
    ResponseField(ROWS, "US", Source.PACKED, 0),
    ResponseField(CODES, "SQ", Source.SEQUENCE, 0),
    ResponseField(REQUESTS, "SQ", Source.SEQUENCE, 0, items=((STEP, "SH"), (PROCEDURE, "SH"))),
]
COMMAND = encode_command(COMMANDS["C_FIND_RSP"])
CONTEXT = 5
BINARY = {"US", "SS", "UL", "SL", "FL", "FD", "AT", "OB", "OW", "OF", "OD", "OL", "OV", "SV", "UV", "UN", "UI"}
SHORT = set("AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
LONGEST_SHORT = 0xFFFE
_CODECS = {b"ISO_IR 100": "latin_1", b"ISO_IR 192": "utf_8"}

Texts = Sequence[tuple[bytes, bytes, str]]


def in_utf_8(texts: Texts) -> tuple[bytes, list[bytes]]:
    """As `represent` does, for two character sets."""
    return b"ISO_IR 192", [_utf_8(value, character_set) for value, character_set, _ in texts]


def _utf_8(value: bytes, character_set: bytes) -> bytes:
    text = value.decode(_CODECS[character_set], "replace").encode()
    return text + b" " * (len(text) & 1)


def encoder(fields: Sequence[ResponseField] = FIELDS, encoding: str = "explicit", limit: int = 0,
            represent: Callable[[Texts], tuple[bytes, list[bytes]]] = in_utf_8) -> ResponseEncoder:
    return ResponseEncoder(CONTEXT, COMMAND, fields, limit, *ENCODINGS[encoding], represent)


def messages(octets: bytes) -> Iterator[tuple[CommandSet, bytes]]:
    """Each with its dataset, as an association reads them."""
    opened = stream.PduStream(BytesInlet(1 << 19, octets))
    opened.accept([CONTEXT])
    event, content = opened.next()
    while event == stream.COMMAND:
        opened.expect_dataset()
        yield decode_command(content), opened.read_dataset(1 << 30)
        event, content = opened.next()
    assert event == stream.CLOSED


def dataset_of(row: tuple, fields: Sequence[ResponseField] = FIELDS, encoding: str = "explicit", **options) -> bytes:
    """The only response's."""
    made = encoder(fields, encoding, **options)
    made.append(row)
    ((_, dataset),) = messages(made.take())
    return dataset


def read(dataset: bytes, encoding: str, fields: Sequence[ResponseField] = FIELDS) -> list[IdentifierElement]:
    sequences = frozenset(field.tag for field in fields if field.source == Source.SEQUENCE)
    return IdentifierDecoder(*ENCODINGS[encoding], sequences).decode(dataset)


def expected(kept: list[Element], modalities: object, character_set: bytes, encoding: str) -> list[IdentifierElement]:
    """What `read` gives of the response with FIELDS to what is kept."""
    texts = []

    def element(tag: int, vr: str, value: bytes, its_set: bytes = character_set) -> IdentifierElement:
        if vr not in BINARY and (not value.isascii() or b"\x1b" in value):
            texts.append(value)
            value = _utf_8(value, its_set)
        if encoding != "implicit" and vr in SHORT and len(value) > LONGEST_SHORT:
            value = value[:max(0, value[:LONGEST_SHORT + 1].rfind(b"\\"))]
        value += (b"\0" if vr in BINARY else b" ") * (len(value) & 1)
        return IdentifierElement(tag, "" if encoding == "implicit" else vr, value, None)

    def stored(within: list[Element], tag: int, vr: str) -> IdentifierElement:
        found = next((one for one in within if one.tag == tag), None)
        return element(tag, found.vr, found.value) if found else element(tag, vr, b"")

    def sequence(field: ResponseField) -> IdentifierElement:
        items = []
        for (where, _), group in groupby(kept, lambda one: (one.sequence, one.item)):
            if where == field.tag:
                within = list(group)
                asked = field.items or [(tag, "") for tag in sorted({one.tag for one in within})]
                items.append([stored(within, tag, vr) for tag, vr in asked])
        return IdentifierElement(field.tag, "SQ", b"", items)

    top = [one for one in kept if not one.sequence]
    said = "" if modalities is None else str(modalities)
    found = [element(LEVEL, "CS", b"STUDY"), element(MODALITIES, "CS", said.encode(), b"ISO_IR 192")]
    found += [sequence(field) if field.source == Source.SEQUENCE else stored(top, field.tag, field.vr)
              for field in FIELDS[2:]]
    return [element(CHARACTER_SET, "CS", b"ISO_IR 192"), *found] if texts else found
