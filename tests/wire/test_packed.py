"""Packed attributes: round trips, damage, and single values."""
from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dicomserver.wire.errors import DatasetError
from dicomserver.wire.packed import Element, pack, top_level, unpack, value_of

TAGS = st.integers(1, 0xFFFFFFFF)
VRS = st.sampled_from(["PN", "LO", "UI", "US", "IS", "DA", "UN"])
TOP = st.builds(Element, TAGS, st.just(0), st.just(0), VRS, st.binary(max_size=80))
NESTED = st.builds(Element, TAGS, TAGS, st.integers(0, 65535), VRS, st.binary(max_size=80))


@given(st.lists(TOP | NESTED, max_size=12))
def test_what_is_packed_comes_out_again(elements):
    assert unpack(pack(elements)) == elements


@given(st.lists(TOP | NESTED, max_size=8), TAGS)
def test_a_single_value_is_the_first_of_the_top_level(elements, other):
    blob = pack(elements)
    for wanted in [e.tag for e in elements] + [other]:
        expected = next((e.value for e in elements if e.tag == wanted and e.sequence == 0), None)
        assert value_of(blob, wanted) == expected


@given(st.lists(TOP | NESTED, max_size=8))
def test_the_top_level_is_the_first_of_each_tag(elements):
    expected = {e.tag: e.value for e in reversed(elements) if e.sequence == 0}
    assert top_level(pack(elements)) == expected


def test_a_record_of_the_top_level_costs_eight_bytes():
    assert pack([Element(0x00100010, 0, 0, "PN", b"A^B")]) == bytes.fromhex("10001000 0300 504e") + b"A^B"


GOOD = pack([Element(0x00400009, 0x00400275, 1, "SH", b"SPS"), Element(0x00100020, 0, 0, "LO", b"1")])


@pytest.mark.parametrize("cut", [n for n in range(1, len(GOOD)) if n not in (10, 21, 29)])
def test_a_blob_that_is_cut_off_is_damaged(cut):
    for read in (unpack, top_level):
        with pytest.raises(DatasetError):
            read(GOOD[:cut])


def test_a_blob_that_is_not_one_is_damaged():
    for bad in (b"\0" * 16, GOOD[:6] + b"Q1" + GOOD[8:], b"\1\0\0\0\3\0SQabc", b"\0\0\0\0\2\0SQab"):
        for read in (unpack, top_level):
            with pytest.raises(DatasetError):
                read(bad)
