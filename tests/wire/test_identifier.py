"""Identifiers against pydicom in every encoding, cut off anywhere, and with all that must not be believed."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings, strategies as st
from pydicom.dataset import Dataset

from dicomserver.wire.errors import DatasetError
from dicomserver.wire.identifier import IdentifierElement
from tests.wire.identifiers import (
    ENCODINGS, SEQUENCES, as_pydicom_reads, decode, encode, sample, with_undefined_lengths,
)
from tests.wire.strategies import uids
from tests.wire.test_scanner import ITEM, ITEM_END, SEQUENCE_END, element, sequence_header

NAME, REQUESTS, CODES, UNKNOWN = 0x00100010, 0x00400275, 0x00321064, 0x00431001
LENGTHS = pytest.mark.parametrize("undefined", [(False, False), (True, False), (False, True), (True, True)],
                                  ids=["defined", "undefined sequences", "undefined items", "undefined"])
ENCODED = pytest.mark.parametrize("encoding", ENCODINGS)


# -- what is right ---------------------------------------------------------------------------------------------

@ENCODED
@LENGTHS
def test_what_pydicom_writes(encoding: str, undefined: tuple[bool, bool]) -> None:
    data = encode(with_undefined_lengths(sample(), *undefined), encoding)
    assert decode(data, encoding) == as_pydicom_reads(sample(), encoding)


WORDS = st.text("ABC*?^ \\", max_size=12).map(str.strip)
TEXTS = {0x00100010: ("PN", WORDS), 0x00081030: ("LO", WORDS), 0x00400009: ("SH", WORDS), 0x0020000D: ("UI", uids),
         0x00080020: ("DA", st.sampled_from(["", "20260101", "20260101-20261231"]))}
NUMBERS = {0x00280010: ("US", 16), 0x00081161: ("UL", 32), 0x00186020: ("SL", 31), 0x00189219: ("SS", 15)}


def keys(within: st.SearchStrategy | None) -> st.SearchStrategy:
    """Datasets; their sequences hold `within`."""
    values = {tag: texts for tag, (_, texts) in TEXTS.items()}
    values |= {tag: st.lists(st.integers(0, (1 << bits) - 1), min_size=1, max_size=3) for tag, (_, bits)
               in NUMBERS.items()}
    if within is not None:
        values |= {tag: st.lists(within, max_size=3) for tag in (REQUESTS, CODES)}
    return st.fixed_dictionaries({}, optional=values).map(dataset_of)


def dataset_of(values: dict) -> Dataset:
    dataset = Dataset()
    for tag, value in values.items():
        dataset.add_new(tag, (TEXTS | NUMBERS).get(tag, ("SQ",))[0], value)
    return dataset


@settings(max_examples=150, deadline=None)
@given(keys(keys(keys(None))), st.booleans(), st.booleans(), st.sampled_from(sorted(ENCODINGS)))
def test_anything_that_pydicom_writes(dataset: Dataset, sequences: bool, items: bool, encoding: str) -> None:
    data = encode(with_undefined_lengths(dataset, sequences, items), encoding)
    assert decode(data, encoding) == as_pydicom_reads(dataset, encoding)


@ENCODED
def test_nothing_is_nothing(encoding: str) -> None:
    assert decode(b"", encoding) == []


def test_the_order_is_that_of_the_identifier() -> None:
    data = element(NAME, b"PN", b"A^B ") + element(0x00080020, b"DA", b"") + element(0x00080005, b"CS", b"")
    assert [key.tag for key in decode(data)] == [NAME, 0x00080020, 0x00080005]


def test_odd_lengths_and_padding_are_left_as_they_came() -> None:
    assert decode(element(NAME, b"PN", b"A^B") + element(0x0020000D, b"UI", b"1.2\0")) == [
        (NAME, "PN", b"A^B", None), (0x0020000D, "UI", b"1.2\0", None)]


def test_a_vr_that_nobody_knows_has_a_long_length() -> None:
    data = struct.pack("<HH2sHI", 0x0043, 0x1001, b"ZZ", 0, 2) + b"ab" + element(NAME, b"PN", b"A^")
    assert decode(data) == [(UNKNOWN, "ZZ", b"ab", None), (NAME, "PN", b"A^", None)]


def test_an_implicit_sequence_that_nobody_knows_is_bytes_unless_it_has_no_length() -> None:
    assert UNKNOWN not in SEQUENCES
    item = b"\xfe\xff\x00\xe0\0\0\0\0"
    head = struct.pack("<HH", 0x0043, 0x1001)
    assert decode(head + b"\x08\0\0\0" + item, "implicit") == [(UNKNOWN, "", item, None)]
    assert decode(head + b"\xff\xff\xff\xff" + item + SEQUENCE_END, "implicit") == [(UNKNOWN, "SQ", b"", [[]])]


# -- VR UN: implicit VR little endian inside (PS3.5 6.2.2), whatever is around it ------------------------------

IMPLICIT_NAME = struct.pack("<HHI", 0x0010, 0x0010, 4) + b"A^B "
IMPLICIT_ROWS = struct.pack("<HHI", 0x0028, 0x0010, 2) + b"\2\1"
INSIDE = [(NAME, "", b"A^B ", None), (0x00280010, "", b"\2\1", None)]


def unknown(order: str, tag: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack(f"{order}HH2sHI", tag >> 16, tag & 0xFFFF, b"UN", 0,
                       len(content) if length is None else length) + content


EXPLICIT = pytest.mark.parametrize("order, encoding", [("<", "explicit"), (">", "big endian")])


@EXPLICIT
@pytest.mark.parametrize("tag", [UNKNOWN, REQUESTS])
def test_un_of_undefined_length_is_a_sequence(order: str, encoding: str, tag: int) -> None:
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(IMPLICIT_NAME + IMPLICIT_ROWS)) + IMPLICIT_NAME + IMPLICIT_ROWS
    data = unknown(order, tag, ITEM + IMPLICIT_NAME + IMPLICIT_ROWS + ITEM_END + item + SEQUENCE_END, 0xFFFFFFFF)
    behind = encode(dataset_of({0x0020000D: "1.2.3"}), encoding)
    assert decode(data + behind, encoding) == [
        (tag, "SQ", b"", [INSIDE, INSIDE]), *decode(behind, encoding)]


@EXPLICIT
def test_un_with_a_length_is_a_sequence_where_the_tag_says_so(order: str, encoding: str) -> None:
    content = ITEM + IMPLICIT_NAME + IMPLICIT_ROWS + ITEM_END
    assert decode(unknown(order, REQUESTS, content), encoding) == [(REQUESTS, "SQ", b"", [INSIDE])]
    assert decode(unknown(order, UNKNOWN, content), encoding) == [(UNKNOWN, "UN", content, None)]
    with pytest.raises(DatasetError):
        decode(unknown(order, REQUESTS, b"no items"), encoding)


@EXPLICIT
def test_a_sequence_within_un_stays_implicit(order: str, encoding: str) -> None:
    inner = struct.pack("<HHI", REQUESTS >> 16, REQUESTS & 0xFFFF, 0xFFFFFFFF) + ITEM + IMPLICIT_NAME + ITEM_END
    data = unknown(order, UNKNOWN, ITEM + inner + SEQUENCE_END + ITEM_END + SEQUENCE_END, 0xFFFFFFFF)
    (outer,) = decode(data, encoding)
    assert outer.items == [[(REQUESTS, "SQ", b"", [INSIDE[:1]])]]


# -- what is wrong ---------------------------------------------------------------------------------------------

@ENCODED
@LENGTHS
def test_cut_off_anywhere_it_is_refused_or_ends_behind_a_key(encoding: str, undefined: tuple[bool, bool]) -> None:
    data = encode(with_undefined_lengths(sample(), *undefined), encoding)
    whole = decode(data, encoding)
    ends = set()
    for cut in range(len(data)):
        try:
            found = decode(data[:cut], encoding)
        except DatasetError as error:
            assert 0 <= error.offset <= cut
        else:
            assert found == whole[:len(found)]
            ends.add(len(found))
    assert ends == set(range(len(whole)))


@ENCODED
@pytest.mark.parametrize("behind", [bytes(size) for size in range(1, 8)] + [b"\xff" * 7])
def test_bytes_behind_the_last_key_are_refused(encoding: str, behind: bytes) -> None:
    with pytest.raises(DatasetError, match="runs past the end"):
        decode(encode(sample(), encoding) + behind, encoding)


GOOD = element(NAME, b"PN", b"A^B ")
SHORT = sequence_header(REQUESTS, 8)
ITEM_OF = b"\xfe\xff\x00\xe0"

MALFORMED = {
    "a key twice": (GOOD + GOOD, "stands there twice"),
    "a key twice within an item": (sequence_header(REQUESTS) + ITEM + GOOD + GOOD + ITEM_END + SEQUENCE_END, "twice"),
    "group 0000": (element(0x00000002, b"UI", b"1.2 "), "may not stand"),
    "group 0002": (GOOD + element(0x00020010, b"UI", b"1.2 "), "may not stand"),
    "group 0002 within an item": (
        sequence_header(REQUESTS) + ITEM + element(0x00020010, b"UI", b"1.2 ") + ITEM_END + SEQUENCE_END,
        "may not stand"),
    "an item outside a sequence": (GOOD + ITEM + ITEM_END, "may not stand"),
    "a stray item delimitation": (GOOD + ITEM_END, "may not stand"),
    "a stray sequence delimitation": (GOOD + SEQUENCE_END, "may not stand"),
    "an item ended twice": (sequence_header(REQUESTS) + ITEM + ITEM_END + ITEM_END, "something else than items"),
    "an item of a length with an end": (sequence_header(REQUESTS, 16) + ITEM_OF + b"\x08\0\0\0" + ITEM_END, "may not"),
    "a sequence of a length with an end": (SHORT + SEQUENCE_END, "something else than items"),
    "an element where an item must be": (sequence_header(REQUESTS) + GOOD + SEQUENCE_END, "something else than items"),
    "an item delimitation with a length": (
        sequence_header(REQUESTS) + ITEM + ITEM_END[:4] + b"\2\0\0\0ab" + SEQUENCE_END, "has a length"),
    "a sequence delimitation with a length": (sequence_header(REQUESTS) + SEQUENCE_END[:4] + b"\2\0\0\0ab", "a length"),
    "an item never ended": (sequence_header(REQUESTS) + ITEM + GOOD, "has no end"),
    "an item ended by its sequence": (sequence_header(REQUESTS) + ITEM + SEQUENCE_END, "may not stand"),
    "a sequence never ended": (sequence_header(REQUESTS) + ITEM + ITEM_END, "runs past the end"),
    "an item longer than its sequence": (SHORT + ITEM_OF + b"\x01\0\0\0x", "runs past the end"),
    "a key longer than its item": (
        sequence_header(REQUESTS, 16) + ITEM_OF + b"\x08\0\0\0" + element(NAME, b"PN", b"A^B ")[:8] + GOOD,
        "runs past the end"),
    "a sequence longer than the identifier": (sequence_header(REQUESTS, 0xFFFFFFFE), "runs past the end"),
    "an item header cut by its sequence": (sequence_header(REQUESTS, 4) + ITEM + ITEM_END, "runs past the end"),
    "a value of FFFF bytes": (GOOD[:6] + b"\xff\xff" + GOOD[8:], "runs past the end"),
    "a value of FFFFFFFE bytes": (struct.pack("<HH2sHI", 0x0043, 0x1001, b"UT", 0, 0xFFFFFFFE), "runs past the end"),
    "text of undefined length": (
        struct.pack("<HH2sHI", 0x0043, 0x1001, b"UT", 0, 0xFFFFFFFF) + SEQUENCE_END, "is undefined"),
    "no VR": (struct.pack("<HHI", 0x0010, 0x0010, 4) + b"A^B ", "is none"),
    "a VR in small letters": (element(NAME, b"pn", b"A^B "), "is none"),
}


@pytest.mark.parametrize("data, problem", MALFORMED.values(), ids=list(MALFORMED))
def test_malformed(data: bytes, problem: str) -> None:
    with pytest.raises(DatasetError, match=problem):
        decode(data)
    with pytest.raises(DatasetError) as refused:
        decode(data + element(0x00100020, b"LO", b"A^B "))
    assert "A^B" not in str(refused.value)


@ENCODED
def test_the_same_key_may_stand_in_two_items(encoding: str) -> None:
    dataset = dataset_of({REQUESTS: [dataset_of({NAME: "A"}), dataset_of({NAME: "B"})], NAME: "C"})
    assert decode(encode(dataset, encoding), encoding) == as_pydicom_reads(dataset, encoding)


# -- how much of it --------------------------------------------------------------------------------------------

def nested(depth: int) -> bytes:
    return (sequence_header(REQUESTS) + ITEM) * depth + (ITEM_END + SEQUENCE_END) * depth


def depth_of(elements: list[IdentifierElement]) -> int:
    return 1 + depth_of(elements[0].items[0]) if elements else 0


def test_sequences_are_sixteen_deep_and_no_deeper() -> None:
    assert depth_of(decode(nested(16))) == 16
    for depth in (17, 80_000):
        with pytest.raises(DatasetError, match="is nested too deep"):
            decode(nested(depth))


def numbered(count: int) -> bytes:
    return b"".join(element(0x00430000 + number, b"LO", b"") for number in range(count))


@pytest.mark.parametrize("make, most, problem", [
    (numbered, 4096, "too many elements"),
    (lambda count: sequence_header(REQUESTS) + ITEM + numbered(count) + ITEM_END + SEQUENCE_END, 4096,
     "too many elements"),
    (lambda count: sequence_header(REQUESTS) + (ITEM + ITEM_END) * count + SEQUENCE_END, 32_768, "too many items"),
], ids=["keys", "keys of an item", "items"])
def test_there_are_so_many_and_no_more(make, most: int, problem: str) -> None:
    decode(make(most))
    with pytest.raises(DatasetError, match=problem):
        decode(make(most + 1))
