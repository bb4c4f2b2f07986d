"""Queries over many studies: of our server, whose index is filled beforehand, and of Orthanc, to which they are sent;
what queries cost whoever stores meanwhile, and what so many studies do."""
from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.asking import Answer, Question, ask_all, asking_beside
from tests.bench.feeding import feed
from tests.bench.filled import NO_SCRUB, put_studies
from tests.bench.loads import percentile
from tests.bench.memory import PeakMemory
from tests.bench.questions import KINDS, LARGE, questions
from tests.bench.sender import Job, LoadFailed, run, settle
from tests.bench.servers import Server

ASKERS = 4
BESIDE = ("patient", "prefix", "day", "substring")      # what they ask while somebody stores
EMPTY = "index empty, nobody asks"
PAUSES = {"nobody asks": None, "4 clients, 10 queries/s each": 0.1, "4 clients without pause": 0.0}


@dataclass(frozen=True, slots=True)
class Effort:
    """asks: of each kind of question, large: of those that all studies answer; seconds: none begins later.
    stores: small objects, stored while others ask."""

    asks: int = 400
    large: int = 5
    seconds: float = 60.0
    stores: int = 2000


QUICK = Effort(asks=10, large=1, stores=50)


@dataclass(frozen=True, slots=True)
class FindFigures:
    """One kind of question. matches: median. p50, p95, p99, first: seconds to the last and (median) to the first
    response. rate: matches a second. memory: bytes, the server's own at its peak."""

    matches: int
    p50: float
    p95: float
    p99: float
    first: float
    rate: float
    memory: int


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """Small objects a second on one association; asked: p50 of the queries beside, 0 where nobody asks."""

    rate: float
    asked: float


@dataclass(frozen=True, slots=True)
class Findings:
    """Of one server with so many studies, by the names in KINDS; those of EMPTY and PAUSES. start: seconds to the first
    answered C-ECHO where it had all of them from its start."""

    server: str
    studies: int
    start: float | None
    finds: dict[str, FindFigures | LoadFailed]
    stores: dict[str, StoreFigures | LoadFailed]

    def has_failed(self) -> bool:
        """Whether the server could not do something."""
        return any(isinstance(one, LoadFailed) for one in (*self.finds.values(), *self.stores.values()))


def measure(server: Server, number: int, effort: Effort, start: float | None = None) -> Findings:
    """Of a server that holds the first `number` studies. start: as in Findings."""
    asked = questions(number)
    settle()
    finds = {kind: _found(server, asked[kind], effort.large if kind in LARGE else effort.asks, effort.seconds)
             for kind in KINDS}
    # What is stored meanwhile may be found too.
    beside = [replace(question, matches=None) for several in zip(*(asked[kind] for kind in BESIDE))
              for question in several]
    stores = {says: _stored(server, beside, pause, turn, effort.stores)
              for turn, (says, pause) in enumerate(PAUSES.items(), start=1)}
    return Findings(server.name, number, start, finds, stores)


def _found(server: Server, asked: Sequence[Question], times: int, seconds: float) -> FindFigures | LoadFailed:
    try:
        with PeakMemory(server.process.pid) as memory:
            return figures(ask_all(server.port, asked, times, seconds), memory.peak)
    except LoadFailed as failure:
        return failure


def figures(answers: Sequence[Answer], memory: int) -> FindFigures:
    """What the table says of the answers to one kind of question."""
    seconds = [answer.seconds for answer in answers]
    return FindFigures(statistics.median_low(answer.matches for answer in answers),
                       *(percentile(seconds, p) for p in (50, 95, 99)),
                       statistics.median_low(answer.first for answer in answers),
                       sum(answer.matches for answer in answers) / sum(seconds), memory)


def _stored(server: Server, beside: Sequence[Question], pause: float | None, turn: int,
            count: int) -> StoreFigures | LoadFailed:
    try:
        with (nullcontext([]) if pause is None else asking_beside(server.port, beside, ASKERS, pause)) as asked:
            timing = run(Job("small", server.port, turn, 1, count))
        return StoreFigures(len(timing.latencies) / timing.seconds, percentile(asked, 50) if asked else 0.0)
    except LoadFailed as failure:
        return failure


def ours(name: str, folder: Path, number: int, effort: Effort, *, kept: Path | None = None,
         databases: Path | None = None) -> Findings:
    """Our server, started on an index that was filled before. name: OURS, or ON_POSTGRES[OURS]. kept: see put_studies.
    databases: see Server. Raises LoadFailed when it does not start."""
    empty = _stored_when_empty(name, folder, effort, databases)
    with Server(name, folder, databases=databases, environment=NO_SCRUB,
                prepare=lambda server: put_studies(kept or folder, server, number)) as server:
        return _with_empty(measure(server, number, effort, server.start_seconds), empty)


def orthanc(name: str, folder: Path, number: int, effort: Effort, seconds: float, *,
            databases: Path | None = None) -> Findings:
    """Orthanc, with as many of the studies as it takes in within so many seconds. name: ORTHANC, or with PostgreSQL.
    Raises LoadFailed."""
    empty = _stored_when_empty(name, folder, effort, databases)
    with Server(name, folder, databases=databases) as server:
        taken = feed(server.port, number, seconds)
        if not taken:
            raise LoadFailed(f"{name} was given no time for a single study")
        return _with_empty(measure(server, taken, effort), empty)


def _stored_when_empty(name: str, folder: Path, effort: Effort, databases: Path | None) -> StoreFigures | LoadFailed:
    with Server(name, folder, databases=databases) as server:
        settle()
        return _stored(server, [], None, 0, effort.stores)


def _with_empty(found: Findings, empty: StoreFigures | LoadFailed) -> Findings:
    return replace(found, stores={EMPTY: empty} | found.stores)
