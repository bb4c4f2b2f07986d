"""The statements of a query: the first rows; which entities there are; and the rows of some of them.

Apart, so that no reading transaction stays open while a slow peer takes its answers: ids are few bytes, even a million.
And most queries have few answers: those come with the first statement, so with one round trip to a database elsewhere.
"""
from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

from dicomserver.index.search.breadth import narrowest
from dicomserver.index.search.columns import COUNTS, FROM, TABLES, computed_sql
from dicomserver.index.search.conditions import fragment_of
from dicomserver.index.search.query import Query
from dicomserver.index.search.remainder import remainder
from dicomserver.standard.attributes import Level

_JOIN = {"p": "JOIN patients p ON p.id = t.patient", "t": "JOIN studies t ON t.id = s.study",
         "s": "JOIN series s ON s.id = i.series"}
_PACKED = {
    Level.PATIENT: ("t.character_set", "t.patient_attributes"),
    Level.STUDY: ("t.character_set", "t.attributes"),
    Level.SERIES: ("s.character_set", "s.attributes"),
    Level.INSTANCE: ("i.character_set", "i.attributes"),
}


FIRST_ROWS = 50  # few, so that they are soon there and no slow peer keeps them from being sent


class Selection(NamedTuple):
    """first: the rows of FIRST_ROWS entities, each with its id behind it. ids: those of all. values: the parameters of
    both. rows: of the entities whose ids are its parameter, as the dialect's rows_of gives it. meets: what a row must
    meet besides, or None."""

    first: str
    ids: str
    values: tuple
    rows: str
    meets: Callable[[tuple], bool] | None


def select(query: Query, dialect: ModuleType) -> Selection:
    """How to find what a query asks for."""
    fragments, rest = [], []
    finds = narrowest(query)
    for condition in query.conditions:
        aside = "" if finds is None or finds is condition else dialect.ASIDE
        fragment = fragment_of(condition, query.level, dialect, aside)
        if fragment is None:
            rest.append(condition)
        else:
            fragments.append(fragment)
    table = TABLES[query.level]
    where = " AND ".join(fragment.sql for fragment in fragments) or "1 = 1"
    asked = _tables(query.level, {fragment.table for fragment in fragments})
    shown = _tables(query.level, _shown(query))
    columns = _columns(query, dialect)
    ids = f"SELECT {table}.id FROM {asked} WHERE {where}"
    few = f"{where} LIMIT {FIRST_ROWS}"
    if shown != asked:  # apart, so that no row of another table is read before its turn
        few = f"{table}.id " + dialect.WITH_FOUND.format(f"{ids} LIMIT {FIRST_ROWS}")
    return Selection(f"SELECT {columns}, {table}.id FROM {shown} WHERE {few}",
                     ids, tuple(value for fragment in fragments for value in fragment.values),
                     f"SELECT {columns} FROM {shown} WHERE {table}.id {dialect.WITH_IDS}", remainder(rest))


def _shown(query: Query) -> set[str]:
    """The tables of what a row has. A study's own has its patient, too."""
    counted = {COUNTS[tag][0] for tag in query.computed if tag in COUNTS}
    return counted | {"p" if query.level is Level.PATIENT else "t"}


def _columns(query: Query, dialect: ModuleType) -> str:
    packed = dict(_PACKED)
    if query.level is Level.PATIENT:
        packed[Level.PATIENT] = ("p.character_set", "p.attributes")
    columns = [column for level in Level if level <= query.level for column in packed[level]]
    columns += [computed_sql(tag, dialect.JOINED) for tag in query.computed]
    return ", ".join(columns)


def _tables(level: Level, named: set[str]) -> str:
    """The level's own table, joined with those above as far as they are named."""
    tables = [TABLES[one] for one in reversed(Level) if one <= level]
    last = max((tables.index(table) for table in named), default=0)
    return " ".join([FROM[tables[0]], *(_JOIN[table] for table in tables[1:last + 1])])
