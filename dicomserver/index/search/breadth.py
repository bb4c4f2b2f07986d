"""Which condition of a query is thought to find the fewest: the others then only sort out what it has found.

SQLite keeps no statistics unless it is told to read all of its tables, and a plan that rests on them may be another one
tomorrow. What people ask for is much the same everywhere, and a guess in powers of ten will do.
"""
from __future__ import annotations

from datetime import date

from dicomserver.index.search.columns import Kind, column_of
from dicomserver.index.search.conditions import STUDY_DATE
from dicomserver.index.search.criteria import AnyOf, Criterion, Equal, Like, Name, Within
from dicomserver.index.search.query import Condition, ItemCondition, Moment, Query
from dicomserver.index.search.times import Span
from dicomserver.index.text import beginning
from dicomserver.standard.attributes import Level

ONE = 1e-6              # the share of a value that only one has
MOST_LETTERS = 6        # of a name; more don't make it rarer
ALIKE = 3               # so many letters of an identifier say as much as one of a name: many begin with a year, or 000
SOUNDS = 0.01           # of names that sound alike
DAYS = 3650             # of an archive's dates; of birth more, but who asks for one asks for few
OPEN = 0.5              # a date without a beginning, or an end
ALL = 1.0               # what no index finds


def narrowest(query: Query) -> Condition | Moment | ItemCondition | None:
    """None: no index finds anything, or there is nothing to choose from."""
    if len(query.conditions) < 2:
        return None
    # Of two that seem alike the one of the lower level, whose entities are more.
    shares = [(share_of(condition, query.level), -_level(condition), number)
              for number, condition in enumerate(query.conditions)]
    share, _, number = min(shares)
    return None if share >= ALL else query.conditions[number]


def share_of(condition: Condition | Moment | ItemCondition, level: Level) -> float:
    """What part of all entities that have the attribute an index finds for the condition, very roughly."""
    if isinstance(condition, ItemCondition):
        return ALL
    if isinstance(condition, Moment):
        known = condition.date.tag == STUDY_DATE and level >= Level.STUDY
        return _of_days(condition.criterion) if known else ALL
    column = column_of(condition.attribute.tag, level)
    if column is None or not (column.indexed or column.trigrams):
        return ALL
    return min(ALL, _of(condition.criterion, column.kind, column.indexed, bool(column.trigrams)))


def _of(criterion: Criterion, kind: Kind, indexed: bool, trigrams: bool) -> float:
    if isinstance(criterion, AnyOf):
        return sum(_of(one, kind, indexed, trigrams) for one in criterion.criteria)
    if isinstance(criterion, Equal):
        return ONE * len(criterion.texts) if indexed else ALL
    if isinstance(criterion, Like):
        return _of_pattern(criterion.pattern, indexed, trigrams, ALIKE)
    if isinstance(criterion, Name):
        share = min(_of_pattern(pattern, indexed, trigrams, 1) for pattern in criterion.groups if pattern)
        return max(share, SOUNDS) if criterion.sounds else share
    return _of_days(criterion) if isinstance(criterion, Within) and kind is Kind.DATE else ALL


def _of_pattern(pattern: str, indexed: bool, trigrams: bool, alike: int) -> float:
    if indexed and (begin := beginning(pattern)):
        return 10.0 ** -min(len(begin) / alike, MOST_LETTERS)
    letters = max(map(len, pattern.replace("?", "*").split("*")))
    # In the middle a text is found more often, and after more looking.
    return 10.0 ** (1 - min(letters, MOST_LETTERS)) if trigrams and letters >= 3 else ALL


def _of_days(criterion: Within) -> float:
    if criterion.low is None or criterion.high is None:
        return OPEN
    return max(1, (_day(criterion.high) - _day(criterion.low)).days + 1) / DAYS


def _day(span: Span) -> date:
    """Of a date, or of a date with a time behind it."""
    return date(int(span.low[:4]), int(span.low[4:6]), int(span.low[6:8]))


def _level(condition: Condition | Moment | ItemCondition) -> Level:
    if isinstance(condition, Moment):
        return condition.date.level
    return (condition.conditions[0] if isinstance(condition, ItemCondition) else condition).attribute.level
