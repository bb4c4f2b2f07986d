"""From one index to another, whichever their engines: every row as it is stored, under the same id.

A pass walks through all rows of both by their keys, a page at a time, and makes the target's equal to the source's. So
there is one way to copy, to go on where a copy was cut short, to catch up with a server that went on storing and
deleting, and to verify: a pass that found nothing to change has compared every value.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import NamedTuple, Protocol

from dicomserver.index.engine import Session, Value
from dicomserver.index.entry import Counts
from dicomserver.index.errors import IndexUnavailable, RowIsThere

PAGE_ROWS = 4000
_LOWEST, _HIGHEST = -1 << 63, (1 << 63) - 1


class Table(NamedTuple):
    """key: of whole numbers. about: the column by which what was removed and came again, under another key, is known.
    """

    name: str
    key: tuple[str, ...] = ("id",)
    about: str = ""


# What a row refers to comes before it. `state` is each index's own.
TABLES = (
    Table("labels", about="text"), Table("patients", about="patient_id"), Table("studies", about="uid"),
    Table("series", about="uid"), Table("instances", about="uid"), Table("tallies", ("series", "sop_class")),
    Table("integrity", ("instance",)), Table("other_patients", ("instance",)), Table("arrivals", ("day",)),
    Table("scrub"),
)
LEVELS = Counts._fields


class Source(Protocol):
    """An index of which rows are read, while another process may write to it. For one thread."""

    dialect: ModuleType
    session: Session
    identity: str

    def columns(self, table: str) -> Sequence[str]:
        """The names of a table's columns."""

    def close(self) -> None: ...


class Target(Source, Protocol):
    """An index that is filled, and that nobody else has open. Until `finish` it is unfinished, and no server starts on
    it; what was committed stays when it is closed, or the process dies."""

    origin: str | None      # the identity of the index of which it is a copy, or becomes one
    is_unfinished: bool

    def begin(self, origin: str) -> None:
        """It becomes a copy of that index, with an identity of its own: nothing is done by itself any more when rows
        change."""

    def begin_anew(self, origin: str) -> None:
        """The same with nothing in it, whatever there was."""

    def transaction(self) -> AbstractContextManager[None]:
        """A page's changes; not durable before `finish`."""

    def add(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Value, ...]]) -> None:
        """Many rows at once."""

    def prepare(self) -> None:
        """Makes what finding rows takes, once most of them are in. Takes its time for millions."""

    def finish(self) -> None:
        """It is an index like any other, complete and durable."""


class Passed(NamedTuple):
    """What a pass has found. changes: rows that were added to the target and removed from it."""

    counts: Counts
    changes: int


def begin_copy(target: Target, source: Source, *, replace: bool) -> None:
    """Begins the target, or goes on with it. Raises IndexUnavailable where it is not for us to fill: it has the rows of
    an index that is no copy of this source, and these are not to be replaced."""
    if target.identity == source.identity:
        raise IndexUnavailable("that is the index that is to be copied")
    instances = target.session.one("SELECT count(*) FROM instances")[0]
    if target.origin == source.identity or not (instances or target.is_unfinished):
        target.begin(source.identity)
    elif target.is_unfinished or replace:
        target.begin_anew(source.identity)
    else:
        raise IndexUnavailable(f"there is an index already, with {instances} instances, and it is no copy of this one; "
                               "with --replace all that it knows is lost")


def run_pass(source: Source, target: Target, progress: Callable[[int, int], None]) -> Passed:
    """Makes the target's rows equal to the source's as they are read. progress: rows read, and how many there may be;
    may raise to end the work. Raises IndexFault."""
    expected = sum(source.session.one(f"SELECT count(*) FROM {table.name}")[0] for table in TABLES)
    read = changes = 0
    rows_of = {}
    for table in TABLES:
        columns = _columns(table, source, target)
        rows_of[table.name] = 0
        for rows, changed in _walk(table, columns, source, target):
            read += rows
            rows_of[table.name] += rows
            changes += changed
            progress(read, max(read, expected))
    return Passed(Counts(*(rows_of[level] for level in LEVELS)), changes)


def _columns(table: Table, source: Source, target: Target) -> tuple[str, ...]:
    """Those of the key first. Both indexes are of this version of the program, so both have them."""
    names = set(source.columns(table.name))
    if not names or names != set(target.columns(table.name)):
        raise IndexUnavailable(f"the two indexes do not have the same columns in {table.name}")
    return *table.key, *sorted(names.difference(table.key))


def _walk(table: Table, columns: tuple[str, ...], source: Source, target: Target) -> Iterator[tuple[int, int]]:
    """For each page how many rows it has, and how many were changed."""
    width = len(table.key)
    page_of, rows_between = _page(table, columns, source.dialect), _between(table, columns, target.dialect)
    last = target.session.one(_last(table)) or (_LOWEST,) * width
    after, is_end = (_LOWEST,) * width, False
    while not is_end:
        wanted = source.session.rows(page_of, (*after, PAGE_ROWS))
        is_end = len(wanted) < PAGE_ROWS
        upto = (_HIGHEST,) * width if is_end else wanted[-1][:width]
        there = target.session.rows(rows_between, (*after, *upto)) if after < last else []
        changes = 0
        if wanted != there:
            changes = _adjust(table, columns, target, wanted, there)
        yield len(wanted), changes
        after = upto


def _adjust(table: Table, columns: tuple[str, ...], target: Target, wanted: list[tuple], there: list[tuple]) -> int:
    """Makes the target's rows `there` the wanted ones; how many it removed and added."""
    width = len(table.key)
    stale = {row[:width]: row for row in there}
    missing = []
    for row in wanted:
        if stale.get(row[:width]) == row:
            del stale[row[:width]]
        else:
            missing.append(row)
    try:
        with target.transaction():
            _remove(table, target, stale)
            target.add(table.name, columns, missing)
    except RowIsThere:
        # It came again while the server ran, and the target has it under its former key. What goes with it without
        # need, the next pass brings back.
        with target.transaction():
            _remove(table, target, stale)
            _clear(table, target, [row[columns.index(table.about)] for row in missing])
            target.add(table.name, columns, missing)
    return len(stale) + len(missing)


def _remove(table: Table, target: Target, keys: Collection[tuple]) -> None:
    _delete(table.name, table.key, target, keys)


def _clear(table: Table, target: Target, about: Collection[Value]) -> None:
    _delete(table.name, (table.about,), target, [(one,) for one in about if one is not None])


def _delete(table: str, columns: Sequence[str], target: Target, rows: Collection[tuple[Value, ...]]) -> None:
    if rows:
        where = " AND ".join(f"{column} = {target.dialect.VALUE}" for column in columns)
        target.session.run_each(f"DELETE FROM {table} WHERE {where}", list(rows))


def _page(table: Table, columns: Sequence[str], dialect: ModuleType) -> str:
    key, value = ", ".join(table.key), dialect.VALUE
    values = ", ".join([value] * len(table.key))
    return f"SELECT {', '.join(columns)} FROM {table.name} WHERE ({key}) > ({values}) ORDER BY {key} LIMIT {value}"


def _between(table: Table, columns: Sequence[str], dialect: ModuleType) -> str:
    key = ", ".join(table.key)
    values = ", ".join([dialect.VALUE] * len(table.key))
    return (f"SELECT {', '.join(columns)} FROM {table.name} WHERE ({key}) > ({values}) AND ({key}) <= ({values})"
            f" ORDER BY {key}")


def _last(table: Table) -> str:
    key = ", ".join(table.key)
    return f"SELECT {key} FROM {table.name} ORDER BY {', '.join(f'{column} DESC' for column in table.key)} LIMIT 1"
