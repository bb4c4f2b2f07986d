"""A query's conditions as SQL, as far as columns answer them exactly."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple

from dicomserver.index.search.columns import COUNTS, EXISTING, FROM, Column, Kind, column_of
from dicomserver.index.search.criteria import AnyOf, Criterion, Empty, Equal, Like, Name, Numeric, Within
from dicomserver.index.search.query import Condition, ItemCondition, Moment
from dicomserver.index.sounds import Words
from dicomserver.standard.attributes import Level

STUDY_DATE = 0x00080020
_FIRST, _SECOND, _THIRD = ("folded", "latin"), ("ideographic",), ("phonetic",)     # a name's columns, by its groups


class Fragment(NamedTuple):
    """A condition, its parameters, and the table that it is about."""

    sql: str
    values: tuple
    table: str


def fragment_of(condition: Condition | Moment | ItemCondition, level: Level, dialect: ModuleType,
                aside: str = "") -> Fragment | None:
    """The condition in SQL, neither more nor less; None where no column answers it.

    aside: the dialect's ASIDE where another condition finds the rows, so that this one need not look into an index."""
    if isinstance(condition, ItemCondition):
        return None
    if isinstance(condition, Moment):
        known = condition.date.tag == STUDY_DATE and level >= Level.STUDY
        return _of_moment(condition, dialect, aside) if known else None
    tag, criterion = condition.attribute.tag, condition.criterion
    if tag in EXISTING:
        return _of_existing(tag, criterion, dialect)
    if tag in COUNTS:
        table, expression = COUNTS[tag]
        return _placed(_of_integer(expression, criterion, dialect), table)
    column = column_of(tag, level)
    if column is None:
        return None
    return _placed(_of_column(column._replace(aside=aside), criterion, dialect), column.table)


def _placed(part: tuple[str, tuple] | None, table: str) -> Fragment | None:
    return None if part is None else Fragment(*part, table)


def _of_column(column: Column, criterion: Criterion, dialect: ModuleType) -> tuple[str, tuple] | None:
    if isinstance(criterion, AnyOf):
        return _either([_of_column(column, one, dialect) for one in criterion.criteria])
    if isinstance(criterion, Empty):
        return f"{column.sql} {column.empty}", ()
    return _BY_KIND[column.kind](column, criterion, dialect)


def _either(parts: Sequence[tuple[str, tuple] | None]) -> tuple[str, tuple] | None:
    if None in parts:
        return None
    return _joined([sql for sql, _ in parts]), tuple(value for _, values in parts for value in values)


def _joined(conditions: Sequence[str]) -> str:
    """By OR, in halves: SQLite takes no expression that is more than a thousand deep."""
    if len(conditions) == 1:
        return f"({conditions[0]})"
    half = len(conditions) // 2
    return f"({_joined(conditions[:half])} OR {_joined(conditions[half:])})"


def _text(column: Column, criterion: Criterion, dialect: ModuleType) -> tuple[str, tuple] | None:
    if isinstance(criterion, Equal):
        return dialect.among(column.sql, criterion.texts)
    if not isinstance(criterion, Like):
        return None
    sql, values = dialect.like(column.sql, criterion.pattern)
    in_order = column.indexed and criterion.pattern[0] not in "*?"
    found = None if in_order else _by_trigrams(column, criterion.pattern, dialect)
    return f"({found[0]}{sql})" if found else f"({sql})", (found[1] if found else ()) + values


def _by_trigrams(column: Column, pattern: str, dialect: ModuleType) -> tuple[str, tuple] | None:
    """What finds a superset, to be followed by what sorts out; None: nothing does, or need to."""
    found = dialect.containing(column.trigrams, pattern) if column.trigrams and not column.aside else None
    return None if found is None else (f"{column.table}.id IN ({found[0]}) AND ", found[1])


def _label(column: Column, criterion: Criterion, dialect: ModuleType) -> tuple[str, tuple] | None:
    part = _text(Column(Kind.TEXT, "l", "text"), criterion, dialect)
    return None if part is None else (f"{column.sql} IN (SELECT l.id FROM labels l WHERE {part[0]})", part[1])


def _date_or_time(column: Column, criterion: Criterion, dialect: ModuleType) -> tuple[str, tuple] | None:
    if not isinstance(criterion, Within):
        return None
    ends = [(f"{column.sql} >= {dialect.VALUE}", criterion.low and criterion.low.low),
            (f"{column.sql} <= {dialect.VALUE}", criterion.high and criterion.high.high)]
    there = [(sql, value) for sql, value in ends if value is not None]
    return "(" + " AND ".join(sql for sql, _ in there) + ")", tuple(value for _, value in there)


def _integer(column: Column, criterion: Criterion, dialect: ModuleType) -> tuple[str, tuple] | None:
    return _of_integer(column.sql, criterion, dialect)


def _of_integer(expression: str, criterion: Criterion, dialect: ModuleType) -> tuple[str, tuple] | None:
    if isinstance(criterion, Empty):
        return f"{expression} IS NULL", ()
    if not isinstance(criterion, Numeric):
        return None
    # Others are no 32-bit integer, as IS values are.
    whole = [int(number) for number in criterion.numbers if -(2**31) <= number < 2**31 and number == int(number)]
    return dialect.among(expression, whole) if whole else ("0 = 1", ())


def _name(column: Column, criterion: Criterion, dialect: ModuleType) -> tuple[str, tuple] | None:
    if not isinstance(criterion, Name):
        return None
    if criterion.anywhere:
        return _of_forms(column, criterion.first, _FIRST + _SECOND + _THIRD, criterion.sounds, dialect)
    asked = ((criterion.first, _FIRST, criterion.sounds), (criterion.groups[1:2], _SECOND, ()),
             (criterion.groups[2:], _THIRD, ()))
    parts = [_of_forms(column, patterns, forms, sounds, dialect) for patterns, forms, sounds in asked if patterns[0]]
    return " AND ".join(sql for sql, _ in parts) or "1 = 1", tuple(value for _, values in parts for value in values)


def _of_forms(column: Column, patterns: Sequence[str], forms: Sequence[str], sounds: Words,
              dialect: ModuleType) -> tuple[str, tuple]:
    """One of these forms of the name matches one of the patterns, or all sounds are in it."""
    parts = [_of_pattern(column, pattern, forms, dialect) for pattern in patterns]
    if sounds:
        parts.append(dialect.sounding(column.table, FROM[column.table], column.name, sounds))
    return _either(parts) if len(parts) > 1 else parts[0]


def _of_pattern(column: Column, pattern: str, forms: Sequence[str], dialect: ModuleType) -> tuple[str, tuple]:
    columns = [f"{column.sql}_{form}" for form in forms]
    exact = "*" not in pattern and "?" not in pattern
    compare: Callable = (lambda sql, text: dialect.among(sql, (text,))) if exact else dialect.like
    sql, values = _either([compare(one, pattern) for one in columns])
    if pattern[0] not in "*?" or column.aside:
        return sql, values
    found = _by_trigrams(column, pattern, dialect)
    if found is None:
        return dialect.scanned(column.table, FROM[column.table], columns, pattern)
    return f"({found[0]}{sql})", found[1] + values


def _of_existing(tag: int, criterion: Criterion, dialect: ModuleType) -> Fragment | None:
    rows, column = EXISTING[tag]
    if isinstance(criterion, Empty):
        return Fragment(f"NOT EXISTS (SELECT 1 {rows} AND {column.sql} IS NOT NULL)", (), "t")
    part = _of_column(column, criterion, dialect)
    return None if part is None else Fragment(f"EXISTS (SELECT 1 {rows} AND {part[0]})", part[1], "t")


def _of_moment(moment: Moment, dialect: ModuleType, aside: str) -> Fragment:
    low, high = moment.criterion.low, moment.criterion.high
    both = "t.study_date || t.study_time"
    parts, values = [], []
    # The date alone too: that one has an index.
    for sign, end in ((">=", low and low.low), ("<=", high and high.high)):
        if end is not None:
            parts += [f"{aside}t.study_date {sign} {dialect.VALUE}", f"{both} {sign} {dialect.VALUE}"]
            values += [end[:8], end]
    return Fragment("(" + " AND ".join(parts) + ")", tuple(values), "t")


_BY_KIND: dict[Kind, Callable[[Column, Criterion, ModuleType], tuple[str, tuple] | None]] = {
    Kind.TEXT: _text, Kind.UID: _text, Kind.LABEL: _label, Kind.NAME: _name, Kind.DATE: _date_or_time,
    Kind.TIME: _date_or_time, Kind.INTEGER: _integer}
