"""Matches of a query as a table, CSV, JSON or one line each; every one of them can show any letter of any script."""

from __future__ import annotations

import csv
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TextIO

from dicomserver.config.problems import printable
from dicomserver.scu.query import Match

_WIDEST = 40                    # columns of one field in a table; what is longer is cut


class Column(NamedTuple):
    """One attribute of the output. heading: in a table, "" where it has no place there."""

    keyword: str
    tag: int
    vr: str
    heading: str
    is_list: bool               # one of several values, in JSON always a list


Writer = Callable[[Iterable[Match], Sequence[Column], TextIO], int]


def write_table(matches: Iterable[Match], columns: Sequence[Column], out: TextIO) -> int:
    """Columns as wide as their contents; -> how many matches. What disturbs a terminal is escaped. UIDs are whole."""
    shown = [column for column in columns if column.heading]
    rows = [[_cell(match, column) for column in shown] for match in matches]
    headings = [column.heading for column in shown]
    widths = [max(map(_width, cells)) for cells in zip(headings, *rows)]
    for row in (headings, ["-" * width for width in widths], *rows) if rows else ():
        print("  ".join(_padded(cell, width) for cell, width in zip(row, widths)).rstrip(), file=out)
    return len(rows)


def write_compact(matches: Iterable[Match], columns: Sequence[Column], out: TextIO) -> int:
    """One line each, the fields of the table between " | "."""
    count = 0
    for match in matches:
        print(" | ".join(printable(text(match, column)) for column in columns if column.heading), file=out, flush=True)
        count += 1
    return count


def write_csv(matches: Iterable[Match], columns: Sequence[Column], out: TextIO) -> int:
    """RFC 4180 with a header line of keywords; several values are separated by backslashes, as in DICOM."""
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow([column.keyword for column in columns])
    count = 0
    for match in matches:
        rows.writerow([text(match, column) for column in columns])
        count += 1
    return count


def write_json(matches: Iterable[Match], columns: Sequence[Column], out: TextIO) -> int:
    """An array of objects with DICOM's keywords, one line each, so that it can be read while it grows. A number is a
    number, several values are a list, what is absent or empty is null. The array is closed even if the query fails."""
    # An encoding that lacks letters gets JSON's own escapes.
    escape = (out.encoding or "").lower().replace("-", "") != "utf8"
    count = 0
    out.write("[")
    try:
        for match in matches:
            one = {column.keyword: _value(match, column) for column in columns}
            out.write(f"{',' if count else ''}\n  {json.dumps(one, ensure_ascii=escape)}")
            count += 1
    finally:
        out.write("\n]\n" if count else "]\n")
    return count


FORMATS: dict[str, Writer] = {
    "table": write_table, "json": write_json, "csv": write_csv, "compact": write_compact}


def text(match: Match, column: Column) -> str:
    """The value of a column, "" where there is none."""
    return str(match[column.tag]) if column.tag in match else ""


def _cell(match: Match, column: Column) -> str:
    whole = printable(text(match, column))
    if column.vr == "UI" or _width(whole) <= _WIDEST:
        return whole
    cut = whole
    while _width(cut) >= _WIDEST:
        cut = cut[:-1]
    return cut + "…" if _can_write("…") else cut


def _can_write(letter: str) -> bool:
    try:
        letter.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _value(match: Match, column: Column) -> object:
    if column.is_list:
        return list(match[column.tag].values) if column.tag in match else []
    whole = text(match, column)
    if column.vr == "IS":
        try:
            return int(whole)
        except ValueError:
            return whole or None
    return whole or None


def _width(letters: str) -> int:
    """Columns of a terminal: East Asian letters take two, marks none."""
    return sum(0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
               for letter in letters)


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))
