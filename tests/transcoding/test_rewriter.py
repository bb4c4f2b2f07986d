"""The walk itself: what it writes byte for byte, and what it refuses."""
from __future__ import annotations

import struct

import pytest

from dicomserver.transcoding.errors import ConversionFailed
from tests.transcoding.datasets import BIG_ENDIAN, EXPLICIT, IMPLICIT, converted

UNDEFINED = 0xFFFFFFFF


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def explicit(tag: int, vr: str, value: bytes, length: int | None = None, order: str = "<") -> bytes:
    length = len(value) if length is None else length
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in ("OB", "OW", "OF", "OD", "OV", "SQ", "UN", "UT", "UV", "ZZ"):
        return head + struct.pack(order + "HI", 0, length) + value
    return head + struct.pack(order + "H", length) + value


def item(content: bytes, length: int | None = None, order: str = "<") -> bytes:
    length = len(content) if length is None else length
    end = struct.pack(order + "HHI", 0xFFFE, 0xE00D, 0) if length == UNDEFINED else b""
    return struct.pack(order + "HHI", 0xFFFE, 0xE000, length) + content + end


END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


@pytest.mark.parametrize(("vr", "little", "big"), [
    ("US", "0102", "0201"), ("AT", "10000020", "00102000"), ("OW", "01020304", "02010403"),
    ("FL", "01020304", "04030201"), ("OF", "01020304", "04030201"), ("FD", "0102030405060708", "0807060504030201"),
    ("UV", "0102030405060708", "0807060504030201"), ("OB", "0102", "0102"), ("UN", "0102", "0102"),
    ("LO", "4142", "4142"), ("UT", "4142", "4142"),
])
def test_numbers_change_their_byte_order(vr: str, little: str, big: str) -> None:
    tag = 0x00091001
    one, other = explicit(tag, vr, bytes.fromhex(little)), explicit(tag, vr, bytes.fromhex(big), order=">")
    assert converted(one, EXPLICIT, BIG_ENDIAN) == other
    assert converted(other, BIG_ENDIAN, EXPLICIT) == one


def test_long_values_are_swapped_across_blocks() -> None:
    value = bytes(range(250)) * 4000
    swapped = b"".join(value[at:at + 8][::-1] for at in range(0, len(value), 8))
    # Behind an element of six bytes, so that blocks end within a number.
    before, after = explicit(0x00091001, "LO", b"ABCDEF"), explicit(0x00091001, "LO", b"ABCDEF", order=">")
    assert converted(before + explicit(0x00091002, "OD", value), EXPLICIT, BIG_ENDIAN) \
        == after + explicit(0x00091002, "OD", swapped, order=">")


def test_lengths_of_sequences_are_right_in_every_form() -> None:
    inner = [implicit(0x00080100, b"CODE"), explicit(0x00080100, "SH", b"CODE")]
    private = [implicit(0x00091001, b"1234"), explicit(0x00091001, "UN", b"1234")]
    for length in (None, UNDEFINED):
        end = END if length else b""
        nested = [implicit(0x00081032, item(inner[0], length) + end, length),
                  explicit(0x00081032, "SQ", item(inner[1], length) + end, length)]
        whole = [implicit(0x00081110, item(nested[0]) + item(b"") + item(private[0], length)),
                 explicit(0x00081110, "SQ", item(nested[1]) + item(b"") + item(private[1], length))]
        assert converted(whole[0], IMPLICIT, EXPLICIT) == whole[1]
        assert converted(whole[1], EXPLICIT, IMPLICIT) == whole[0]


def test_a_length_that_is_set_when_its_begin_is_in_the_file_already() -> None:
    value = b"T" * 1_000_000
    assert converted(implicit(0x00081110, item(implicit(0x0040A160, value))), IMPLICIT, EXPLICIT) \
        == explicit(0x00081110, "SQ", item(explicit(0x0040A160, "UT", value)))


def test_group_lengths_are_left_out() -> None:
    dataset = explicit(0x00080000, "UL", b"\4\0\0\0") + explicit(0x00080060, "CS", b"CT")
    assert converted(dataset, EXPLICIT, IMPLICIT) == implicit(0x00080060, b"CT")


def test_un_of_undefined_length_holds_implicit_vr_for_ever() -> None:
    content = item(implicit(0x00280010, b"\1\0"), UNDEFINED) + END
    one, other = (explicit(0x00091001, "UN", content, UNDEFINED, order) for order in "<>")
    assert converted(one, EXPLICIT, BIG_ENDIAN) == other
    assert converted(other, BIG_ENDIAN, EXPLICIT) == one
    assert converted(other, BIG_ENDIAN, IMPLICIT) == implicit(0x00091001, content, UNDEFINED)


def test_an_unknown_sequence_of_undefined_length_becomes_sq() -> None:
    dataset = implicit(0x00091001, item(implicit(0x00280010, b"\1\0"), UNDEFINED) + END, UNDEFINED)
    expected = explicit(0x00091001, "SQ", item(explicit(0x00280010, "US", b"\1\0"), UNDEFINED) + END, UNDEFINED)
    assert converted(dataset, IMPLICIT, EXPLICIT) == expected


def test_a_value_too_long_for_its_vr_becomes_un() -> None:
    dataset = implicit(0x00186060, bytes(range(4)) * 20000)
    assert converted(dataset, IMPLICIT, EXPLICIT) == explicit(0x00186060, "UN", bytes(range(4)) * 20000)
    assert converted(dataset, IMPLICIT, BIG_ENDIAN) == explicit(0x00186060, "UN", bytes(range(4)) * 20000, order=">")


@pytest.mark.parametrize(("representation", "vr"), [(None, "US"), (0, "US"), (1, "SS")])
def test_pixel_representation_settles_us_or_ss(representation: int | None, vr: str) -> None:
    """Also in an item, and where it comes behind."""
    about, known = b"", b""
    if representation is not None:
        about = implicit(0x00280103, bytes([representation, 0]))
        known = explicit(0x00280103, "US", bytes([representation, 0]))
    dataset = implicit(0x00189810, b"\1\0") + about + implicit(0x00409096, item(implicit(0x00409211, b"\2\0")))
    assert converted(dataset, IMPLICIT, EXPLICIT) == explicit(0x00189810, vr, b"\1\0") + known + explicit(
        0x00409096, "SQ", item(explicit(0x00409211, vr, b"\2\0")))


@pytest.mark.parametrize(("bits", "vr"), [(1, "OB"), (8, "OB"), (16, "OW"), (32, "OW")])
def test_bits_allocated_settle_pixel_data(bits: int, vr: str) -> None:
    dataset = implicit(0x00280100, bytes([bits, 0])) + implicit(0x7FE00010, b"\1\2\3\4")
    assert converted(dataset, IMPLICIT, EXPLICIT).endswith(explicit(0x7FE00010, vr, b"\1\2\3\4"))


@pytest.mark.parametrize(("bits", "vr"), [(8, "OB"), (16, "OW")])
def test_waveform_bits_allocated_of_its_own_item_settle_a_waveform(bits: int, vr: str) -> None:
    other = implicit(0x54001004, bytes([24 - bits, 0]))
    channel = implicit(0x003A0200, item(implicit(0x54000110, b"\1\2")))
    one = channel + implicit(0x54001004, bytes([bits, 0])) + implicit(0x54001010, b"\1\2")
    result = converted(implicit(0x54000100, item(other) + item(one)), IMPLICIT, EXPLICIT)
    assert result.endswith(explicit(0x54001010, vr, b"\1\2"))
    assert explicit(0x54000110, vr, b"\1\2") in result


def nested(depth: int) -> bytes:
    dataset = b""
    for _ in range(depth):
        dataset = implicit(0x00081110, item(dataset))
    return dataset


def test_depth() -> None:
    assert converted(converted(nested(64), IMPLICIT, EXPLICIT), EXPLICIT, IMPLICIT) == nested(64)
    with pytest.raises(ConversionFailed, match="too deeply"):
        converted(nested(65), IMPLICIT, EXPLICIT)


@pytest.mark.parametrize(("dataset", "problem"), [
    (b"\x08\0\x60", "ends too soon"),
    (explicit(0x00080060, "CS", b"CT", 4), "beyond what encloses it"),
    (explicit(0x00081110, "SQ", item(explicit(0x00080060, "CS", b"CT", 40))), "beyond what encloses it"),
    (explicit(0x00081110, "SQ", item(b"\x08\0\x60\0"), 12) + bytes(8), "header goes beyond"),
    (explicit(0x00081110, "SQ", explicit(0x00080060, "CS", b"CT")), "where an item must be"),
    (item(b""), "does not belong here"),
    (END, "does not belong here"),
    (explicit(0x00081110, "SQ", item(b"") + END), "does not belong here"),
    (explicit(0x00081110, "SQ", item(b""), UNDEFINED), "ends too soon"),
    (explicit(0x00091001, "OB", item(b"") + END, UNDEFINED), "undefined length of a VR that has none"),
    (explicit(0x00280010, "US", b"\1\2\3"), "a number is cut off"),
    (explicit(0x00091001, "ZZ", b"\1\2"), "byte order of its VR"),
])
def test_what_is_refused(dataset: bytes, problem: str) -> None:
    with pytest.raises(ConversionFailed, match=problem):
        converted(dataset, EXPLICIT, BIG_ENDIAN)


def test_more_items_with_facts_than_are_kept() -> None:
    one = item(implicit(0x00280103, b"\0\0"))
    with pytest.raises(ConversionFailed, match="too many items"):
        converted(implicit(0x00081110, one * 4097), IMPLICIT, EXPLICIT)
