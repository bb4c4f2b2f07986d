"""From the values of a key to what it matches (PS3.4 C.2.2.2), by its value representation."""
from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence

from dicomserver.index.search.criteria import AnyOf, Criterion, Empty, Equal, Like, Name, Numeric, Within, number_of
from dicomserver.index.search.times import Span, date_span, date_time_span, time_span
from dicomserver.index.sounds import sounds_asked
from dicomserver.index.text import integer_of, name_groups, one_value, split_values
from dicomserver.index.transcription import name_in_latin

EMPTY = '""'                    # a key with this value alone: empty-value matching
MOST_VALUES = 10_000            # of one key
MOST_ALTERNATIVES = 500         # of its values, where each is a search of its own: names, wildcards, dates and times
LONGEST_PATTERN = 4096          # letters of one value: no stored one is longer
_OF_ONE_VALUE = frozenset({"ST", "LT", "UT", "UR"})
_TEXT = frozenset({"AE", "CS", "LO", "PN", "SH", "UC"}) | _OF_ONE_VALUE
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_SPANS: dict[str, Callable[[str], Span | None]] = {"DA": date_span, "TM": time_span, "DT": date_time_span}
_READERS: dict[str, Callable[[str], object]] = {
    **_SPANS, **dict.fromkeys(("DS", *_NUMBERS), number_of), "IS": lambda text: integer_of(text.encode("utf_8"))}
_DATE_TIME = r"\d{4,14}(?:\.\d{1,6})?(?:[+-]\d{4})?"
_STARS = re.compile(r"\*+")


class BadKey(ValueError):
    """A key that cannot be understood. The text says why, without its value."""


class TooManyValues(ValueError):
    """More values in one key than are searched for."""


def criterion_of(vr: str, value: bytes, character_set: bytes, *, fuzzy: bool = False) -> Criterion | None:
    """What the raw value of a key matches; None: everything (universal matching).

    vr: the attribute's. character_set: the raw (0008,0005) of the identifier. fuzzy: names may sound like it (PS3.4
    C.2.2.2.1.1). Raises BadKey, TooManyValues.
    """
    texts = values_of(vr, value, character_set)
    if len(texts) > MOST_VALUES:
        raise TooManyValues(f"more than {MOST_VALUES} values in one key")
    if texts == [EMPTY]:
        return Empty(_READERS.get(vr))
    if vr == "UI":
        asked = frozenset(filter(None, texts))
        return Equal(asked) if asked else None
    if any(not text.strip("*") for text in texts):
        return None     # one value of several that is universal makes all of it so
    if vr in _TEXT:
        return _of_text(vr, texts, fuzzy)
    if vr in _SPANS:
        return _any_of([_of_time(vr, text) for text in texts])
    if vr in _READERS:
        return Numeric(frozenset(map(_number, texts)), _READERS[vr]) if texts else None
    return Equal(frozenset(texts)) if texts and vr == "AS" else None


def values_of(vr: str, value: bytes, character_set: bytes) -> list[str]:
    """The values of an element as they are compared: without padding; numbers as decimal text. value: numbers in it
    are little-endian."""
    packing = _NUMBERS.get(vr)
    if packing is not None:
        size = struct.calcsize(packing)
        return [str(number) for number, in struct.iter_unpack("<" + packing, value[:len(value) // size * size])]
    if vr in _OF_ONE_VALUE:
        return list(filter(None, [one_value(value, character_set)]))
    return split_values(value, character_set)


def _of_text(vr: str, texts: Sequence[str], fuzzy: bool) -> Criterion | None:
    if any(len(text) > LONGEST_PATTERN for text in texts):
        raise BadKey("is longer than any value that is kept")
    if vr == "PN":
        return _any_of([_name(text, fuzzy) for text in texts])
    exact = frozenset(text for text in texts if "*" not in text and "?" not in text)
    patterns = [Like(_STARS.sub("*", text)) for text in texts if text not in exact]
    return _any_of([*([Equal(exact)] if exact else []), *patterns])


def _name(text: str, fuzzy: bool) -> Criterion | None:
    text = _STARS.sub("*", text)
    alphabetic, ideographic, phonetic = (group.strip("*") and group for group in name_groups(text))
    if not (alphabetic or ideographic or phonetic):
        return None     # but delimiters that say nothing
    return Name((alphabetic, ideographic, phonetic), anywhere="=" not in text,
                latin=alphabetic and name_in_latin(text), sounds=sounds_asked(text) if fuzzy else ())


def _of_time(vr: str, text: str) -> Criterion:
    """A single value, or a range: a-b, a-, -b. A DT may have a hyphen of its own: its offset from UTC."""
    span = _SPANS[vr]
    one = span(text)
    if one is not None:
        return Within(one, one, span)
    between = re.fullmatch(f"({_DATE_TIME})? *- *({_DATE_TIME})?", text) if vr == "DT" else None
    low, high = between.groups("") if between else (part.strip() for part in _halves(text))
    ends = [span(end) if end else None for end in (low, high)]
    if not (low or high) or any(end and found is None for end, found in zip((low, high), ends)):
        raise BadKey("is no date, time or range of them")
    return Within(ends[0], ends[1], span)


def _halves(text: str) -> tuple[str, str]:
    low, hyphen, high = text.partition("-")
    return (low, high) if hyphen else ("", "")


def _number(text: str) -> float:
    number = number_of(text)
    if number is None:
        raise BadKey("is no number")
    return number


def _any_of(criteria: list[Criterion | None]) -> Criterion | None:
    """None among them: everything."""
    if len(criteria) > MOST_ALTERNATIVES:
        raise TooManyValues(f"more than {MOST_ALTERNATIVES} names, wildcards or dates in one key")
    if None in criteria:
        return None
    if len(criteria) > 1:
        return AnyOf(tuple(criteria))
    return criteria[0] if criteria else None

