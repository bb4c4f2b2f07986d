"""Where the time of one instance goes in our server, and what share of it is Python.

The real server runs in this process, with clocks around the calls that leave Python; one sender in another process
stores over loopback. What no clock took is Python: decoding and encoding commands, describing the instance, and so on.
Waiting for the GIL, which the mover's thread needs too, counts as part of whatever waited.
"""
from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import fmean
from time import perf_counter_ns

from dicomserver.archive.archive import Archive
from dicomserver.archive.writer import DatasetWriter
from dicomserver.index import Index
from dicomserver.index.sqlite.connection import SqliteSession
from dicomserver.server.rooms import RealRooms
from dicomserver.server.server import Server
from dicomserver.server.settings import ServerSettings
from dicomserver.services import store
from dicomserver.session import acceptor
from dicomserver.session.transport import SocketInlet
from dicomserver.wire import stream
from tests.bench.sender import Job, run
from tests.bench.servers import free_port
from tests.bench.syncs import COUNTS, SlowSync, read_counts

NAMES = {"small": "a small object", "ct": "a CT slice"}
COUNT, QUICK = {"small": 2000, "ct": 400}, {"small": 200, "ct": 50}
WAIT, RECEIVE, SYNC, SQLITE, SEND, ADD, SLOT, REST = (
    "waiting for the request (C)", "receiving, scanning, checksum, writing (C)", "fdatasync of the slot (kernel)",
    "index: SQLite (C)", "sending the answer (C)", "index: around SQLite", "slot: taken and closed", "all the rest")
PYTHON = (ADD, SLOT, REST)
SETTLE = "within the index's call: waiting for the sync"


class Clocks:
    """Nanoseconds by phase, a record for each instance of the one association."""

    def __init__(self) -> None:
        self.records: list[Counter[str]] = []
        self._open: Counter[str] = Counter()
        self._thread = 0
        self._answered = perf_counter_ns()
        self._slot_syncs = 0

    def timed(self, phase: str, call: Callable) -> Callable:
        """The call with a clock around it, which runs on the association's thread only."""
        @wraps(call)
        def clocked(*arguments, **named):
            if threading.get_ident() != self._thread:
                return call(*arguments, **named)
            begun = perf_counter_ns()
            try:
                return call(*arguments, **named)
            finally:
                self._open[phase] += perf_counter_ns() - begun
        return clocked

    def adopt_thread(self) -> None:
        """This thread is the association's."""
        self._thread = threading.get_ident()

    def close_record(self) -> None:
        """An answer has left: what belongs to it is a record, if it was an instance's."""
        now = perf_counter_ns()
        synced = read_counts(Path(os.environ[COUNTS])).slot_nanoseconds
        one, self._open = self._open, Counter()
        if one[RECEIVE]:
            one[SYNC] = synced - self._slot_syncs
            settling = one.pop(SETTLE, 0)
            one[RECEIVE] += settling - one[SYNC]
            one[ADD] -= one[SQLITE] + settling
            one[REST] = now - self._answered - one.total()
            self.records.append(one)
        self._slot_syncs, self._answered = synced, perf_counter_ns()


def put_clocks(clocks: Clocks) -> None:
    """Puts the clocks into this process's server, for good."""
    class Stream(stream.PduStream):
        """Waits on the clock."""
        next = clocks.timed(WAIT, stream.PduStream.next)

    class Writer(DatasetWriter):
        """Receives on the clock."""
        receive = clocks.timed(RECEIVE, DatasetWriter.receive)
        seal = clocks.timed(RECEIVE, DatasetWriter.seal)
        sync = clocks.timed(SETTLE, DatasetWriter.sync)

    class Inlet(SocketInlet):
        """Sends on the clock; what was sent ends a record."""
        _send = clocks.timed(SEND, SocketInlet.send)

        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            clocks.adopt_thread()

        def send(self, data, wait=True):
            sent = self._send(data, wait)
            clocks.close_record()
            return sent

    class Session(SqliteSession):
        """Executes on the clock."""
        __slots__ = ()

        def __init__(self, connection):
            super().__init__(connection)
            self._execute = clocks.timed(SQLITE, self._execute)

    stream.PduStream, store.DatasetWriter, acceptor.SocketInlet = Stream, Writer, Inlet
    sys.modules["dicomserver.index.sqlite.engine"].SqliteSession = Session
    Index.add = clocks.timed(ADD, Index.add)
    Archive.take, Archive.keep = clocks.timed(SLOT, Archive.take), clocks.timed(SLOT, Archive.keep)


def measure(folder: Path, kind: str, count: int) -> dict[str, float]:
    """Mean nanoseconds for each phase, in a process that has slow_sync.c preloaded."""
    clocks = Clocks()
    put_clocks(clocks)
    log = logging.getLogger("bench")
    log.setLevel(logging.WARNING)
    server = Server(ServerSettings(port=free_port(), data_directory=folder / kind), RealRooms(), log)
    server.start()
    try:
        run(Job(kind, server.port, 1, 1, count))
    finally:
        server.stop()
    records = clocks.records[-count:]
    return {phase: fmean(record[phase] for record in records)
            for phase in (WAIT, RECEIVE, SYNC, SQLITE, SEND, ADD, SLOT, REST)}


def rows(kind: str, phases: dict[str, float]) -> list[str]:
    """What is printed of one kind of object."""
    total = sum(phases.values())
    python = sum(phases[phase] for phase in PYTHON)
    said = [f"{NAMES[kind]}: {total / 1000:.0f} us from answer to answer, 1 association"]
    said += [f"  {'Python: ' if phase in PYTHON else ''}{phase:<{44 - 8 * (phase in PYTHON)}}"
             f"{spent / 1000:8.1f} us {100 * spent / total:5.1f} %" for phase, spent in phases.items()]
    return [*said, f"share of {NAMES[kind]}'s time that is Python: {100 * python / total:.1f} %"]


def main(folder: Path, quick: bool) -> int:
    """Each kind in a process of its own, for the shim must be there from its start; -> the exit code."""
    shim = SlowSync(folder, 0)
    return max(subprocess.run(
        [sys.executable, "-m", "tests.bench.shares", folder, kind, str((QUICK if quick else COUNT)[kind])],
        env=os.environ | shim.environment()).returncode for kind in NAMES)


if __name__ == "__main__":
    print("\n".join(rows(sys.argv[2], measure(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))))
