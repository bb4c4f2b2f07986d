"""The conditions that no column answers, decided row by row from the packed attributes."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dicomserver.index.search.query import Condition, Elements, ItemCondition, Moment, packed_column
from dicomserver.index.search.times import date_span, time_span
from dicomserver.standard.attributes import Level
from dicomserver.wire.packed import unpack

Row = tuple
Test = Callable[[Callable[[Level], Elements]], bool]


def remainder(conditions: Iterable[Condition | Moment | ItemCondition]) -> Callable[[Row], bool] | None:
    """Whether a row meets all of them; None where there are none."""
    tests = [_test(condition) for condition in conditions]
    if not tests:
        return None

    def meets(row: Row) -> bool:
        unpacked: dict[Level, Elements] = {}

        def of(level: Level) -> Elements:
            if level not in unpacked:
                column = packed_column(level)
                unpacked[level] = Elements(unpack(row[column + 1]), row[column])
            return unpacked[level]
        return all(test(of) for test in tests)
    return meets


def _test(condition: Condition | Moment | ItemCondition) -> Test:
    if isinstance(condition, Moment):
        date, time, criterion = condition.date, condition.time, condition.criterion
        return lambda of: criterion.accepts(
            _moments(of(date.level).values(date.tag), of(time.level).values(time.tag)))
    if isinstance(condition, ItemCondition):
        return _test_of_items(condition)
    attribute, criterion = condition.attribute, condition.criterion
    return lambda of: criterion.accepts(of(attribute.level).values(attribute.tag))


def _test_of_items(condition: ItemCondition) -> Test:
    conditions = condition.conditions
    level, sequence = conditions[0].attribute.level, conditions[0].attribute.sequence

    def test(of: Callable[[Level], Elements]) -> bool:
        elements = of(level)
        return any(all(one.criterion.accepts(elements.values(one.attribute.tag, sequence, item)) for one in conditions)
                   for item in elements.items(sequence))
    return test


def _moments(dates: Sequence[str], times: Sequence[str]) -> list[str]:
    """The one value that the two make; none where either is missing or unreadable."""
    day = date_span(dates[0]) if dates else None
    time = time_span(times[0]) if times else None
    return [day.low + time.low] if day and time else []
