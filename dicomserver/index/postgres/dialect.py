"""How PostgreSQL says what the conditions of a query need; the same names as in sqlite/dialect.py."""
from __future__ import annotations

from collections.abc import Collection, Sequence

from dicomserver.index.text import beginning

Part = tuple[str, tuple]

_LITERALLY = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%", "?": "_"})


def among(column: str, values: Collection[str | int]) -> Part:
    """The column has one of any number of values."""
    there = rows_of(values)
    if len(there) == 1:
        # Of one value PostgreSQL knows beforehand how many rows it has, so it keeps the plan: half of the time.
        return f"{column} = %s", tuple(there)
    return f"{column} = ANY(%s)", (there,)


def like(column: str, pattern: str) -> Part:
    """The column matches a pattern of DICOM's (* and ?), case and all; through an index as far as it begins with
    letters, or by its trigrams."""
    if "\0" in pattern:
        return "1 = 0", ()      # no text of PostgreSQL's has it
    begin = beginning(pattern)
    matching = f"{column} LIKE %s", (pattern.translate(_LITERALLY),)
    if not begin:
        # Said twice, for the sake of indexes of what is not NULL.
        return f"{column} IS NOT NULL AND {matching[0]}", matching[1]
    # Behind every text that begins so, as nothing begins with Unicode's last code point.
    between = f"{column} >= %s AND {column} < %s", (begin, begin + "\U0010FFFF")
    if pattern == begin + "*":
        return between
    return f"{between[0]} AND {matching[0]}", between[1] + matching[1]


def containing(_column: str, _pattern: str) -> Part | None:
    """None: the index of trigrams serves LIKE itself."""
    return None


def sounding(alias: str, _table: str, column: str, words: Collection[Collection[str]]) -> Part:
    """The name has one of the codes (index/sounds.py) of each word."""
    tests = " AND ".join([f"string_to_array({alias}.{column}_sounds, ' ') && %s"] * len(words))
    return tests, tuple(map(sorted, words))


def scanned(_alias: str, _table: str, columns: Sequence[str], pattern: str) -> Part:
    """One of the columns matches a pattern."""
    parts = [like(column, pattern) for column in columns]
    return "(" + " OR ".join(f"({sql})" for sql, _ in parts) + ")", tuple(one for _, values in parts for one in values)


def rows_of(ids: Collection[int | str]) -> list[int] | list[str]:
    """The parameter for WITH_IDS: an array. No text of PostgreSQL's has a NUL, so what has one is not there."""
    return [one for one in ids if not isinstance(one, str) or "\0" not in one]


VALUE = "%s"    # the place of a parameter
ASIDE = ""      # PostgreSQL has statistics: which index is used is its own choice
WITH_IDS = "= ANY(%s)"
WITH_FOUND = "= ANY(ARRAY({}))"     # one of the ids that a statement finds: an index scan, whatever is thought of it
JOINED = "string_agg(v.text, '\\' ORDER BY v.text)"  # the values in the rows of v, joined as DICOM joins them
