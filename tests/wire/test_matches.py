"""C-FIND responses: read again by our own decoders and by pydicom, at any peer's maximum length, from any blob."""
from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given, settings, strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from dicomserver.wire.command import decode_command
from dicomserver.wire.errors import PduError
from dicomserver.wire.matches import ResponseField, Source
from dicomserver.wire.packed import Element, pack
from dicomserver.wire.pdu import decode_pdu
from tests.wire.identifiers import ENCODINGS
from tests.wire.responses import (
    CHARACTER_SET, CODES, COMMAND, CONTEXT, FIELDS, ID, LEVEL, MODALITIES, NAME, PROCEDURE, REQUESTS, ROWS, STEP, Texts,
    dataset_of, encoder, expected, in_utf_8, messages, read,
)
from tests.wire.test_pdata import split

LATIN_1 = b"ISO_IR 100"
ENCODED = pytest.mark.parametrize("encoding", ENCODINGS)
MEANING, SCHEME = 0x00080104, 0x00080102

KEPT = [
    Element(NAME, 0, 0, "PN", "Müller^Ann".encode("latin-1")), Element(ID, 0, 0, "LO", b"P-1"),
    Element(ROWS, 0, 0, "US", b"\2\1\4\3"),
    Element(SCHEME, CODES, 0, "SH", b"SRT"), Element(MEANING, CODES, 0, "LO", b"Knee"),
    Element(MEANING, CODES, 1, "LO", "Bein, übrig".encode("latin-1")),
    Element(STEP, REQUESTS, 0, "SH", b"SPS1"), Element(PROCEDURE, REQUESTS, 0, "SH", b"RP1"),
    Element(PROCEDURE, REQUESTS, 2, "SH", "Füße".encode("latin-1")),
]
ROW = (LATIN_1, pack(KEPT), "CT\\MR")


def as_pydicom_reads(dataset: bytes, encoding: str) -> Dataset:
    explicit, big_endian = ENCODINGS[encoding]
    return read_dataset(BytesIO(dataset), is_implicit_VR=not explicit, is_little_endian=not big_endian)


# -- what is in a response -------------------------------------------------------------------------------------

@ENCODED
def test_pydicom_reads_a_response(encoding: str) -> None:
    found = as_pydicom_reads(dataset_of(ROW, encoding=encoding), encoding)
    assert found.SpecificCharacterSet == "ISO_IR 192"
    assert (found.QueryRetrieveLevel, found.ModalitiesInStudy) == ("STUDY", ["CT", "MR"])
    assert (str(found.PatientName), found.PatientID, found.Rows) == ("Müller^Ann", "P-1", [258, 772])
    assert [(item.get("CodingSchemeDesignator"), item.CodeMeaning)
            for item in found.RequestedProcedureCodeSequence] == [("SRT", "Knee"), (None, "Bein, übrig")]
    assert [(item.ScheduledProcedureStepID, item.RequestedProcedureID)
            for item in found.RequestAttributesSequence] == [("SPS1", "RP1"), ("", "Füße")]


@ENCODED
def test_what_is_absent_has_no_length(encoding: str) -> None:
    for nothing in (b"", None):
        assert read(dataset_of((b"", nothing, None), encoding=encoding), encoding) == expected([], None, b"", encoding)
    found = as_pydicom_reads(dataset_of((b"", b"", None), encoding=encoding), encoding)
    assert {int(tag) for tag in found.keys()} == {field.tag for field in FIELDS}
    assert all(not found[tag].value for tag in found.keys() if tag != LEVEL)


def kept_elements(tags: list[int]) -> st.SearchStrategy:
    text = st.builds(Element, st.sampled_from(tags), st.just(0), st.just(0), st.sampled_from(["PN", "LO", "SH", "UT"]),
                     st.text("Aü^=\\ \x1b", max_size=8).map(lambda text: text.encode("latin-1")))
    other = st.builds(Element, st.sampled_from(tags), st.just(0), st.just(0),
                      st.sampled_from(["US", "FD", "AT", "UI", "UN", "OB"]), st.binary(max_size=9))
    return st.lists(text | other, max_size=6)


PLACES = st.tuples(st.sampled_from([CODES, REQUESTS, 0x00081032]), st.integers(0, 3))
ITEMS = st.tuples(PLACES, kept_elements([STEP, PROCEDURE, MEANING, SCHEME, NAME])).map(
    lambda made: [element._replace(sequence=made[0][0], item=made[0][1]) for element in made[1]])


@settings(max_examples=300, deadline=None)
@given(kept_elements([NAME, ID, ROWS, MEANING]), st.lists(ITEMS, max_size=5), kept_elements([NAME, ID, ROWS]),
       st.sampled_from([None, "", "CT", "CT\\MR", "É", 7]), st.sampled_from(sorted(ENCODINGS)))
def test_anything_that_is_kept(top, items, behind, modalities, encoding) -> None:
    kept = [*top, *(element for item in items for element in item), *behind]
    found = read(dataset_of((LATIN_1, pack(kept), modalities), encoding=encoding), encoding)
    assert found == expected(kept, modalities, LATIN_1, encoding)


NUMBERS = {
    "US": ("HH", (258, 1)), "SS": ("hh", (-2, 258)), "UL": ("I", (66051,)), "SL": ("i", (-66051,)), "AT": (
        "HH", (0x0010, 0x0020)), "FL": ("f", (1.5,)), "FD": ("dd", (0.1, -2.5)), "SV": ("q", (-1234567890123,)),
    "UV": ("Q", (1234567890123,)), "OW": ("HH", (258, 1)), "OF": ("f", (1.5,)), "OL": ("I", (66051,)),
    "OD": ("d", (0.1,)), "OV": ("Q", (1234567890123,)), "OB": ("BB", (1, 2)), "UN": ("BB", (1, 2)),
}


@pytest.mark.parametrize("vr, code, numbers", [(vr, *rest) for vr, rest in NUMBERS.items()], ids=list(NUMBERS))
@ENCODED
def test_numbers(vr: str, code: str, numbers: tuple, encoding: str) -> None:
    row = (b"", pack([Element(ROWS, 0, 0, vr, struct.pack("<" + code, *numbers))]), None)
    dataset = dataset_of(row, [ResponseField(ROWS, vr, Source.PACKED, 0)], encoding)
    order = ">" if encoding == "big endian" else "<"
    assert dataset.endswith(struct.pack(order + code, *numbers))


PADDING = [("PN", b" "), ("LT", b" "), ("UC", b" "), ("CS", b" "), ("UI", b"\0"), ("OB", b"\0"), ("UN", b"\0"),
           ("US", b"\0")]


@pytest.mark.parametrize("vr, padding", PADDING)
@pytest.mark.parametrize("source", [Source.CONSTANT, Source.PLAIN, Source.PACKED])
def test_values_are_padded(vr: str, padding: bytes, source: Source) -> None:
    row = ("123", b"", None) if source == Source.PLAIN else (b"", pack([Element(ID, 0, 0, vr, b"123")]), None)
    ((tag, _, value, _),) = read(dataset_of(row, [ResponseField(ID, vr, source, 0, b"123")]), "explicit")
    assert (tag, value) == (ID, b"123" + padding)


@ENCODED
def test_the_stored_vr_is_sent_and_not_the_dictionarys(encoding: str) -> None:
    row = (b"", pack([Element(ID, 0, 0, "UT", b"P-1 ")]), None)
    ((_, vr, value, _),) = read(dataset_of(row, [ResponseField(ID, "LO", Source.PACKED)], encoding), encoding)
    assert (vr, value) == ("" if encoding == "implicit" else "UT", b"P-1 ")


# -- sequences -------------------------------------------------------------------------------------------------

def items_of(kept: list[Element], items: tuple = ()) -> list[list[tuple[int, bytes]]]:
    fields = [ResponseField(REQUESTS, "SQ", Source.SEQUENCE, 0, items=items)]
    ((_, _, _, found),) = read(dataset_of((b"", pack(kept), None), fields), "explicit")
    return [[(element.tag, element.value) for element in item] for item in found]


def request(tag: int, value: bytes, item: int = 0, sequence: int = REQUESTS) -> Element:
    return Element(tag, sequence, item, "SH", value)


OUT_OF_ORDER = [request(PROCEDURE, b"R1"), request(STEP, b"S1"), request(PROCEDURE, b"R2"), request(MEANING, b"M1")]


@pytest.mark.parametrize("items, found", [
    ((), [(MEANING, b"M1"), (STEP, b"S1"), (PROCEDURE, b"R1")]),
    (((STEP, "SH"), (PROCEDURE, "SH")), [(STEP, b"S1"), (PROCEDURE, b"R1")]),
    (((SCHEME, "SH"), (STEP, "SH"), (0x00401002, "LO")), [(SCHEME, b""), (STEP, b"S1"), (0x00401002, b"")]),
    (((SCHEME, "SH"),), [(SCHEME, b"")]),
], ids=["all that is kept", "what is asked for", "what is lacking", "nothing of it"])
def test_an_item_is_in_order_and_has_nothing_twice(items: tuple, found: list) -> None:
    assert items_of(OUT_OF_ORDER, items) == [found]


def test_items_stay_apart_and_other_sequences_out() -> None:
    kept = [request(STEP, b"a1", 0), request(STEP, b"b1", 1), request(STEP, b"xx", 1, CODES),
            request(STEP, b"c1", 2), Element(STEP, 0, 0, "SH", b"to"), request(STEP, b"d1", 2)]
    assert items_of(kept) == [[(STEP, b"a1")], [(STEP, b"b1")], [(STEP, b"c1")], [(STEP, b"d1")]]


def test_an_attribute_within_a_sequence_is_none_of_the_top() -> None:
    row = (b"", pack([request(ID, b"no", 0), Element(ID, 0, 0, "LO", b"ok"), Element(ID, 0, 0, "LO", b"2.")]), None)
    assert [key.value for key in read(dataset_of(row, [ResponseField(ID, "LO", Source.PACKED)]), "explicit")] == [b"ok"]


# -- character sets --------------------------------------------------------------------------------------------

def test_texts_are_given_in_the_order_of_the_response_and_nothing_else_is() -> None:
    given: list[Texts] = []

    def represent(texts: Texts) -> tuple[bytes, list[bytes]]:
        given.append(texts)
        return b"ISO_IR 13 ", [b"%02d" % number for number in range(len(texts))]

    kept = [request(PROCEDURE, b"\xe9"), request(STEP, b"\xe8"), Element(ID, 0, 0, "LO", b"\x1b(B"),
            Element(NAME, 0, 0, "PN", b"\xfc"), Element(ROWS, 0, 0, "US", b"\xff\xff"), request(MEANING, b"\xfd")]
    made = read(dataset_of((LATIN_1, pack(kept), "Ä"), represent=represent), "explicit")
    assert given == [[("Ä".encode(), b"ISO_IR 192", "CS"), (b"\xfc", LATIN_1, "PN"), (b"\x1b(B", LATIN_1, "LO"),
                      (b"\xe8", LATIN_1, "SH"), (b"\xe9", LATIN_1, "SH")]]
    assert [key.value for key in made[:5]] == [b"ISO_IR 13 ", b"STUDY ", b"00", b"01", b"02"]
    assert [key.value for key in made[-1].items[0]] == [b"03", b"04"]


def test_plain_ascii_is_nobodys_to_represent() -> None:
    kept = [Element(NAME, 0, 0, "PN", b"A^B"), Element(ROWS, 0, 0, "US", b"\xff\xff"), Element(ID, 0, 0, "UI", b"\xff")]
    found = read(dataset_of((LATIN_1, pack(kept), "CT"), represent=None), "explicit")
    assert CHARACTER_SET not in [key.tag for key in found]


@pytest.mark.parametrize("tags", [(LEVEL, NAME), (0x00080001, LEVEL, NAME), (0x00080001, 0x00080003)])
def test_the_character_set_stands_in_its_place(tags: tuple[int, ...]) -> None:
    row = (LATIN_1, pack([Element(tag, 0, 0, "LO", b"\xe9") for tag in tags]), None)
    found = read(dataset_of(row, [ResponseField(tag, "LO", Source.PACKED) for tag in tags]), "explicit")
    assert [key.tag for key in found] == sorted((*tags, CHARACTER_SET))


def test_each_response_has_a_character_set_of_its_own() -> None:
    made = encoder()
    for name in (b"\xe9", b"E", b"\xe8"):
        made.append((LATIN_1, pack([Element(NAME, 0, 0, "PN", name)]), None))
    found = [read(dataset, "explicit") for _, dataset in messages(made.take())]
    assert [keys[0].tag for keys in found] == [CHARACTER_SET, LEVEL, CHARACTER_SET]


# -- messages --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("limit", [8, 9, 16, 100, 4096, 16384, 0])
@ENCODED
def test_no_pdu_is_above_the_peers_maximum(limit: int, encoding: str) -> None:
    made = encoder(encoding=encoding, limit=limit)
    made.append(ROW)
    made.append((b"", b"", None))
    octets = made.take()
    pdus = split(octets)
    assert all(len(pdu) - 6 <= limit for pdu in pdus) or limit == 0
    assert {pdv.context_id for pdu in pdus for pdv in decode_pdu(pdu).pdvs} == {CONTEXT}
    found = list(messages(octets))
    assert [command for command, _ in found] == [decode_command(COMMAND)] * 2
    assert [read(dataset, encoding) for _, dataset in found] == [
        expected(KEPT, "CT\\MR", LATIN_1, encoding), expected([], None, b"", encoding)]


def test_a_response_without_elements_is_a_message_with_an_empty_dataset() -> None:
    assert dataset_of((), []) == b""


def test_what_was_taken_is_gone() -> None:
    made = encoder()
    assert (made.size, made.responses, made.take()) == (0, 0, b"")
    made.append(ROW)
    size = made.size
    made.append(ROW)
    assert (made.size, made.responses) == (2 * size, 2)
    assert len(list(messages(made.take()))) == 2
    assert (made.size, made.responses, made.take()) == (0, 2, b"")
    made.append(ROW)
    assert (made.size, made.responses) == (size, 3)


def test_a_response_that_cannot_be_represented_leaves_no_part_of_itself() -> None:
    def never(texts: Texts) -> tuple[bytes, list[bytes]]:
        raise LookupError("no such set")

    made = encoder(represent=never)
    with pytest.raises(LookupError):
        made.append(ROW)
    assert (made.size, made.responses) == (0, 0)


@pytest.mark.parametrize("limit", [1, 7, -1, 1 << 32])
def test_a_limit_without_room_is_refused(limit: int) -> None:
    with pytest.raises(PduError):
        encoder(limit=limit)


# -- too much, and damage --------------------------------------------------------------------------------------

@pytest.mark.parametrize("value, sent", [
    ("1.2\\" * 20_000, 65532), ("1" * 65534, 65534), ("1" * 65535, 0), ("1" * 65533 + "\\2", 65534),
    ("1" * 65534 + "\\2", 65534)])
def test_values_beyond_a_short_length_are_left_off_and_none_is_cut(value: str, sent: int) -> None:
    fields = [ResponseField(MODALITIES, "UI", Source.PLAIN, 0)]
    ((_, _, found, _),) = read(dataset_of((value,), fields), "explicit")
    assert len(found) == sent and value.encode().startswith(found.rstrip(b"\0"))
    ((_, _, whole, _),) = read(dataset_of((value,), fields, "implicit"), "implicit")
    assert whole.rstrip(b"\0") == value.encode()


@pytest.mark.parametrize("cut", range(len(pack(KEPT))))
def test_of_a_blob_that_is_cut_off_its_whole_elements_are_sent(cut: int) -> None:
    whole = max((kept for kept in (KEPT[:count] for count in range(len(KEPT) + 1)) if len(pack(kept)) <= cut), key=len)
    found = read(dataset_of((LATIN_1, pack(KEPT)[:cut], None)), "explicit")
    assert found == expected(whole, None, LATIN_1, "explicit")


@pytest.mark.parametrize("vr", [b"\xff\xff", b"\0\0", b"p1", b"1N"])
def test_behind_what_is_no_vr_nothing_is_believed(vr: bytes) -> None:
    good = pack([Element(NAME, 0, 0, "PN", b"A^B ")])
    bad = pack([Element(ID, 0, 0, "LO", b"P\xe9"), Element(ROWS, 0, 0, "US", b"\1\0")]).replace(b"LO", vr)
    found = read(dataset_of((LATIN_1, good + bad, None)), "explicit")
    assert found == expected([Element(NAME, 0, 0, "PN", b"A^B ")], None, LATIN_1, "explicit")


def test_a_row_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError):
        encoder().append(None)
    with pytest.raises(TypeError):
        encoder().append((LATIN_1, "text", None))
