"""How SQLite says what the conditions of a query need. Another engine has a module with the same names.

Each gives SQL and its parameters; `column` is SQL of ours, never a peer's text.
"""
from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from dicomserver.index.text import beginning

Part = tuple[str, tuple]


def among(column: str, values: Collection[str | int]) -> Part:
    """The column has one of any number of values."""
    if len(values) == 1:
        return f"{column} = ?", tuple(values)
    return f"{column} IN (SELECT value FROM json_each(?))", (json.dumps(list(values)),)


def like(column: str, pattern: str) -> Part:
    """The column matches a pattern of DICOM's (* and ?), case and all; through an index as far as it begins with
    letters. GLOB does not backtrack where a pattern cannot match any more."""
    begin = beginning(pattern)
    glob = f"{column} GLOB ?", (pattern.replace("[", "[[]"),)
    if not begin:
        # Said twice, as SQLite looks into an index of what is not NULL for nothing less.
        return f"{column} IS NOT NULL AND {glob[0]}", glob[1]
    # Behind every text that begins so, as nothing begins with Unicode's last code point.
    between = f"{column} >= ? AND {column} < ?", (begin, begin + "\U0010FFFF")
    if pattern == begin + "*":
        return between
    return f"{between[0]} AND {glob[0]}", between[1] + glob[1]


def containing(column: str, pattern: str) -> Part | None:
    """A superset of the ids of the studies whose text matches the pattern somewhere, from the index of trigrams; None
    where the pattern has no three letters in a row. column: of study_texts."""
    trigrams = {run[at:at + 3] for part in pattern.split("*") for run in part.split("?")
                for at in range(len(run) - 2)}
    if not trigrams:
        return None
    terms = " AND ".join('"' + trigram.replace('"', '""') + '"' for trigram in sorted(trigrams)[:MOST_TRIGRAMS])
    return "SELECT rowid FROM study_texts WHERE study_texts MATCH ?", (f"{column} : ({terms})",)


def sounding(alias: str, table: str, column: str, words: Collection[Collection[str]]) -> Part:
    """The name has one of the codes (index/sounds.py) of each word. table: as in FROM, with the alias."""
    terms = " AND ".join("(" + " OR ".join(f'"{code}"' for code in sorted(codes)) + ")" for codes in words)
    sounds = f"{table.split()[0]}_sounds"
    return f"{alias}.id IN (SELECT rowid FROM {sounds} WHERE {sounds} MATCH ?)", (f"{column} : ({terms})",)


MOST_TRIGRAMS = 32      # more of them cost more than they sort out


def scanned(alias: str, table: str, columns: Sequence[str], pattern: str) -> Part:
    """One of the columns matches a pattern that no index looks up. Each has an index, which is read through instead of
    the table's wide rows: the first one's row by row, those of the others, in which few have a value, beforehand.
    table: as in FROM, with the alias."""
    if len(columns) == 1:
        return like(columns[0], pattern)
    (sql, values), *others = [like(aside + column, pattern)
                              for column, aside in zip(columns, [ASIDE] + [""] * len(columns))]
    union = " UNION ALL ".join(f"SELECT {alias}.id FROM {table} WHERE {other}" for other, _ in others)
    return f"({sql} OR {alias}.id IN ({union}))", values + tuple(one for _, more in others for one in more)


def rows_of(ids: Collection[int | str]) -> str:
    """The parameter for WITH_IDS: one text for any number of ids."""
    return json.dumps(list(ids))


VALUE = "?"      # the place of a parameter
ASIDE = "+"      # before a column in whose index nothing is to be looked up. SQLite has no idea what that may find
WITH_IDS = "IN (SELECT value FROM json_each(?))"
WITH_FOUND = "IN ({})"  # one of the ids that a statement finds
JOINED = "group_concat(v.text, '\\')"  # the values in the rows of v, joined as DICOM joins them
