"""The two statements of a query: which entities, and what is known of some of them.

Two, so that no reading transaction stays open while a slow peer takes its answers: ids are few bytes, even a million.
"""
from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from dicomserver.index.search.columns import TABLES, computed_sql
from dicomserver.index.search.conditions import fragment_of
from dicomserver.index.search.query import Query
from dicomserver.index.search.remainder import remainder
from dicomserver.standard.attributes import Level

_FROM = {"p": "patients p", "t": "studies t", "s": "series s", "i": "instances i"}
_JOIN = {"p": "JOIN patients p ON p.id = t.patient", "t": "JOIN studies t ON t.id = s.study",
         "s": "JOIN series s ON s.id = i.series"}
_PACKED = {
    Level.PATIENT: ("CASE WHEN t.patient_attributes IS NULL THEN p.character_set ELSE t.character_set END",
                    "coalesce(t.patient_attributes, p.attributes)"),
    Level.STUDY: ("t.character_set", "t.attributes"),
    Level.SERIES: ("s.character_set", "s.attributes"),
    Level.INSTANCE: ("i.character_set", "i.attributes"),
}


class Selection(NamedTuple):
    """ids, values: the first statement and its parameters. rows: the second; its parameter is the dialect's rows_of.
    meets: what a row must meet besides, or None."""

    ids: str
    values: tuple
    rows: str
    meets: Callable[[tuple], bool] | None


def select(query: Query, dialect: ModuleType) -> Selection:
    """How to find what a query asks for."""
    fragments, rest = [], []
    for condition in query.conditions:
        fragment = fragment_of(condition, query.level, dialect)
        if fragment is None:
            rest.append(condition)
        else:
            fragments.append(fragment)
    table = TABLES[query.level]
    where = " AND ".join(fragment.sql for fragment in fragments) or "1 = 1"
    return Selection(
        f"SELECT {table}.id FROM {_tables(query.level, {fragment.table for fragment in fragments})} WHERE {where}",
        tuple(value for fragment in fragments for value in fragment.values),
        _rows(query, dialect), remainder(rest))


def _rows(query: Query, dialect: ModuleType) -> str:
    packed = dict(_PACKED)
    if query.level is Level.PATIENT:
        packed[Level.PATIENT] = ("p.character_set", "p.attributes")
    columns = [column for level in Level if level <= query.level for column in packed[level]]
    columns += [computed_sql(tag, dialect.JOINED) for tag in query.computed]
    return (f"SELECT {', '.join(columns)} FROM {_tables(query.level, {'p'})}"
            f" WHERE {TABLES[query.level]}.id {dialect.WITH_IDS}")


def _tables(level: Level, named: set[str]) -> str:
    """The level's own table, joined with those above as far as they are named."""
    tables = [TABLES[one] for one in reversed(Level) if one <= level]
    last = max((tables.index(table) for table in named), default=0)
    return " ".join([_FROM[tables[0]], *(_JOIN[table] for table in tables[1:last + 1])])
