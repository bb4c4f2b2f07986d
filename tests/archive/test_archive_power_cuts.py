"""Nothing acknowledged is lost and nothing deleted returns, whichever system call is the last one."""
from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dicomserver.archive import intake
from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import StorageFailed
from dicomserver.archive.filing import Result, Waiting
from dicomserver.archive.recovery import Verdict
from dicomserver.archive.tombstones import Tombstone
from tests.archive.files import (SERIES, STUDY, adopt, instance_bytes, lay_in, names, store, stored, write_foreign,
                                 write_instance)
from tests.archive.power import Disk, PowerCut, Survives, watch

OTHER_SERIES = "1.2.3.4.6"


@pytest.fixture(autouse=True)
def few_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each empty slot is one more call to be cut at, and like all others."""
    monkeypatch.setattr(intake, "SMALLEST_BATCH", 4)


@dataclass
class Ledger:
    """What was promised: SOP Instance UID -> file, once acknowledged; what may be gone; what must be."""

    acknowledged: dict[str, Waiting] = field(default_factory=dict)
    deleting: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    opened: Archive | None = None

    def close(self) -> None:
        """Ends the archive's thread, which would outlive the test."""
        if self.opened:
            self.opened.close()

    @property
    def rows(self) -> set[int]:
        """The slots that the index has; it was made durable before anything was filed."""
        return {waiting.slot for waiting in self.acknowledged.values()}


def content(sop: str) -> bytes:
    return b"pixels of " + sop.encode()


def acknowledge(archive: Archive, ledger: Ledger, sop: str, series: str = SERIES) -> Waiting:
    waiting = store(archive, sop, content(sop), series=series)
    ledger.acknowledged[sop] = waiting
    return waiting


def tombstone(waiting: Waiting) -> Tombstone:
    return stored(waiting, content(waiting.sop_instance_uid))


# -- what is interrupted; each returns only when everything that it did is promised

def create(path: Path, ledger: Ledger) -> None:
    ledger.opened = Archive(path)


def file_two_series(archive: Archive, ledger: Ledger) -> None:
    archive.file_batch(list(ledger.acknowledged.values()))


def delete_one(archive: Archive, ledger: Ledger) -> None:
    victim = ledger.acknowledged["1.1"]
    ledger.deleting.add(victim.slot)
    archive.begin_delete([tombstone(victim)]).finish()
    ledger.deleted.add(victim.slot)


def delete_all(archive: Archive, ledger: Ledger) -> None:
    ledger.deleting |= {waiting.slot for waiting in ledger.acknowledged.values()}
    archive.begin_delete([tombstone(waiting) for waiting in ledger.acknowledged.values()]).finish()
    ledger.deleted |= ledger.deleting


def delete_and_store_again(archive: Archive, ledger: Ledger) -> None:
    victim = ledger.acknowledged["1.1"]
    ledger.deleting.add(victim.slot)
    deletion = archive.begin_delete([tombstone(victim)])
    del ledger.acknowledged["1.1"]
    again = acknowledge(archive, ledger, "1.1")
    outcome, = archive.file_batch([again])
    assert outcome.result is Result.FILED
    deletion.finish()
    ledger.deleted.add(victim.slot)


def delete_after_a_discarded_duplicate(archive: Archive, ledger: Ledger) -> None:
    slot = archive.take()
    os.pwrite(slot.fd, instance_bytes(slot.number, "1.1", content("1.1")), 0)
    os.fdatasync(slot.fd)
    ledger.deleting.add(slot.number)      # may be found again until the deletion is over
    archive.discard(slot)
    delete_one(archive, ledger)
    ledger.deleted.add(slot.number)


def replace_a_stray(archive: Archive, ledger: Ledger) -> None:
    archive.file_batch([ledger.acknowledged["1.1"]])
    ours = acknowledge(archive, ledger, "1.1")
    outcome, = archive.file_batch([ours])
    assert outcome.result is Result.REPLACED


def set_aside_a_slot(archive: Archive, ledger: Ledger) -> None:
    waiting = ledger.acknowledged.pop("1.1")
    ledger.deleting.add(waiting.slot)
    name = archive.set_aside(waiting.slot, "for a test", {})
    assert name == f"{waiting.slot:016x}"


def adopt_two(archive: Archive, ledger: Ledger) -> None:
    slots = {sop: archive.take() for sop in ("1.3", "1.4")}
    lengths = {sop: adopt(archive, lay_in(Path(archive.path), sop, content(sop)), slot) for sop, slot in slots.items()}
    archive.adopting.settle()
    for sop, slot in slots.items():
        archive.keep(slot, lengths[sop])
        ledger.acknowledged[sop] = Waiting(slot.number, STUDY, SERIES, sop, lengths[sop])


def adopt_a_lent_slot(archive: Archive, ledger: Ledger) -> None:
    slot = archive.take()
    write_foreign(Path(archive.path, archive.adopting.place_of(slot)), "1.3", content("1.3"))
    length = adopt(archive, "", slot)
    archive.keep(slot, length)
    ledger.acknowledged["1.3"] = Waiting(slot.number, STUDY, SERIES, "1.3", length)
    archive.file_batch([ledger.acknowledged["1.3"]])


SCENARIOS = {
    "file": (False, file_two_series), "delete a slot": (False, delete_one), "delete a file": (True, delete_one),
    "delete all": (True, delete_all), "delete and store again": (True, delete_and_store_again),
    "duplicate": (True, delete_after_a_discarded_duplicate), "stray": (False, replace_a_stray),
    "set aside": (False, set_aside_a_slot), "adopt": (False, adopt_two),
    "adopt a lent slot": (False, adopt_a_lent_slot),
}


# -- after the cut

def recover(archive: Archive, rows: set[int]) -> dict[str, Waiting]:
    """As the server does; `rows` are slots that its index knows. -> sop -> where it is."""
    for deletion in archive.interrupted_deletions():
        deletion.finish()
    there: dict[str, Waiting] = {}
    batch: dict[str, Waiting] = {}
    for found in [*archive.walk_instances(whole=True), *archive.examine_intake()]:
        if found.verdict is Verdict.REMOVED:
            continue
        assert found.verdict is Verdict.WHOLE, found
        sop = found.header.meta.sop_instance_uid
        waiting = Waiting(found.slot, STUDY, OTHER_SERIES if sop.startswith("2.") else SERIES, sop, found.file_length)
        known = there.get(sop)
        if known and known.slot != waiting.slot and waiting.slot not in rows:
            archive.discard(waiting.slot)       # the same bytes were there already, so nobody needs them
            continue
        if sop in batch and known and known.slot != waiting.slot:
            archive.discard(batch.pop(sop).slot)
        there[sop] = waiting
        if found.study_instance_uid is None:
            archive.adopt(found)
            batch[sop] = waiting
    archive.file_batch(list(batch.values()))
    return there


def check(path: Path, ledger: Ledger) -> None:
    archive = Archive(path)
    try:
        there = recover(archive, ledger.rows)
        slots = {waiting.slot for waiting in there.values()}
        assert not slots & ledger.deleted
        for sop, waiting in ledger.acknowledged.items():
            if waiting.slot in ledger.deleting and sop not in there:
                continue
            assert there[sop].slot == waiting.slot or waiting.slot in ledger.deleting
            fd = archive.open_instance(there[sop].slot, STUDY, waiting.series_instance_uid, sop)
            with open(fd, "rb") as file:
                assert file.read().endswith(content(sop))
        assert archive.waiting == (0, 0)
        assert archive.interrupted_deletions() == []
        filed = [found.slot for found in archive.walk_instances(whole=True) if found.verdict is Verdict.WHOLE]
        assert sorted(filed) == sorted(slots)       # nothing doubled
    finally:
        archive.close()
    assert names(path / "intake") == []
    assert names(path / "tombstones") == []


def cut_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prepare, act,
                   before=lambda path: None) -> int:
    """Cuts at each call of `act` in turn, looks at every state; returns the number of calls.

    What `before` makes of the path is durable from the beginning.
    """
    number = 0
    while True:
        room = tmp_path / str(number)
        room.mkdir(parents=True)
        ledger = Ledger()
        before(room / "data")
        with ExitStack() as after, monkeypatch.context() as patch:
            disk = watch(patch, room / "data")
            after.callback(disk.close)
            after.callback(ledger.close)
            after.callback(disk.off)
            subject = prepare(room / "data", ledger)
            disk.cut_at(number)
            try:
                act(subject, ledger)
                over = True
            except PowerCut:
                over = False
            disk.off()
            inspect(disk, room, ledger)
        if over:
            return number
        number += 1


def inspect(disk: Disk, room: Path, ledger: Ledger) -> None:
    if not disk.root.exists():
        return
    for survives in Survives:
        state = disk.state(survives, room / survives.name)
        try:
            check(state, ledger)
        except AssertionError as error:
            raise AssertionError(f"{survives}, after {disk.calls[-4:]}") from error


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_power_cut_at_every_call(scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filed, act = SCENARIOS[scenario]

    def prepare(path: Path, ledger: Ledger) -> Archive:
        archive = ledger.opened = Archive(path)
        for sop, series in (("1.1", SERIES), ("1.2", SERIES), ("2.1", OTHER_SERIES)):
            acknowledge(archive, ledger, sop, series)
        if filed:
            archive.file_batch(list(ledger.acknowledged.values()))
        return archive

    assert cut_everywhere(monkeypatch, tmp_path, prepare, act) >= 8


def test_power_cut_while_the_directory_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cut_everywhere(monkeypatch, tmp_path, lambda path, ledger: path, create) >= 12


@pytest.mark.parametrize("call, durably", [("unlink", False), ("unlink", True), ("fsync", True)])
def test_a_power_cut_after_a_slot_could_not_be_removed(call: str, durably: bool, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """It was complete, and refused: the next start must not take it for one that was acknowledged."""
    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as watching:
        disk = watch(watching, tmp_path / "data")
        with Archive(tmp_path / "data") as archive:
            write_instance(slot := archive.take(), "1.1", b"pixels")
            with monkeypatch.context() as patch:
                patch.setattr(os, call, fails)
                with pytest.raises(StorageFailed, match="removing a slot: Input/output error"):
                    archive.discard(slot, durably=durably)
            disk.off()
            disk.state(Survives.SYNCED, tmp_path / "after")
    disk.close()
    with Archive(tmp_path / "after") as archive:
        assert {found.verdict for found in archive.examine_intake()} == {Verdict.REMOVED}


@pytest.mark.parametrize("scenario", ["file", "delete a file", "delete a slot"])
def test_power_cut_while_recovering_from_one(scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state after a cut in the middle is opened, and each call of the recovery is the last one."""
    filed, act = SCENARIOS[scenario]
    ledger = Ledger()
    with monkeypatch.context() as patch:
        disk = watch(patch, tmp_path / "data")
        archive = Archive(tmp_path / "data")
        acknowledge(archive, ledger, "1.1")
        acknowledge(archive, ledger, "2.1", OTHER_SERIES)
        if filed:
            archive.file_batch(list(ledger.acknowledged.values()))
        disk.cut_at(7)
        try:
            with pytest.raises(PowerCut):
                act(archive, ledger)
        finally:
            disk.off()
            archive.close()

    def recover_again(path: Path, own: Ledger) -> None:
        own.acknowledged, own.deleting, own.deleted = ledger.acknowledged, ledger.deleting, ledger.deleted
        own.opened = Archive(path)
        recover(own.opened, own.rows)

    calls = [cut_everywhere(monkeypatch, tmp_path / survives.name, lambda path, _: path, recover_again,
                            lambda path, survives=survives: disk.state(survives, path))
             for survives in (Survives.SYNCED,)]
    disk.close()
    assert min(calls) > 10
