"""A conflict is decided, and the power fails at any system call: one of the two is served, whole, the other is kept."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from dicomserver.archive import intake
from dicomserver.archive.layout import slot_name
from dicomserver.archive.preamble import read_header
from dicomserver.archive.quarantine import Kind
from dicomserver.index import Instance
from dicomserver.server.quarantined import Quarantined
from dicomserver.server.recovery import recover
from tests.archive import power
from tests.archive.power import Disk, PowerCut, Survives, watch
from tests.server.deleting import at_once

UID = "1.2.3.4.5"
NEVER = 1 << 30


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few slots; and what survives is the model's business, so that the real disk need not be waited for."""
    monkeypatch.setattr(intake, "SMALLEST_BATCH", 4)
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda fd: None)
        monkeypatch.setitem(power._REAL, name, lambda fd: None)


def decider(store) -> Quarantined:
    return Quarantined(store.archive, store.index, store.mover,
                       at_once(store, store.mover), store.describe, store.log)


def prepare(store, scenario: str) -> str:
    """"old" is stored, "new" lies in quarantine under the name that is returned."""
    old = store.receive(UID, b"old")
    new = store.receive(UID, b"new", row=False, mover=False)
    aside = {"kind": Kind.CONFLICT, "sop_instance_uid": UID}
    name = store.archive.set_aside(new.slot, "for a test", aside)
    store.index.mark_complete()
    if scenario != "in the intake":
        file_all(store)
    if scenario == "undone":
        decider(store).accept(next(decider(store).conflicts()))     # and now the other way round
        file_all(store)
        return slot_name(old.slot)
    return name


def file_all(store) -> None:
    """What the mover's thread does."""
    store.index.make_durable()
    store.archive.file_batch(store.mover.forget(list(store.mover._waiting)))


def decide(store, name: str) -> None:
    quarantined = decider(store)
    quarantined.accept(next(one for one in quarantined.conflicts() if one.name == name))


def content(data: bytes) -> bytes:
    return data.rpartition(b" ")[2]


def check(store, old: bytes, new: bytes, decided: bool, repeat: bool) -> None:
    """After a new start: nothing is doubled, nothing lost, and the decision can be repeated until it holds."""
    recover(store.archive, store.index, store.mover, store.describe, lambda *step: None, store.log)
    file_all(store)
    stored = store.index.find(UID)
    now = content(store.final_path(UID).read_bytes())
    assert stored is not None and now in ((new,) if decided else (old, new))
    store.archive.verify(stored)
    assert [content(file) for file in store.quarantined()] == [old if now == new else new]
    if now == old and repeat:
        aside, = decider(store).conflicts()
        decide(store, aside.name)
        file_all(store)
        assert content(store.final_path(UID).read_bytes()) == new
        assert [content(file) for file in store.quarantined()] == [old]
    assert store.archive.waiting == (0, 0)
    assert list((store.path / "tombstones").iterdir()) == []
    assert not [slot for slot in (store.path / "intake").iterdir() if slot.stat().st_size]


@pytest.fixture
def make(store, tmp_path: Path) -> Iterator[Callable]:
    """Opens data directories, with an index in memory that may have an instance; as after a crash when they close."""
    opened = []

    def one(path: Path, instance: Instance | None = None):
        made = type(store)(path, "memory:")
        opened.append(made)
        made.describe = store.describe
        if instance is not None:
            made.index.add(instance)
            made.index.is_fresh = False
        return made

    def close() -> None:
        while opened:
            opened[-1].mover.forget(list(opened[-1].mover._waiting))
            opened.pop().close()

    one.close = close
    yield one
    close()


class Rows:
    """What of the index may be on the disk: the row that was made durable last, and the one that it has now."""

    def __init__(self, store) -> None:
        self._index = store.index
        self._by_slot = {instance.slot: instance for instance in map(partial(described, store), (
            *store.path.glob("intake/*"), *store.path.glob("quarantine/*.dcm"), store.final_path(UID)))
            if instance is not None}
        self._make_durable = store.index.make_durable
        self._remove = store.index.remove
        store.index.make_durable, store.index.remove = self.make_durable, self.remove
        self.make_durable()

    def make_durable(self) -> None:
        self._make_durable()
        self.durable = self.now

    def remove(self, uids: Sequence[str], slots: Sequence[int]) -> int:
        """It is durable when it returns."""
        removed = self._remove(uids, slots)
        self.durable = self.now
        return removed

    @property
    def now(self) -> Instance | None:
        stored = self._index.find(UID)
        return stored and self._by_slot[stored.slot]

    def possible(self) -> list[Instance | None]:
        """None: there is no index, and it is filled from the files."""
        return [self.durable, *([self.now] if self.now != self.durable else []), None]


def described(store, path: Path) -> Instance | None:
    if not path.exists() or not path.stat().st_size:
        return None
    with path.open("rb") as file:
        header = read_header(file.fileno())
        return store.describe(file.fileno(), header.meta, slot=header.preamble.slot,
                              file_length=header.preamble.file_length, checksum=header.preamble.checksum)


def decide_until(cut: int | None, scenario: str, subject, patch: pytest.MonkeyPatch) -> tuple[Disk, Rows, bool]:
    """The disk as it is then, what of the index may be on it, and whether the user was told that it is done."""
    disk = watch(patch, subject.path)
    name = prepare(subject, scenario)
    rows = Rows(subject)
    disk.cut_at(NEVER if cut is None else cut)
    told = False
    try:
        decide(subject, name)
        told = True
        file_all(subject)
    except PowerCut:
        assert cut is not None
    disk.off()
    return disk, rows, told


def states(scenario: str, cut: int, rows: int) -> list[tuple[Survives, int]]:
    """Each index in turn, and of two scenarios a part of the disks: all of everything would take a minute."""
    disks = tuple(Survives) if scenario == "filed" else (Survives.SYNCED, tuple(Survives)[2 + cut % 3])
    return [(survives, (cut + number) % rows) for number, survives in enumerate(disks)]


@pytest.mark.parametrize("scenario", ["filed", "in the intake", "undone"])
def test_power_cut_at_every_call(scenario: str, make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (b"new", b"old") if scenario == "undone" else (b"old", b"new")
    with monkeypatch.context() as patch:
        disk, _, _ = decide_until(None, scenario, make(tmp_path / "whole" / "data"), patch)
        calls = disk.calls
        make.close()
        disk.close()
    # A cut before a file is opened for reading leaves what one before the next call does.
    cuts = [number for number, (call, name) in enumerate(calls) if call != "open" or name.endswith(".new")]
    assert len(cuts) > 20
    for cut in (*cuts, None):
        room = tmp_path / str(cut)
        with monkeypatch.context() as patch:
            disk, rows, told = decide_until(cut, scenario, make(room / "data"), patch)
            possible = rows.possible()
            for survives, number in states(scenario, len(cuts) if cut is None else cut, len(possible)):
                instance = possible[number]
                state = make(disk.state(survives, room / f"{survives.name}-{number}"), instance)
                try:
                    check(state, old, new, told, repeat=number == 0)
                except (AssertionError, OSError) as error:
                    raise AssertionError(f"{survives}, index {number} of {len(possible)}, {disk.calls[-4:]}") from error
            make.close()
            disk.close()
