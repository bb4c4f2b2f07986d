"""Single elements, read back by pydicom."""
from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.filereader import read_dataset

from dicomserver.wire.element import encode_element

FORMS = [(True, False), (False, False), (True, True)]


@pytest.mark.parametrize("explicit, big", FORMS)
@pytest.mark.parametrize("tag, vr, value", [
    (0x00080058, "UI", b""), (0x00080058, "UI", b"1.2"), (0x00080058, "UI", b"1.23"), (0x00080058, "UI", b"1.2\\1.23"),
    (0x00080060, "CS", b"CT"), (0x00100010, "PN", b"Doe^J"), (0x00420011, "OB", b"abc"), (0x00204000, "LT", b"x" * 999),
    (0x00189004, "CS", b"PRODUCT"), (0x0040A160, "UT", b"text" * 30_000), (0x00080120, "UR", b"http://x"),
])
def test_pydicom_reads_it(tag: int, vr: str, value: bytes, explicit: bool, big: bool) -> None:
    data = encode_element(tag, vr, value, explicit, big)
    assert len(data) % 2 == 0
    dataset = read_dataset(BytesIO(data), not explicit, not big)
    raw = dataset.get_item(tag)
    padding = b"\0" if vr in ("UI", "OB") else b" "
    assert (raw.value or b"") == value + padding * (len(value) % 2)
    assert raw.VR in ((vr,) if explicit else (vr, None))
    assert list(dataset.keys()) == [tag]


@pytest.mark.parametrize("explicit, big", FORMS)
@pytest.mark.parametrize("length, vr", [
    (65_533, "UI"), (65_534, "UI"), (65_535, "UN"), (65_536, "UN"), (1 << 20, "UN")])
def test_the_longest_value_of_a_short_length_field(length: int, vr: str, explicit: bool, big: bool) -> None:
    value = b"1" * length
    data = encode_element(0x00080058, "UI", value, explicit, big)
    raw = read_dataset(BytesIO(data), not explicit, not big).get_item(0x00080058)
    assert (raw.VR, raw.value.rstrip(b"\0")) == (vr if explicit else None, value)
