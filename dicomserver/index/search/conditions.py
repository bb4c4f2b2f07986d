"""A query's conditions as SQL, as far as columns answer them exactly."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NamedTuple

from dicomserver.index.search.columns import COUNTS, EXISTING, Column, Kind, column_of
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


def fragment_of(condition: Condition | Moment | ItemCondition, level: Level, dialect: ModuleType) -> Fragment | None:
    """The condition in SQL, neither more nor less; None where no column answers it."""
    if isinstance(condition, ItemCondition):
        return None
    if isinstance(condition, Moment):
        return _of_moment(condition, dialect) if condition.date.tag == STUDY_DATE and level >= Level.STUDY else None
    tag, criterion = condition.attribute.tag, condition.criterion
    if tag in EXISTING:
        return _of_existing(tag, criterion, dialect)
    if tag in COUNTS:
        table, expression = COUNTS[tag]
        return _placed(_of_integer(expression, criterion, dialect), table)
    column = column_of(tag, level)
    return None if column is None else _placed(_of_column(column, criterion, dialect), column.table)


def _placed(part: tuple[str, tuple] | None, table: str) -> Fragment | None:
    return None if part is None else Fragment(*part, table)


def _of_column(column: Column, criterion: Criterion, dialect: ModuleType) -> tuple[str, tuple] | None:
    if isinstance(criterion, AnyOf):
        return _either([_of_column(column, one, dialect) for one in criterion.criteria])
    if isinstance(criterion, Empty):
        return f"{column.sql} {column.empty}", ()
    return _BY_KIND[column.kind](column, criterion, dialect)


def _either(parts: list[tuple[str, tuple] | None]) -> tuple[str, tuple] | None:
    if None in parts:
        return None
    sql = " OR ".join(f"({one})" for one, _ in parts)
    return f"({sql})", tuple(value for _, values in parts for value in values)


def _text(column: Column, criterion: Criterion, dialect: ModuleType) -> tuple[str, tuple] | None:
    if isinstance(criterion, Equal):
        return dialect.among(column.sql, criterion.texts)
    if not isinstance(criterion, Like):
        return None
    sql, values = dialect.like(column.sql, criterion.pattern)
    found = dialect.containing(column.trigrams, criterion.pattern) if column.trigrams else None
    if found is None or criterion.pattern[0] not in "*?":
        return f"({sql})", values
    return f"({column.table}.id IN ({found[0]}) AND {sql})", found[1] + values


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
    table = {"p": "patients", "t": "studies"}[column.table]
    conditions, searches = [], []
    for pattern in patterns:
        found = dialect.containing(column.trigrams, pattern) if column.trigrams and pattern[:1] in "*?" else None
        if found is not None:
            sql, values = _either([dialect.like(f"{column.sql}_{form}", pattern) for form in forms])
            conditions.append((f"{column.table}.id IN ({found[0]}) AND {sql}", found[1] + values))
            continue
        exact = "*" not in pattern and "?" not in pattern
        compare: Callable = (lambda sql, text: dialect.among(sql, (text,))) if exact else dialect.like
        for form in forms:
            sql, values = compare(f"{column.name}_{form}", pattern)
            searches.append((f"SELECT id FROM {table} WHERE {sql}", values))
    if sounds:
        searches.append(dialect.sounding(table, column.name, sounds))
    if searches:
        # One search in each form's own index; joined by OR, they would be none.
        union = " UNION ALL ".join(sql for sql, _ in searches)
        conditions.append((f"{column.table}.id IN ({union})", tuple(value for _, part in searches for value in part)))
    return _either(conditions)


def _of_existing(tag: int, criterion: Criterion, dialect: ModuleType) -> Fragment | None:
    rows, column = EXISTING[tag]
    if isinstance(criterion, Empty):
        return Fragment(f"NOT EXISTS (SELECT 1 {rows} AND {column.sql} IS NOT NULL)", (), "t")
    part = _of_column(column, criterion, dialect)
    return None if part is None else Fragment(f"EXISTS (SELECT 1 {rows} AND {part[0]})", part[1], "t")


def _of_moment(moment: Moment, dialect: ModuleType) -> Fragment:
    low, high = moment.criterion.low, moment.criterion.high
    both = "t.study_date || t.study_time"
    parts, values = [], []
    # The date alone too: that one has an index.
    for sign, end in ((">=", low and low.low), ("<=", high and high.high)):
        if end is not None:
            parts += [f"t.study_date {sign} {dialect.VALUE}", f"{both} {sign} {dialect.VALUE}"]
            values += [end[:8], end]
    return Fragment("(" + " AND ".join(parts) + ")", tuple(values), "t")


_BY_KIND: dict[Kind, Callable[[Column, Criterion, ModuleType], tuple[str, tuple] | None]] = {
    Kind.TEXT: _text, Kind.UID: _text, Kind.LABEL: _label, Kind.NAME: _name, Kind.DATE: _date_or_time,
    Kind.TIME: _date_or_time, Kind.INTEGER: _integer}
