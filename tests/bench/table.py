"""How the figures are printed."""
from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from tests.bench.loads import FILLED, Figures, Load
from tests.bench.sender import LoadFailed
from tests.bench.servers import ON_POSTGRES, ORTHANC, OURS

# Whom of ours a server is compared with; ours with PostgreSQL, too, with ours as it ships.
AGAINST = {ON_POSTGRES[ORTHANC]: ON_POSTGRES[OURS]}

Results = Mapping[str, Figures | LoadFailed]

HEADINGS = ("load", "server", "rate", "", "p50 ms", "p95 ms", "p99 ms", "MB", "ours is")
LEFT = {0, 1, 3}
WIDTHS = (32, 10, 8, 4, 9, 9, 9, 7, 9)


def heading() -> str:
    """The table's first line."""
    return _line(HEADINGS)


def rows(load: Load, results: Results) -> Iterable[str]:
    """A row for each server; `ours is` so many times as fast as that peer (idle: as small as that peer).

    A peer with PostgreSQL is compared with ours with PostgreSQL."""
    first = load.says
    for server, result in results.items():
        if isinstance(result, LoadFailed):
            yield _line((first, server, "FAILED")) + f"  {result}"
        elif not load.kind:
            yield _line((first, server, f"{result.start_seconds:.2f}", "s", "", "", "",
                         _megabytes(result.memory), _ratio(load, results, server)))
        else:
            unit = "MB/s" if load.megabytes else "/s"
            yield _line((first, server, _rounded(result.rate), unit, *map(_milliseconds, (
                result.p50, result.p95, result.p99)), _megabytes(result.memory), _ratio(load, results, server)))
            if result.syncs:
                yield f"{'':34}syncs per instance: {result.syncs[0]:.3f} of slots, {result.syncs[1]:.3f} others'"
        first = ""


def comparison(results: Results, count: int) -> str:
    """The line about the store rate with many instances in the index; empty where one of the two failed."""
    ours, filled = results[OURS], results[FILLED]
    if isinstance(ours, LoadFailed) or isinstance(filled, LoadFailed):
        return ""
    return f"store rate with {count} instances in the index: {100 * filled.rate / ours.rate:.0f} % of the empty one's"


def _ratio(load: Load, results: Results, server: str) -> str:
    ours, theirs = results.get(AGAINST.get(server, OURS)), results[server]
    if server == OURS or not isinstance(ours, Figures) or not isinstance(theirs, Figures):
        return ""
    if load.kind:
        return f"{ours.rate / theirs.rate:.2f} x"
    return f"{ours.memory / theirs.memory:.2f} x MB" if theirs.memory else ""


def aligned(cells: Iterable[str], widths: Sequence[int], left: Container[int]) -> str:
    """One line; `left` are the columns that begin at their left."""
    padded = (f"{cell:{'<' if number in left else '>'}{widths[number]}}" for number, cell in enumerate(cells))
    return " ".join(padded).rstrip()


def _line(cells: Iterable[str]) -> str:
    return aligned(cells, WIDTHS, LEFT)


def _rounded(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"


def _megabytes(octets: int) -> str:
    return f"{octets / 1e6:.1f}"
