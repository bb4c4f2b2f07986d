"""What a key matches (PS3.4 C.2.2.2): one class a kind of matching, over the texts of a stored attribute.

`accepts` gets the attribute's values, decoded and without padding, none where the object lacks it or has it empty: an
attribute of several values matches if any of them does. Nothing here knows of databases.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

from dicomserver.index.search.times import Span
from dicomserver.index.sounds import Words, sounds_of
from dicomserver.index.text import name_groups
from dicomserver.index.transcription import name_in_latin

_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)


class Criterion(Protocol):
    """One kind of matching, with what the key asks for."""

    def accepts(self, values: Sequence[str]) -> bool:
        """Whether an attribute with these values matches."""


@dataclass(frozen=True, slots=True)
class Empty:
    """Empty-value matching: the attribute is absent or has no value. read: of a VR that is more than text; what it
    cannot read is no value."""

    read: Callable[[str], object] | None = None

    def accepts(self, values: Sequence[str]) -> bool:
        """See Criterion; so everywhere below."""
        return all(self.read(value) is None if self.read else not value for value in values)


@dataclass(frozen=True, slots=True)
class Equal:
    """Single value matching, or a list of UIDs: one of `texts`, letter by letter."""

    texts: frozenset[str]

    def accepts(self, values: Sequence[str]) -> bool:
        return any(value in self.texts for value in values)


@dataclass(frozen=True, slots=True)
class Like:
    """Wildcard matching; `pattern` has an * or ?."""

    pattern: str

    def accepts(self, values: Sequence[str]) -> bool:
        return any(value and matches(self.pattern, value) for value in values)


@dataclass(frozen=True, slots=True)
class Name:
    """A person name: patterns for the three component groups, folded as names are (text.name_groups); "": any.

    The first may match the name in Latin letters too (transcription.name_in_latin). anywhere: the key has one group
    only, which may match any of the three. latin: the first pattern in Latin letters, as good as itself; "": it is.
    sounds: what will do as well, for fuzzy semantic matching; empty: nothing.
    """

    groups: tuple[str, str, str]
    anywhere: bool
    latin: str = ""
    sounds: Words = ()

    @property
    def first(self) -> tuple[str, ...]:
        """The patterns of which the first group matches one."""
        return (self.groups[0], self.latin) if self.latin else self.groups[:1]

    def accepts(self, values: Sequence[str]) -> bool:
        return any(self._accepts(value) for value in values if value)

    def _accepts(self, name: str) -> bool:
        alphabetic, ideographic, phonetic = name_groups(name)
        forms = (alphabetic, name_in_latin(name))
        if self.sounds and self._sounds_like(forms[1] or alphabetic):
            return True
        if self.anywhere:
            return _fit(self.first, (*forms, ideographic, phonetic))
        asked = ((self.first, forms), (self.groups[1:2], (ideographic,)), (self.groups[2:], (phonetic,)))
        return all(_fit(patterns, stored) for patterns, stored in asked if patterns[0])

    def _sounds_like(self, form: str) -> bool:
        codes = frozenset((sounds_of(form) or "").split())
        return all(not word.isdisjoint(codes) for word in self.sounds)


def _fit(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    return any(text and matches(pattern, text) for pattern in patterns for text in texts)


@dataclass(frozen=True, slots=True)
class Within:
    """Range matching, and single values of dates and times; None: open. span: reads a stored value."""

    low: Span | None
    high: Span | None
    span: Callable[[str], Span | None]

    def accepts(self, values: Sequence[str]) -> bool:
        return any(span is not None and self._accepts(span) for span in map(self.span, values))

    def _accepts(self, stored: Span) -> bool:
        """A stored value of less precision counts as its first moment."""
        return _from(self.low, stored) and _until(stored, self.high)


@dataclass(frozen=True, slots=True)
class Numeric:
    """Numbers, however written: 007 is 7. read: a stored one."""

    numbers: frozenset[float]
    read: Callable[[str], float | None]

    def accepts(self, values: Sequence[str]) -> bool:
        return any(self.read(value) in self.numbers for value in values)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Multiple value matching: a key of several values."""

    criteria: tuple[Criterion, ...]

    def accepts(self, values: Sequence[str]) -> bool:
        return any(criterion.accepts(values) for criterion in self.criteria)


def number_of(text: str) -> float | None:
    """The number that an IS or DS says (PS3.5 6.2), None where it says none, or one beyond all measure."""
    if _NUMBER.fullmatch(text[:64]) is None:
        return None
    number = float(text[:64])
    return number if isfinite(number) else None


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches: * is any run of letters, ? is one letter. Never takes exponential time."""
    first, *rest = pattern.split("*")
    if not rest:
        return len(first) == len(text) and _fits(first, text, 0)
    *middle, last = rest
    end = len(text) - len(last)
    if end < len(first) or not _fits(first, text, 0) or not _fits(last, text, end):
        return False
    at = len(first)
    for part in middle:
        at = _found(part, text, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _found(part: str, text: str, begin: int, end: int) -> int:
    """Where the part first fits between `begin` and `end`; -1: nowhere."""
    if "?" not in part:
        return text.find(part, begin, end)
    return next((at for at in range(begin, end - len(part) + 1) if _fits(part, text, at)), -1)


def _fits(part: str, text: str, at: int) -> bool:
    if "?" not in part:
        return text.startswith(part, at)
    return len(text) - at >= len(part) and all(a in ("?", b) for a, b in zip(part, text[at:at + len(part)]))


def _from(low: Span | None, stored: Span) -> bool:
    if low is None:
        return True
    low, stored = _comparable(low, stored)
    return low.low <= stored.low


def _until(stored: Span, high: Span | None) -> bool:
    if high is None:
        return True
    stored, high = _comparable(stored, high)
    return stored.low <= high.high


def _comparable(one: Span, other: Span) -> tuple[Span, Span]:
    if one.offset is None or other.offset is None:
        return one, other
    return one.at_utc(), other.at_utc()
