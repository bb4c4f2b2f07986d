"""Packed attributes: there and back, record by record, and damaged."""
from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dicomserver.wire.errors import DatasetError
from dicomserver.wire.packed import Element, pack, unpack

elements = st.builds(Element, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF),
                     st.from_regex(r"[A-Z]{2}", fullmatch=True), st.binary(max_size=100))


@given(st.lists(elements, max_size=10))
def test_what_was_packed_comes_back(values: list[Element]) -> None:
    assert unpack(pack(values)) == values
    assert unpack(pack(iter(values))) == values


def test_octets() -> None:
    blob = bytes.fromhex("20001000 02101000 4c4f 0300 04000000 41424320")
    assert unpack(blob) == [Element(0x00100020, 0x00101002, 3, "LO", b"ABC ")]
    assert pack(unpack(blob)) == blob


def test_nothing_is_an_empty_blob() -> None:
    assert pack([]) == b"" and unpack(b"") == []


@given(st.lists(elements, min_size=1, max_size=4), st.data())
def test_a_blob_cut_within_a_record_is_an_error(values: list[Element], data: st.DataObject) -> None:
    borders = [len(pack(values[:count])) for count in range(len(values) + 1)]
    length = data.draw(st.integers(0, borders[-1]).filter(lambda length: length not in borders))
    with pytest.raises(DatasetError):
        unpack(pack(values)[:length])


@given(st.binary(max_size=200))
def test_no_other_error_than_ours(blob: bytes) -> None:
    try:
        values = unpack(blob)
    except DatasetError:
        return
    assert pack(values) == blob


@pytest.mark.parametrize("blob", [
    bytes.fromhex("20001000 00000000 4c4f 0000 ffffffff"), bytes.fromhex("20001000 00000000 ffff 0000 00000000"),
])
def test_a_damaged_record_is_an_error(blob: bytes) -> None:
    with pytest.raises(DatasetError):
        unpack(blob)
