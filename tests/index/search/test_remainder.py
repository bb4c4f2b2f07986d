from __future__ import annotations

import pytest

from dicomserver.index.search.keys import criterion_of
from dicomserver.index.search.query import Condition, ItemCondition, Moment
from dicomserver.index.search.remainder import remainder
from dicomserver.index.search.times import Span, date_time_span
from dicomserver.index.search.criteria import Within
from dicomserver.standard.attributes import Attribute, Level
from dicomserver.standard.query import query_attributes
from dicomserver.wire.packed import Element, pack

COMMENTS, STATION = query_attributes()[0, 0x00104000], query_attributes()[0, 0x00081010]
SERIES_DATE, SERIES_TIME = query_attributes()[0, 0x00080021], query_attributes()[0, 0x00080031]
CODES = 0x00081032
CODE, SCHEME = query_attributes()[CODES, 0x00080100], query_attributes()[CODES, 0x00080102]


def condition(attribute: Attribute, value: bytes) -> Condition:
    return Condition(attribute, criterion_of(attribute.vr, value, b""))


def row(patient: bytes = b"", study: bytes = b"", series: bytes = b"") -> tuple:
    return b"", patient, b"", study, b"", series


def element(attribute: Attribute, value: bytes, item: int = 0) -> Element:
    return Element(attribute.tag, attribute.sequence, item, attribute.vr, value)


def test_nothing_remains() -> None:
    assert remainder([]) is None


def test_every_condition_must_be_met_each_at_its_level() -> None:
    meets = remainder([condition(COMMENTS, b"*knee*"), condition(STATION, b"CT1\\CT2")])
    knee, ct2 = pack([element(COMMENTS, b"left knee")]), pack([element(STATION, b"CT2 ")])
    assert meets(row(knee, b"", ct2))
    assert not meets(row(knee))
    assert not meets(row(b"", b"", ct2))
    assert not meets(row(b"", knee, ct2))


@pytest.mark.parametrize("items, does", [
    ([(b"T-1", b"SRT")], True), ([(b"X", b"L"), (b"T-1", b"SRT")], True), ([(b"T-1", b"L"), (b"X", b"SRT")], False),
    ([(b"T-1", b"")], False), ([], False)])
def test_all_keys_of_an_item_match_within_one(items: list[tuple[bytes, bytes]], does: bool) -> None:
    meets = remainder([ItemCondition((condition(CODE, b"T-*"), condition(SCHEME, b"SRT")))])
    stored = [element(attribute, value, number) for number, pair in enumerate(items)
              for attribute, value in zip((CODE, SCHEME), pair)]
    assert meets(row(study=pack(stored))) is does


def test_the_same_tag_elsewhere_is_no_item_of_the_sequence() -> None:
    meets = remainder([ItemCondition((condition(CODE, b"T-1"),))])
    elsewhere = [Element(CODE.tag, sequence, 0, "SH", b"T-1") for sequence in (0, 0x00321064)]
    assert not meets(row(study=pack(elsewhere)))


@pytest.mark.parametrize("date, time, does", [
    (b"20240229", b"1000", True), (b"20240229", b"0959", False), (b"2024.03.01", b"00:30", True), (b"20240301",
    b"1100", True),
    (b"20240301", b"1200", False), (b"20240229", b"", False), (b"", b"10", False), (b"20240230", b"10", False),
    (b"20240229", b"25", False), (b"20240229\\20250101", b"10\\x", True)])
def test_a_date_with_its_time(date: bytes, time: bytes, does: bool) -> None:
    interval = Within(Span(*["20240229100000.000000"] * 2), Span(*["20240301115960.999999"] * 2), date_time_span)
    meets = remainder([Moment(SERIES_DATE, SERIES_TIME, interval)])
    assert SERIES_DATE.level is Level.SERIES
    assert meets(row(series=pack([element(SERIES_DATE, date), element(SERIES_TIME, time)]))) is does
