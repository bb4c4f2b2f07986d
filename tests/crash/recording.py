"""A server under strace while it stores, files, deletes, commits, dies and recovers: the steps that it took."""
from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dicomserver.scu.failures import AssociationFailed
from tests.crash.cutting import Cut
from tests.crash.faults import Faults
from tests.crash.interpreting import Interpreter
from tests.crash.ledger import Ledger, Promises
from tests.crash.lint import Order
from tests.crash.requesting import Home, ask, transaction
from tests.crash.running import Running
from tests.crash.steps import INDEX, WAL, Step
from tests.crash.strace import parse
from tests.crash.traffic import CT, Sample, Sender, sample
from tests.interop.sender import Sender as Window
from tests.interop.synthetic import EXPLICIT

_LOG_HEADER = 32


@dataclass
class Recording:
    """steps: of all processes, one after the other; acknowledged: how many stores the senders saw succeed.

    lone: Message IDs that one association sent while there was no other.
    """

    data: Path
    ledger: Ledger = field(default_factory=Ledger)
    always: Promises | None = None      # if nothing is said any more
    steps: list[Step] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    lone: range = range(0)
    names: dict[str, int] = field(default_factory=dict)
    lines: int = 0

    @property
    def acknowledged(self) -> int:
        return self.statuses.count(0)

    def is_checkpoint(self, step: Step) -> bool:
        """Whether it is about the index's file or log, once something was acknowledged and a checkpoint has begun."""
        return step.path in (INDEX, WAL) and step.begin >= self._first_checkpoint

    @cached_property
    def _first_checkpoint(self) -> int:
        first = next(step.begin for step in self.steps if step.kind == "ack")
        return next(step.begin for step in self.steps if step.path == INDEX and step.begin > first)

    def store(self, port: int, samples: Iterable[Sample]) -> None:
        """Over one association."""
        with Sender(port) as sender:
            for one in samples:
                self.statuses.append(sender.store(one, self.ledger.sending(one)))

    def store_in_vain(self, port: int, one: Sample) -> None:
        """The server dies before it answers."""
        try:
            with Sender(port) as sender:
                status = sender.store(one, self.ledger.sending(one))
        except AssociationFailed:
            return
        raise AssertionError(f"it was answered with {status:04X}H")

    def store_in_window(self, port: int, samples: list[Sample], operations: int) -> None:
        """Over one association, so many C-STOREs at once."""
        with Window(port, [(CT, [EXPLICIT])], operations=operations) as sender:
            for begun, one in enumerate(samples):
                if begun >= operations:
                    self.statuses.append(sender.answer().status)
                sender.begin_store(1, CT, one.uid, one.dataset, self.ledger.sending(one))
            self.statuses += [sender.answer().status for _ in samples[-operations:]]

    def promised(self, now: int) -> Promises:
        """What holds at that moment."""
        return self.always or self.ledger.at(self.steps, now)

    def is_about_doubles(self, step: Step) -> bool:
        """Whether it falls between the completion of a slot whose UID is stored already, and its removal."""
        return any(begin <= step.begin and step.over <= end for begin, end in self._doubles)

    @cached_property
    def _doubles(self) -> list[tuple[int, int]]:
        order = Order(self.steps)
        gone = {step.path: step for step in order.of("unlink")}
        answers = [(answer, order.slot_of(answer)) for answer in order.of("ack", "nack")]
        return [(order.last_write(slot.inode, 1 << 61).begin, gone[slot.path].over) for answer, slot in answers
                if slot.path in gone and gone[slot.path].over < answer.begin]

    def commit(self, port: int, number: int, samples: Iterable[Sample], *, stays: bool) -> None:
        """Asks for a storage commitment; see requesting.ask."""
        uid = transaction(number)
        assert ask(port, self.ledger.committing(uid), uid, samples, stays=stays) == 0

    def store_side_by_side(self, port: int, *several: list[Sample]) -> None:
        """Over one association each, at once."""
        with ThreadPoolExecutor(len(several)) as pool:
            list(pool.map(lambda samples: self.store(port, samples), several))

    def delete(self, server: Running, level: str, uid: str, samples: Iterable[Sample]) -> None:
        """With the real command; not to the trash, see tests.crash.trashing."""
        self.ledger.deleting(samples)
        server.command("delete", f"--{level}", uid, "--yes", "--now")

    def read(self, interpreter: Interpreter, *traces: Path) -> None:
        """Puts the traces one behind the other; the moment between two is where the earlier process was killed."""
        interpreter.look_for(self.ledger.uids(), self.ledger.transactions())
        for trace in traces:
            with trace.open() as file:
                calls = parse(file, self.lines)
            if self.steps:
                self.steps.append(Step("cut", 0, self.lines - 1, self.lines - 1))
            self.steps += interpreter.process(calls)
            with trace.open() as file:
                self.lines += sum(1 for _ in file) + 1
        self.names = interpreter.names


def record_everything(folder: Path, environment: Mapping[str, str] = {}) -> Recording:
    """All that a power cut may come between, with few instances."""
    recording = _new(folder)
    data, traces = recording.data, [folder / f"trace-{number}" for number in range(3)]
    first = [sample(number) for number in range(6)]
    large = sample(6, octets=400_000)
    beside = [[sample(10 * lane + number, 2 + lane % 2, lane + 1, 3000) for number in range(3)] for lane in range(4)]
    at_once = [sample(400 + number, 7, octets=9000) for number in range(8)]
    last = [sample(100 + number, 4) for number in range(3)]
    home = Home()
    faults = Faults(folder)
    known = home.environment | environment
    with Running(data, traces[0], faults.environment | known) as server:
        recording.store(server.port, [*first, large, first[0], sample(1, version=1)])
        faults.set(("write", errno.ENOSPC, data / WAL))
        recording.store(server.port, [sample(600, 9)])
        faults.clear()
        recording.store(server.port, [sample(600, 9, version=1)])
        recording.commit(server.port, 1, first[:3], stays=True)
        recording.commit(server.port, 2, [first[1], large], stays=False)
        recording.store_side_by_side(server.port, *beside)
        recording.store_in_window(server.port, [*at_once, at_once[0]], operations=4)
        recording.commit(server.port, 3, [*beside[0], *at_once, sample(999)], stays=False)
        _until_filed(data, [*first, large, *sum(beside, [])])
        recording.delete(server, "instance", first[1].uid, [first[1]])
        recording.delete(server, "study", beside[0][0].study, [*beside[0], *beside[2]])
        again = [sample(1, version=2), sample(2, version=1)]
        recording.store(server.port, again)
        recording.delete(server, "instance", first[1].uid, [first[1]])
        recording.store(server.port, [sample(1, version=3), beside[0][0], *last])
        faults.set(("sync", "die", data / "intake/*"))
        recording.store_in_vain(server.port, sample(300, 6, octets=20_000))
        server.wait_until_dead()
    with home.open(), Running(data, traces[1], known) as server:
        wait_until(lambda: not list((data / "commitments").iterdir()))
        recording.store(server.port, [sample(200, 5), last[0]])
        recording.delete(server, "instance", last[1].uid, [last[1]])
        server.stop()
    with Running(data, traces[2], known) as server:
        recording.commit(server.port, 4, [first[0], last[1]], stays=False)
        recording.store(server.port, [sample(500, 8)])
        server.stop()
    recording.read(Interpreter(str(data)), *traces)
    return recording


def record_doubles(folder: Path) -> Recording:
    """Instances that are sent again before they are filed, the same and with other content."""
    recording = _new(folder)
    with Running(recording.data, folder / "trace") as server:
        for number in range(8):
            one, other = sample(number, octets=9000), sample(number, octets=9000, version=1)
            recording.store(server.port, [one, one, other, one])
        server.kill()
    recording.read(Interpreter(str(recording.data)), folder / "trace")
    return recording


def record_recovery(folder: Path, cut: Cut) -> Recording:
    """A start on a disk that a power cut has left, and the stop."""
    recording = Recording(folder / "data", always=cut.promises)
    cut.state.write(recording.data)
    interpreter = Interpreter(str(recording.data))
    recording.steps = interpreter.adopt(cut.state.folders, cut.state.files, cut.state.contents)
    recording.lines = len(recording.steps) + 1
    with Running(recording.data, folder / "trace") as server:
        server.stop()
    recording.read(interpreter, folder / "trace")
    return recording


def record_without(folder: Path, pattern: str) -> Recording:
    """A few instances, stored and filed by a server whose syncs of the files that match do nothing."""
    recording = _new(folder)
    samples = [sample(number) for number in range(3)]
    faults = Faults(folder)
    faults.set(("sync", "skip", recording.data / pattern))
    with Running(recording.data, folder / "trace", faults.environment) as server:
        recording.store(server.port, samples)
        server.stop()
    recording.read(Interpreter(str(recording.data)), folder / "trace")
    return recording


def record_checkpoint(folder: Path) -> Recording:
    """So many studies that the index's log is copied into its file and begins anew while the server runs.

    A few at a time, since it begins anew only when nobody writes.
    """
    recording = _new(folder)
    log = recording.data / WAL
    with Running(recording.data, folder / "trace") as server:
        began = log.read_bytes()[:_LOG_HEADER]
        study = 0
        while log.read_bytes()[:_LOG_HEADER] == began:
            lanes = [[sample(1, study + 15 * lane + number, octets=200) for number in range(15)] for lane in range(4)]
            recording.store_side_by_side(server.port, *lanes)
            _until_filed(recording.data, sum(lanes, []))
            recording.delete(server, "instance", lanes[0][0].uid, [lanes[0][0]])
            study += 60
        server.kill()
    recording.read(Interpreter(str(recording.data)), folder / "trace")
    return recording


def record_load(folder: Path, lone: int, each_of_four: int, environment: Mapping[str, str] = {}) -> Recording:
    """Many instances over one association, then over four at once."""
    recording = _new(folder)
    lanes = [[sample(1000 * lane + number, 10 + lane) for number in range(each_of_four)] for lane in range(1, 5)]
    alone = [sample(number, 1, octets=4000) for number in range(lone)]
    with Running(recording.data, folder / "trace", environment) as server:
        recording.store(server.port, alone)
        recording.store_side_by_side(server.port, *lanes)
        server.stop()
    recording.lone = range(1, lone + 1)
    recording.read(Interpreter(str(recording.data)), folder / "trace")
    return recording


def record_window(folder: Path, number: int, operations: int) -> Recording:
    """Many instances over one association with an asynchronous operations window."""
    recording = _new(folder)
    with Running(recording.data, folder / "trace") as server:
        recording.store_in_window(server.port, [sample(one, 1, octets=4000) for one in range(number)], operations)
        server.stop()
    recording.read(Interpreter(str(recording.data)), folder / "trace")
    return recording


def _new(folder: Path) -> Recording:
    data = folder / "data"
    data.mkdir()
    return Recording(data)


def _until_filed(data: Path, samples: list[Sample]) -> None:
    paths = [data / one.study / one.series / f"{one.uid}.dcm" for one in samples]

    def filed() -> bool:
        # Its slot is a second name of the same file.
        return all(path.exists() and path.stat().st_nlink == 1 for path in paths)

    wait_until(filed)


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Looks again and again."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
