from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.index.search.times import Span, date_span, date_time_span, time_span
from dicomserver.index.text import time_of


@pytest.mark.parametrize("text, day", [
    ("20240229", "20240229"), ("2024.02.29", "20240229"), ("20230229", None), ("202402", None), ("", None),
    ("20240229 ", "20240229"), ("20240001", None), ("20240229-", None), ("２０２４０２２９", None), ("x" * 99, None)])
def test_dates(text: str, day: str | None) -> None:
    assert date_span(text) == (None if day is None else Span(day, day))


@pytest.mark.parametrize("text, low, high", [
    ("10", "100000.000000", "105960.999999"), ("1015", "101500.000000", "101560.999999"),
    ("101530", "101530.000000", "101530.999999"), ("101530.5", "101530.500000", "101530.599999"),
    ("101530.123456", "101530.123456", "101530.123456"), ("10:15:30", "101530.000000", "101530.999999"),
    ("235960", "235960.000000", "235960.999999"), ("10:15", "101500.000000", "101560.999999")])
def test_times(text: str, low: str, high: str) -> None:
    assert time_span(text) == Span(low, high)


@pytest.mark.parametrize("text", ["", "1", "24", "1060", "101561", "10153", "101530.", "101530.1234567", "-10", "noon"])
def test_what_is_no_time(text: str) -> None:
    assert time_span(text) is None


@given(st.text(alphabet="0123456:.", max_size=13))
def test_a_stored_time_counts_as_its_first_moment(text: str) -> None:
    """The column that has the time of an object, and its value itself, are of one opinion."""
    span = time_span(text)
    assert time_of(text.encode()) == (None if span is None else span.low)


@pytest.mark.parametrize("text, low, high, offset", [
    ("2024", "20240101000000.000000", "20241231235960.999999", None),
    ("202402", "20240201000000.000000", "20240231235960.999999", None),
    ("20240229", "20240229000000.000000", "20240229235960.999999", None),
    ("2024022910", "20240229100000.000000", "20240229105960.999999", None),
    ("20240229101530.25", "20240229101530.250000", "20240229101530.259999", None),
    ("20240229101530+0100", "20240229101530.000000", "20240229101530.999999", 60),
    ("2024-0330", "20240101000000.000000", "20241231235960.999999", -210),
    ("20240229101530-0000", "20240229101530.000000", "20240229101530.999999", 0)])
def test_date_times(text: str, low: str, high: str, offset: int | None) -> None:
    assert date_time_span(text) == Span(low, high, offset)


@pytest.mark.parametrize("text", [
    "", "202", "202413", "20240232", "2024022925", "20240229101530.", "2024+01", "x", "2024-2025", "2024+1500",
    "2024+0160"])
def test_what_is_no_date_time(text: str) -> None:
    assert date_time_span(text) is None


@pytest.mark.parametrize("text, low, high", [
    ("20240229101530+0100", "20240229091530.000000", "20240229091530.999999"),
    ("202402291015+1400", "20240228201500.000000", "20240228201560.999999"),
    ("20240101003000+0100", "20231231233000.000000", "20231231233000.999999"),
    ("202402-0100", "20240201010000.000000", "20240301005960.999999"),      # to the end of the month's last day
    ("0001+0100", "00010101000000.000000", "00011231225960.999999"),        # before it there is no calendar
    ("9999-0100", "99990101010000.000000", "99991231235960.999999"),
    ("0000+0100", "00010101000000.000000", "00011231225960.999999"),
    ("20240229", "20240229000000.000000", "20240229235960.999999")])
def test_date_times_in_utc(text: str, low: str, high: str) -> None:
    assert date_time_span(text).at_utc() == Span(low, high)
