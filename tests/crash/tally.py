"""What the ladder has tried, as the table of docs/RELIABILITY.md; `make crash` prints it at its end."""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable

SEED = int(os.environ.get("CRASH_SEED", "1"))
STATES = int(os.environ.get("CRASH_STATES", "100"))     # disks under each set of rules
IS_LONG = "CRASH_STATES" in os.environ

# The rows, and what stands in their last column where nothing went wrong.
NONE_BROKEN, ALL_CAUGHT = "violations: none", "caught: all"
ROWS = {
    "disks after a power cut, POSIX": NONE_BROKEN,
    "disks after a power cut, ext4": NONE_BROKEN,
    "- around a checkpoint of the index, both": NONE_BROKEN,
    "- in the midst of the recovery from a power cut, both": NONE_BROKEN,
    "- with two complete slots of one SOP Instance UID, both": NONE_BROKEN,
    "- while a person decides a conflict, both": NONE_BROKEN,
    "- into the trash and out of it, both": NONE_BROKEN,
    "rules of order, over each trace": NONE_BROKEN,
    "SIGKILLs in a storm of four associations": NONE_BROKEN,
    "deaths at a chosen system call": NONE_BROKEN,
    "faults injected into the running server": NONE_BROKEN,
    "toy servers with one mistake each": ALL_CAUGHT,
    "kinds of syncs taken out of a trace": ALL_CAUGHT,
    "calls that sync taken out of the program": ALL_CAUGHT,
}


class Tally:
    """Of one test, which adds to it when it has looked, before it asserts. record: pytest's record_property."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def add(self, row: str, count: int, wrong: int = 0) -> None:
        """wrong: how many of them broke a promise, or were not caught."""
        assert row in ROWS
        self._record(row, (count, int(wrong)))


def table(properties: Iterable[tuple[str, object]]) -> list[str]:
    """In Markdown, of what tests have added; only the rows that have something."""
    counts: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for row, added in properties:
        if row in ROWS:
            counts[row] += added[0]
            wrong[row] += added[1]
    return ["| tried | count | outcome |", "|---|---|---|",
            *(f"| {row} | {counts[row]} | {_outcome(row, wrong[row])} |" for row in ROWS if row in counts)]


def _outcome(row: str, wrong: int) -> str:
    if not wrong:
        return ROWS[row]
    return f"violations: {wrong}" if ROWS[row] == NONE_BROKEN else f"caught: all but {wrong}"
