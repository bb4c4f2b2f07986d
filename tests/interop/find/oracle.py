"""The small independent matcher: which entities a C-FIND must find among stored datasets, and with which statuses.

Written from PS3.4 C.2, C.4.1 and C.6 over pydicom's datasets, without regard to speed, with nothing of the product.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from tests.interop.find.elements import Element, elements_of
from tests.interop.find.entities import (
    CHARACTER_SET, COUNTS, GATHERED, LEVEL, LEVELS, UNIQUE_KEYS, Entity, Instance, entities,
)
from tests.interop.find.values import (
    EMPTY_VALUE, Unreadable, is_range, is_universal, is_within_both, matcher, range_of,
)

PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_STUDY_ONLY = "1.2.840.10008.5.1.4.1.2.3.1"
MODELS = {PATIENT_ROOT: ("PATIENT", "STUDY", "SERIES", "IMAGE"), STUDY_ROOT: ("STUDY", "SERIES", "IMAGE"),
          PATIENT_STUDY_ONLY: ("PATIENT", "STUDY")}

SUCCESS, PENDING, PENDING_UNSUPPORTED = 0x0000, 0xFF00, 0xFF01
IDENTIFIER_MISMATCH, CANNOT_UNDERSTAND = 0xA900, 0xC000

# Of every response, whether asked for or not: Retrieve AE Title, Instance Availability; never matched here.
ALWAYS = {LEVEL, CHARACTER_SET, 0x00080054, 0x00080056}
# What the index keeps: (sequence or 0, tag) -> number of the level.
Kept = Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class Expected:
    """status: the final one. pending: that of each match. found: the entities, each as the values of unique keys."""

    status: int
    pending: int = PENDING
    found: frozenset[tuple[str, ...]] = frozenset()


class Refused(Exception):
    """A query that has a failure status for an answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04X}H")
        self.status = status


Test = Callable[[Entity], bool]


class Oracle:
    """Knows what is stored, in the order in which it came: of each entity the first instance speaks."""

    def __init__(self, stored: Iterable[Dataset], kept: Kept) -> None:
        self._kept = kept
        self._levels = {sequence or tag: level for (sequence, tag), level in kept.items()}
        self._levels |= {tag: level for tag, (level, _) in (COUNTS | GATHERED).items()}
        self._entities = entities([Instance(dataset) for dataset in stored])

    def ask(self, model: str, level: str, query: Dataset, *, relational: bool = False,
            combined: bool = False) -> Expected:
        """level: as the query says it, or not. The query has all the other keys."""
        try:
            keys = elements_of(query)
            _check_hierarchy(model, level, keys, relational)
            number = LEVELS.index(level)
            keys = [key for key in keys if key.tag not in ALWAYS]
            supported = [key for key in keys if self._levels.get(key.tag, len(LEVELS)) <= number]
            tests = self._tests(supported, combined)
        except Unreadable:
            return Expected(CANNOT_UNDERSTAND)
        except Refused as refused:
            return Expected(refused.status)
        whole = len(supported) == len(keys) and all(map(self._is_whole, keys))
        found = (entity.identity for entity in self._entities[number] if all(test(entity) for test in tests))
        return Expected(SUCCESS, PENDING if whole else PENDING_UNSUPPORTED, frozenset(found))

    def _tests(self, keys: Sequence[Element], combined: bool) -> list[Test]:
        pairs = _pairs(keys) if combined else []
        return [self._test_of_pair(day, time) for day, time in pairs] + [
            self._test_of_sequence(key) if key.vr == "SQ" else self._test(key)
            for key in keys if not any(key in pair for pair in pairs)]

    def _test(self, key: Element) -> Test:
        judge, level = matcher(key.vr, key.text), self._levels[key.tag]
        return lambda entity: judge(entity.values(key.tag, level))

    def _test_of_pair(self, day: Element, time: Element) -> Test:
        days, times = range_of("DA", day.text), range_of("TM", time.text)
        level = self._levels[day.tag]
        return lambda entity: is_within_both(entity.first(day.tag, level), entity.first(time.tag, level), days, times)

    def _test_of_sequence(self, key: Element) -> Test:
        """Every key of the one item within one and the same stored item (PS3.4 C.2.2.2.6)."""
        if len(key.items) > 1:
            raise Refused(IDENTIFIER_MISMATCH)
        asked = [inner for item in key.items for inner in item if (key.tag, inner.tag) in self._kept]
        judges = [(inner.tag, matcher(inner.vr, inner.text)) for inner in asked]
        if all(is_universal(inner.vr, inner.text) for inner in asked):
            return lambda entity: True
        return lambda entity: any(all(judge(_values(item, tag)) for tag, judge in judges)
                                  for item in entity.items(key.tag, self._levels[key.tag]))

    def _is_whole(self, key: Element) -> bool:
        """Whether every attribute inside a sequence key is kept, too."""
        return all((key.tag, inner.tag) in self._kept for item in key.items for inner in item)


# -- the query -----------------------------------------------------------------------------------------------------

def _check_hierarchy(model: str, level: str, keys: Sequence[Element], relational: bool) -> None:
    """Exactly one value for the unique key of each level above (PS3.4 C.4.1.2.1, C.4.1.3.1)."""
    levels = MODELS[model]
    if level not in levels:
        raise Refused(IDENTIFIER_MISMATCH)
    if relational:
        return
    asked = {key.tag: key.text for key in keys}
    for above in levels[:levels.index(level)]:
        value = asked.get(UNIQUE_KEYS[above], "")
        if not value or set(value) & set("\\*?"):
            raise Refused(IDENTIFIER_MISMATCH)


def _pairs(keys: Sequence[Element]) -> list[tuple[Element, Element]]:
    """A date and its time that are both ranges."""
    by_name = {key.keyword: key for key in keys if key.vr in ("DA", "TM")}
    pairs = [(key, by_name[name.replace("Date", "Time")]) for name, key in by_name.items()
             if key.vr == "DA" and name.replace("Date", "Time") in by_name]
    return [(day, time) for day, time in pairs if _asks_for_a_range(day) and _asks_for_a_range(time)]


def _asks_for_a_range(key: Element) -> bool:
    return not is_universal(key.vr, key.text) and key.text != EMPTY_VALUE and is_range(key.vr, key.text)


def _values(item: Sequence[Element], tag: int) -> Sequence[str]:
    return next((element.values for element in item if element.tag == tag), ())
