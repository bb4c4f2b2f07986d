"""The loads, one measurement of one server under one load, and the rounds that rotate between the servers."""
from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import filled
from tests.bench.asking import ask_all
from tests.bench.feeding import feed
from tests.bench.memory import PeakMemory, own_memory
from tests.bench.population import INSTANCES
from tests.bench.questions import KINDS as QUESTIONS, questions
from tests.bench.retrieving import GET, MOVE, retrieve
from tests.bench.sender import MOST_SECONDS, Job, LoadFailed, Timing, run, settle
from tests.bench.servers import ON_POSTGRES, ORTHANC, OURS, Server
from tests.bench.syncs import SlowSync

FILLED = "filled"   # our server with --fill instances in its index beforehand
STUDIES = 400       # sent to the server before it is asked
ARCHIVES = (OURS, ON_POSTGRES[OURS], ORTHANC, ON_POSTGRES[ORTHANC])     # who answers queries, and gives images back
QUIET = 2.0         # seconds from the start until idle memory is looked at


@dataclass(frozen=True, slots=True)
class Load:
    """kind: of instances, or of questions. count: so many on each association, quick: with --quick; megabytes: the
    rate is told in MB/s.

    operations: C-STOREs at once on each association. contestants: who takes part, where it is not our server and all
    the peers. retrieve: how the instances are asked for, when they are stored.
    """

    name: str
    says: str
    kind: str
    count: int
    quick: int
    associations: int = 1
    megabytes: bool = False
    contestants: tuple[str, ...] = ()
    operations: int = 1
    retrieve: str = ""


LOADS = {load.name: load for load in (
    Load("small1", "small objects, 1 association", "small", 2000, 100),
    Load("small4", "small objects, 4 associations", "small", 1000, 50, associations=4),
    Load("window8", "small objects, 1 association, 8 at once", "small", 2000, 100, operations=8,
         contestants=(OURS, ON_POSTGRES[OURS])),
    Load("ct1", "CT slices, 1 association", "ct", 400, 20),
    Load("ct4", "CT slices, 4 associations", "ct", 300, 10, associations=4),
    Load("multiframe", "200 MB multi-frame objects", "multiframe", 5, 1, megabytes=True),
    Load("large", "2.2 GB object", "large", 1, 1, megabytes=True),
    Load("get", "C-GET, CT slices", "ct", 400, 20, contestants=ARCHIVES, retrieve=GET),
    Load("getmulti", "C-GET, 200 MB objects", "multiframe", 5, 1, megabytes=True, contestants=ARCHIVES,
         retrieve=GET),
    Load("move", "C-MOVE, CT slices", "ct", 400, 20, contestants=ARCHIVES, retrieve=MOVE),
    Load("echo", "associate + echo + release", "echo", 1000, 50),
    Load("idle", "start to 1st echo; idle memory", "", 0, 0),
    Load("syncs", "small objects, syncs counted", "small", 1000, 100, contestants=(OURS,)),
    Load("find", f"find by name, {STUDIES} studies", "prefix", 400, 20, contestants=ARCHIVES),
    Load("findall", f"find all of {STUDIES} studies", "all", 20, 2, contestants=ARCHIVES),
    Load("filled", "small objects, index filled", "small", 2000, 100, contestants=(OURS, FILLED)),
)}


@dataclass(frozen=True, slots=True)
class Figures:
    """One measurement, or the medians of several. rate: instances (echoes) or megabytes a second, 0 where nothing was
    sent. p50, p95, p99: seconds. memory: bytes, the peak under load. syncs: for each instance, (slots', others')."""

    rate: float
    p50: float
    p95: float
    p99: float
    memory: int
    start_seconds: float
    sent: int
    syncs: tuple[float, float] | None = None


@dataclass(slots=True)
class Measurement:
    """What --quick, --sync-ms and --fill chose, and where it all happens. databases: see postgres.PostgresServer."""

    folder: Path
    quick: bool = False
    sync_ms: float | None = None
    fill: int = 200_000
    on_server: Callable[[Server, Timing | None], None] = lambda server, timing: None    # before it is stopped
    databases: Path | None = None
    runs: int = 0

    def measure(self, load: Load, contestant: str) -> Figures:
        """Starts the server, lets the load run, stops it. Raises LoadFailed."""
        shim = None
        if self.sync_ms is not None or load.name == "syncs":
            shim = SlowSync(self.folder, self.sync_ms or 0)
        environment = (shim.environment() if shim else {}) | (filled.NO_SCRUB if contestant == FILLED else {})
        settle()
        with Server(OURS if contestant == FILLED else contestant, self.folder,
                    environment=environment, databases=self.databases,
                    prepare=self._fill if contestant == FILLED else lambda server: None) as server:
            if not load.kind:
                time.sleep(QUIET)
                self.on_server(server, None)
                return Figures(0, 0, 0, 0, own_memory(server.process.pid), server.start_seconds, 0)
            self.runs += 1
            before = shim.counts() if shim else None
            with PeakMemory(server.process.pid) as memory:
                count = load.quick if self.quick else load.count
                job = Job(load.kind, server.port, self.runs, load.associations, count, load.operations)
                if load.retrieve:
                    timing = retrieve(load.retrieve, job, server.sink_port)
                elif load.kind in QUESTIONS:
                    timing = _asked(server.port, load.kind, count)
                else:
                    timing = run(job)
            syncs = None
            if shim and timing.sent and server.name == OURS:
                counted = shim.counts().since(before)
                syncs = counted.of_slots / timing.sent, (counted.all - counted.of_slots) / timing.sent
            self.on_server(server, timing)
            return figures(load, timing, memory.peak, server.start_seconds, syncs)

    def _fill(self, server: Server) -> None:
        filled.put_index(self.folder, server, self.fill)


def _asked(port: int, kind: str, count: int) -> Timing:
    """Stores the first studies of the population, then asks; only the latter is on the clock."""
    feed(port, STUDIES, MOST_SECONDS)
    latencies = [answer.seconds for answer in ask_all(port, questions(STUDIES)[kind], count, MOST_SECONDS)]
    return Timing(sum(latencies), latencies, STUDIES * INSTANCES, 0)


def figures(load: Load, timing: Timing, memory: int, start_seconds: float,
            syncs: tuple[float, float] | None = None) -> Figures:
    """What the table says of one run."""
    amount = timing.octets / 1e6 if load.megabytes else len(timing.latencies)
    return Figures(amount / timing.seconds, *(percentile(timing.latencies, p) for p in (50, 95, 99)), memory,
                   start_seconds, timing.sent, syncs)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that is not below `percent` percent of them (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, -int(-len(ranked) * percent // 100) - 1)]


def median(several: Sequence[Figures]) -> Figures:
    """Field by field; of an even number the lower middle, so that it is a value that was measured."""
    def middle(name: str):
        values = [getattr(one, name) for one in several]
        return None if None in values else statistics.median_low(values)
    return Figures(*(middle(name) for name in Figures.__dataclass_fields__))


def rounds(measurement: Measurement, load: Load, contestants: Sequence[str], times: int,
           say: Callable[[str], None]) -> Iterator[tuple[str, Figures | LoadFailed]]:
    """Every server in turn, `times` times, each time beginning with another; then the medians, in their order.

    One failure is that server's result, whatever its other rounds gave.
    """
    several: dict[str, list[Figures]] = {server: [] for server in contestants}
    failed: dict[str, LoadFailed] = {}
    for turn in range(times):
        start = turn % len(contestants)
        for server in [*contestants[start:], *contestants[:start]]:
            if server not in failed:
                say(f"{load.name}: round {turn + 1} of {times}, {server}")
                try:
                    several[server].append(measurement.measure(load, server))
                except LoadFailed as failure:
                    failed[server] = failure
    for server in contestants:
        yield server, failed.get(server) or median(several[server])
