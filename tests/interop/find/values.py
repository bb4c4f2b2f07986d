"""Does one key match the values of one attribute? PS3.4 C.2.2.2, by VR, in the plainest way that there is.

Nothing here is fast, and nothing is the product's: it judges the product.
"""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import NamedTuple

WILDCARDS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
ONE_VALUE = {"LT", "ST", "UR", "UT"}        # a backslash is a letter like others (PS3.5 6.2)
NUMBERS = {"DS", "FD", "FL", "IS", "SL", "SS", "UL", "US"}
EMPTY_VALUE = '""'                          # PS3.4 C.2.2.2.7
GROUPS = 3                                  # alphabetic, ideographic, phonetic

_DA = re.compile(r"(\d{4})(\d\d)(\d\d)|(\d{4})\.(\d\d)\.(\d\d)", re.ASCII)
_TM = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DT = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?"
                 r"([+-](?:0\d|1[0-4])[0-5]\d)?", re.ASCII)
_TICK = timedelta(microseconds=1)


class Unreadable(ValueError):
    """A date or time that is none."""


class Period(NamedTuple):
    """From the first to the last microsecond that a value may mean. zone: minutes east of UTC, None if not said."""

    first: datetime
    last: datetime
    zone: int | None = None


def is_universal(vr: str, asked: str) -> bool:
    """Whether the key leaves everything as it is (PS3.4 C.2.2.2.3); so does a name of nothing but delimiters."""
    if vr == "PN":
        return not any(group.strip("*") for group in _groups(asked))
    return asked == "" or (vr != "UI" and set(asked) == {"*"})


def matches(vr: str, asked: str, stored: Sequence[str]) -> bool:
    """Whether the key matches the values of one attribute. Raises Unreadable."""
    return matcher(vr, asked)(stored)


def matcher(vr: str, asked: str) -> Callable[[Sequence[str]], bool]:
    """Judges values without padding; none where the attribute is absent or empty. Raises Unreadable."""
    if is_universal(vr, asked):
        return lambda stored: True
    if asked == EMPTY_VALUE:
        return lambda stored: not any(_is_readable(vr, value) for value in stored)
    tests = [_single(vr, one) for one in ([asked] if vr in ONE_VALUE else asked.split("\\"))]
    return lambda stored: any(test(value) for test in tests for value in stored)


def _single(vr: str, asked: str) -> Callable[[str], bool]:
    """Judges one stored value."""
    if vr == "PN":
        return _same_person(asked)
    if vr in ("DA", "TM", "DT"):
        bounds = range_of(vr, asked)
        return lambda value: _is_within(vr, value, *bounds)
    if vr in NUMBERS:
        number = number_of(asked)
        return lambda value: number is not None and number == number_of(value)
    if vr in WILDCARDS:
        return _alike(asked.strip())
    return lambda value: asked.strip(" \0") == value


def _alike(pattern: str) -> Callable[[str], bool]:
    """`*` is any run of characters, `?` is one; everything else is itself."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in re.sub(r"\*+", "*", pattern))
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


# -- person names ------------------------------------------------------------------------------------------------

def _same_person(asked: str) -> Callable[[str], bool]:
    """PS3.4 C.2.2.2.1, and the component groups of PS3.5 6.2.1. The first group counts in Latin letters as well."""
    first, *others = _groups(asked)
    tests = [_alike(first), _alike(in_latin(asked.split("=")[0]))]
    if "=" not in asked:
        return lambda stored: any(form and test(form) for form in [*_groups(stored), _latin_form(stored)]
                                  for test in tests)
    rest = [_alike(group) if group else None for group in others]
    return lambda stored: (
        (not first.strip("*") or any(form and test(form) for form in (_groups(stored)[0], _latin_form(stored))
                                     for test in tests))
        and all(not test or test(group) for test, group in zip(rest, _groups(stored)[1:] + GROUPS * [""])))


def _latin_form(stored: str) -> str:
    groups = stored.split("=")[:GROUPS]
    return in_latin(groups[0] if _groups(stored)[0] else "".join(groups[2:]))


# The letters that these tests have, each by its rule; letters together that make another sound are not among them.
_LATIN = {
    "ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ж": "zh",
    **dict(zip("люксембургоазвчшитыё", "l iu k s e m b u r g o a z v ch sh i t y e".split(), strict=True)),
    **dict(zip("αδεηικλνοπρσςυφω", "a d e i i k l n o p r s s y f o".split(), strict=True)),
    **dict(zip("ヤマダタロウ", "ya ma da ta ro u".split(), strict=True)), "ー": "", "я": "ia",
}


def in_latin(group: str) -> str:
    """The folded group with the letters that passports have, and those of kana's readings."""
    letters = unicodedata.normalize("NFKC", group).lower()
    return folded("".join(_LATIN.get(letter) or _of_folded(letter) for letter in letters))


def _of_folded(letter: str) -> str:
    plain = folded(letter) if letter.strip("^ ") else letter
    if any("\u0370" <= one <= "\u04ff" or "\u3041" <= one <= "\u30fc" for one in plain):
        return "".join(_LATIN[one] for one in plain)
    return plain


@cache
def _groups(name: str) -> list[str]:
    return [folded(group) for group in name.split("=")[:GROUPS]]


def folded(group: str) -> str:
    """Without case, accents and width, hiragana as katakana; trailing delimiters and spaces around."""
    apart = unicodedata.normalize("NFKD", group)
    apart = "".join(chr(ord(c) + 0x60) if "\u3041" <= c <= "\u3096" else c for c in apart)
    plain = "".join(c for c in apart if not 0x0300 <= ord(c) < 0x0370)
    return unicodedata.normalize("NFKC", plain).casefold().strip().rstrip("^ ")


# -- numbers -----------------------------------------------------------------------------------------------------

def number_of(text: str) -> Decimal | None:
    """Of an IS, a DS or a binary number; None if it is none."""
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        return None


# -- dates and times ---------------------------------------------------------------------------------------------

@cache
def period(vr: str, text: str) -> Period:
    """What one DA, TM or DT means; a TM as that time of the first day of all. Raises Unreadable."""
    match = {"DA": _DA, "TM": _TM, "DT": _DT}[vr].fullmatch(text.strip(" \0"))
    if match is None:
        raise Unreadable(vr)
    try:
        if vr == "DA":
            first = datetime.combine(date(*(int(part) for part in match.groups() if part)), datetime.min.time())
            return Period(first, first + timedelta(days=1) - _TICK)
        if vr == "TM":
            return _period(["1", "1", "1", *match.groups()])
        offset = match[8]
        zone = offset and int(offset[0] + "1") * (int(offset[1:3]) * 60 + int(offset[3:]))
        return _period(list(match.groups()[:7]))._replace(zone=zone)
    except ValueError:
        raise Unreadable(vr) from None


def _period(parts: list[str | None]) -> Period:
    """parts: year, month, day, hour, minute, second, fraction; the last of them may be None."""
    fraction = parts.pop()
    given = [int(part) for part in parts if part is not None]
    first = datetime(*(given + [1, 1, 0, 0, 0][len(given) - 1:]))
    if fraction is not None:
        step = timedelta(microseconds=10 ** (6 - len(fraction)))
        first += int(fraction) * step
        return Period(first, first + step - _TICK)
    if len(given) > 2:
        step = [timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)][len(given) - 3]
        return Period(first, first + step - _TICK)
    following = first.replace(year=first.year + 1) if len(given) == 1 else (first + timedelta(days=31)).replace(day=1)
    return Period(first, following - _TICK)


Range = tuple[Period | None, Period | None]


def range_of(vr: str, asked: str) -> Range:
    """The ends of a range, both the same for a single value, None for an open one. Raises Unreadable."""
    try:
        one = period(vr, asked)
        return one, one
    except Unreadable:
        pass
    for at in (at for at, c in enumerate(asked) if c == "-"):
        ends = asked[:at].strip(), asked[at + 1:].strip()
        try:
            low, high = (period(vr, end) if end else None for end in ends)
        except Unreadable:
            continue        # in a DT a hyphen may also begin an offset
        if low or high:
            return low, high
    raise Unreadable(vr)


def _is_readable(vr: str, value: str) -> bool:
    """Whether the value is one: a date that no calendar has counts as none."""
    try:
        return vr not in ("DA", "TM", "DT") or period(vr, value) is not None
    except Unreadable:
        return False


def is_range(vr: str, asked: str) -> bool:
    """Whether the key is a range and not one value. Raises Unreadable."""
    low, high = range_of(vr, asked)
    return low is not high


def _is_within(vr: str, value: str, low: Period | None, high: Period | None) -> bool:
    try:
        moment = period(vr, value)
    except Unreadable:
        return False
    return ((low is None or _ordered(low.first, low.zone, moment.first, moment.zone))
            and (high is None or _ordered(moment.first, moment.zone, high.last, high.zone)))


def _ordered(first: datetime, first_zone: int | None, second: datetime, second_zone: int | None) -> bool:
    """Whether the first is not later; where only one of them says its zone both are taken as local."""
    if first_zone is None or second_zone is None:
        return first <= second
    return first - timedelta(minutes=first_zone) <= second - timedelta(minutes=second_zone)


def is_within_both(day: str, time: str, days: Range, times: Range) -> bool:
    """Combined date-time matching (PS3.4 C.2.2.2.5): one interval from the first date and time to the last ones."""
    try:
        moment = datetime.combine(period("DA", day).first, period("TM", time).first.time())
    except Unreadable:
        return False
    (first_day, last_day), (first_time, last_time) = days, times
    after = first_day is None or moment >= datetime.combine(
        first_day.first, first_time.first.time() if first_time else datetime.min.time())
    before = last_day is None or moment <= datetime.combine(
        last_day.first, last_time.last.time() if last_time else datetime.max.time())
    return after and before
