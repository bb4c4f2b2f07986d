"""Datasets whose elements do not fit into one another, in all four encodings."""
from __future__ import annotations

import struct

import pytest

from tests.hostile.cases import Stored, cannot_understand, covers, run_store, success, table
from tests.hostile.objects import (
    ITEM_END, SEQUENCE_END, UNDEFINED, Identity, big_endian, dataset, deflated, explicit, implicit, item,
)

ROW = "structure"
ENCODINGS = {"1.2.840.10008.1.2": implicit, "1.2.840.10008.1.2.1": explicit, "1.2.840.10008.1.2.2": big_endian,
             "1.2.840.10008.1.2.1.99": explicit}
SHORT = {"1.2.840.10008.1.2": "implicit", "1.2.840.10008.1.2.1": "explicit", "1.2.840.10008.1.2.2": "big endian",
         "1.2.840.10008.1.2.1.99": "deflated"}
NESTED = 0x00400275     # Request Attributes Sequence, behind all that identifies the instance


def delimiter(element: int, syntax: str, length: int = 0) -> bytes:
    return struct.pack(">HHI" if syntax.endswith(".2.2") else "<HHI", 0xFFFE, element, length)


def begin(syntax: str, length: int = UNDEFINED, tag: int = NESTED) -> bytes:
    """The header of a sequence."""
    return ENCODINGS[syntax](tag, b"SQ", b"", length)


def begin_item(syntax: str, length: int = UNDEFINED) -> bytes:
    return delimiter(0xE000, syntax, length)


def nested(syntax: str, depth: int, closed: bool = True) -> bytes:
    """Sequences within sequences, of undefined length."""
    inner = (begin(syntax) + begin_item(syntax)) * depth
    return inner + (delimiter(0xE00D, syntax) + delimiter(0xE0DD, syntax)) * depth if closed else inner


def element(syntax: str, tag: int, vr: bytes, value: bytes = b"", length: int | None = None) -> bytes:
    return ENCODINGS[syntax](tag, vr, value, length)


# Each makes what comes behind a good dataset, of the transfer syntax.
BAD_TAILS = {
    "65 sequences deep": lambda s: nested(s, 65),
    "100 000 sequences deep": lambda s: nested(s, 100_000),
    "100 000 sequences deep, never closed": lambda s: nested(s, 100_000, closed=False),
    "a sequence never closed": lambda s: begin(s),
    "an item never closed": lambda s: begin(s) + begin_item(s),
    "a sequence of length FFFFFFFE": lambda s: begin(s, 0xFFFFFFFE) + begin_item(s, 0),
    "an item of length FFFFFFFE": lambda s: begin(s) + begin_item(s, 0xFFFFFFFE),
    "a value of length FFFFFFFE": lambda s: element(s, 0x7FE00010, b"OW", b"ab", 0xFFFFFFFE),
    "a value one byte longer than the dataset": lambda s: element(s, 0x00420011, b"OB", b"abcd", 5),
    "an item longer than its sequence": lambda s: begin(s, 16) + begin_item(s, 40) + b"\0" * 40,
    "an element longer than its item": lambda s: begin(s) + begin_item(s, 16) + element(
        s, 0x00401001, b"SH", b"abcdef", 60) + delimiter(0xE0DD, s),
    "a sequence longer than its item": lambda s: begin(s) + begin_item(s, 12) + begin(s, 800) + delimiter(0xE0DD, s),
    "an element where an item must be": lambda s: begin(s) + element(s, 0x00401001, b"SH", b"ab") + delimiter(
        0xE0DD, s),
    "an item at the top level": lambda s: begin_item(s, 0),
    "an item's end at the top level": lambda s: delimiter(0xE00D, s),
    "a sequence's end at the top level": lambda s: delimiter(0xE0DD, s),
    "a sequence's end within an item": lambda s: begin(s) + begin_item(s) + delimiter(0xE0DD, s) + delimiter(0xE0DD, s),
    "an item's end with a length": lambda s: begin(s) + begin_item(s) + delimiter(0xE00D, s, 8) + b"\0" * 8,
    "an end within a sequence of defined length": lambda s: begin(s, 8) + delimiter(0xE0DD, s),
    "half an element header": lambda s: element(s, 0x00420010, b"ST", b"ab")[:5],
    "one byte": lambda s: b"\x42",
    "half a value": lambda s: element(s, 0x00420010, b"ST", b"abcd")[:-2],
    "half a delimiter": lambda s: begin(s) + delimiter(0xE0DD, s)[:6],
    "fragments never closed": lambda s: element(s, 0x7FE00010, b"OB", b"", UNDEFINED) + begin_item(s, 0),
    "a fragment of undefined length": lambda s: element(s, 0x7FE00010, b"OB", b"", UNDEFINED) + begin_item(s),
}
GOOD_TAILS = {
    "64 sequences deep": lambda s: nested(s, 64),
    "100 000 empty items": lambda s: begin(s) + begin_item(s, 0) * 100_000 + delimiter(0xE0DD, s),
    "a sequence of no items": lambda s: begin(s, 0),
    "a private sequence of undefined length": lambda s: begin(s, tag=0x00431001) + begin_item(s) + delimiter(
        0xE00D, s) + delimiter(0xE0DD, s),
    "20 000 elements": lambda s: b"".join(element(s, 0x00430000 + n, b"LO", b"ab") for n in range(0x1000, 0x5E20)),
    "encapsulated pixel data": lambda s: element(s, 0x7FE00010, b"OB", b"", UNDEFINED) + begin_item(
        s, 0) + begin_item(s, 4) + b"\0" * 4 + delimiter(0xE0DD, s),
}


def cases(tails: dict, status) -> list[Stored]:
    """In each encoding."""
    return [Stored(ROW, f"{name}, {SHORT[syntax]}", _builder(syntax, tail), status, syntax)
            for name, tail in tails.items() for syntax in ENCODINGS]


def _builder(syntax: str, tail):
    def build(identity: Identity) -> bytes:
        plain = dataset(identity, None, tail(syntax), ENCODINGS[syntax])
        return deflated(plain) if syntax.endswith(".99") else plain
    return build


TABLES = [cases(BAD_TAILS, cannot_understand), cases(GOOD_TAILS, success)]


@table(*TABLES)
def test_structure(server, case):
    run_store(server, case)


@covers(ROW)
@pytest.mark.parametrize("depth, status", [(4, success), (5, cannot_understand)], ids=["just below", "just above"])
def test_the_configured_depth(tight, depth, status):
    run_store(tight, Stored(ROW, "", lambda identity: dataset(identity, None, nested("1.2.840.10008.1.2.1", depth)),
                            status))


FOREIGN = "foreign groups, repeated UIDs"
GROUPS = {
    "a command element": explicit(0x00000100, b"US", b"\1\0"),
    "a group length of commands": explicit(0x00000000, b"UL", b"\0\0\0\0"),
    "a file meta element": explicit(0x00020010, b"UI", b"1.2.840.10008.1.2\0"),
    "a whole file": b"\0" * 128 + b"DICM" + explicit(0x00020000, b"UL", b"\0\0\0\0"),
}


@covers(FOREIGN)
@pytest.mark.parametrize("place", ["first", "last", "in an item"])
@pytest.mark.parametrize("group", GROUPS)
def test_groups_that_have_no_place_in_a_dataset(server, group, place):
    content = GROUPS[group]
    build = {"first": lambda identity: content + dataset(identity),
             "last": lambda identity: dataset(identity, None, content),
             "in an item": lambda identity: dataset(identity, None, explicit(NESTED, b"SQ", item(
                 content) + SEQUENCE_END, UNDEFINED) + b"")}[place]
    run_store(server, Stored(FOREIGN, "", build, cannot_understand))


@covers(ROW)
def test_items_of_mixed_lengths(server):
    """Defined within undefined and the other way round, which is right."""
    inner = explicit(0x00401001, b"SH", b"ab")
    mixed = explicit(NESTED, b"SQ", item(inner) + item(inner + ITEM_END, UNDEFINED) + SEQUENCE_END, UNDEFINED)
    defined = item(inner + ITEM_END, UNDEFINED) + item(inner)
    build = Stored(ROW, "", lambda identity: dataset(identity, None, mixed + explicit(0x00400280, b"SQ", defined)),
                   success)
    run_store(server, build)
