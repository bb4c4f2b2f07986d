"""How the figures of queries are printed."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.bench.finds import EMPTY, PAUSES, FindFigures, Findings, StoreFigures
from tests.bench.questions import KINDS
from tests.bench.sender import LoadFailed
from tests.bench.table import aligned

FIND_HEADINGS = ("question", "server", "studies", "matches", "p50 ms", "p95 ms", "p99 ms", "1st ms", "found/s", "MB",
                 "ours is")
STORE_HEADINGS = ("small objects, 1 association", "server", "studies", "stored/s", "of empty", "asked p50")
WIDTHS, LEFT = (34, 10, 8, 8, 9, 9, 9, 9, 9, 7, 9), {0, 1}


def rows(first: Findings, *others: Findings) -> Iterator[str]:
    """The tables of some servers beside each other; `ours is` so many times as fast: the first one."""
    servers = [first, *others]
    yield _line(FIND_HEADINGS)
    for kind, says in KINDS.items():
        for one in servers:
            yield _row(says if one is first else "", one, one.finds[kind],
                       lambda found: _found(found, first.finds[kind]))
    yield ""
    yield _line(STORE_HEADINGS)
    for says in (EMPTY, *PAUSES):
        for one in servers:
            yield _row(says if one is first else "", one, one.stores[says], lambda stored: _stored(stored, one))
    yield ""
    for one in servers:
        if one.start is not None:
            yield f"start to 1st echo, {one.server}, {one.studies} studies: {one.start:.2f} s"
    yield ""


def _row(says: str, findings: Findings, result, cells) -> str:
    begin = [says, findings.server, str(findings.studies)]
    if isinstance(result, LoadFailed):
        return _line([*begin, "FAILED"]) + f"  {result}"
    return _line([*begin, *cells(result)])


def _found(found: FindFigures, of_first: FindFigures | LoadFailed) -> list[str]:
    ratio = "" if found is of_first or isinstance(of_first, LoadFailed) else f"{found.p50 / of_first.p50:.2f} x"
    return [str(found.matches), *map(_milliseconds, (found.p50, found.p95, found.p99, found.first)),
            f"{found.rate:.0f}", f"{found.memory / 1e6:.1f}", ratio]


def _stored(stored: StoreFigures, findings: Findings) -> list[str]:
    empty = findings.stores[EMPTY]
    share = "" if stored is empty or isinstance(empty, LoadFailed) else f"{100 * stored.rate / empty.rate:.0f} %"
    return [f"{stored.rate:.0f}", share, f"{_milliseconds(stored.asked)} ms" if stored.asked else ""]


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"


def _line(cells: Sequence[str]) -> str:
    return aligned(cells, WIDTHS, LEFT)
