"""Dates, times and date-times as spans of text that compare as they follow each other (PS3.5 6.2, PS3.4 C.2.2.2.5).

A value of less precision means all that begins with it: the time 10 is 100000.000000 to 105960.999999. (A minute may
have a second 60.)
"""
from __future__ import annotations

import re
from calendar import monthrange
from datetime import datetime, timedelta
from typing import NamedTuple

from dicomserver.index.text import TIME, date_of

_DATE_TIME = re.compile(r"(\d{4})(?:(0[1-9]|1[0-2])(?:(0[1-9]|[12]\d|3[01])(?:([01]\d|2[0-3])(?:([0-5]\d)"
                        r"(?:([0-5]\d|60)(?:\.(\d{1,6}))?)?)?)?)?)?([+-](?:0\d|1[0-4])[0-5]\d)?", re.ASCII)
_LEAST = ("", "01", "01", "00", "00", "00", "")
_MOST = ("", "12", "31", "23", "59", "60", "")


class Span(NamedTuple):
    """From `low` to `high`, both included; texts of one form. offset: minutes east of UTC, None where none is said."""

    low: str
    high: str
    offset: int | None = None

    def at_utc(self) -> Span:
        """In UTC, where the offset is known."""
        return Span(_shifted(self.low, self.offset or 0), _shifted(self.high, self.offset or 0))


def date_span(text: str) -> Span | None:
    """Of a DA: YYYYMMDD."""
    day = date_of(text.encode("utf_8"))
    return None if day is None else Span(day, day)


def time_span(text: str) -> Span | None:
    """Of a TM: HHMMSS.FFFFFF."""
    match = TIME.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups("")
    return Span(f"{hours}{minutes or '00'}{seconds or '00'}.{fraction:0<6}",
                f"{hours}{minutes or '59'}{seconds or '60'}.{fraction:9<6}")


def date_time_span(text: str) -> Span | None:
    """Of a DT: YYYYMMDDHHMMSS.FFFFFF."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    *parts, fraction, zone = match.groups("")
    low = "".join(part or least for part, least in zip(parts, _LEAST))
    high = "".join(part or most for part, most in zip(parts, _MOST))
    offset = int(zone[0] + zone[3:]) + 60 * int(zone[0] + zone[1:3]) if zone else None
    return Span(f"{low}.{fraction:0<6}", f"{high}.{fraction:9<6}", offset)


def _shifted(text: str, offset: int) -> str:
    year, month = max(int(text[:4]), 1), int(text[4:6])
    # Day 31 stands for the last one of any month. Seconds stay as they are.
    day = min(int(text[6:8]), monthrange(year, month)[1])
    moment = datetime(year, month, day, int(text[8:10]), int(text[10:12]))
    try:
        moment -= timedelta(minutes=offset)
    except OverflowError:
        pass    # the first or last day that there is
    return f"{moment:%Y%m%d%H%M}"[-12:].rjust(12, "0") + text[12:]
