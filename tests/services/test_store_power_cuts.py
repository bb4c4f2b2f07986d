"""A SOP Instance UID that comes again in the moment in which what is stored is deleted, or something else brought back;
then the power fails."""
from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from dicomserver.archive import quarantine, tombstones
from dicomserver.archive.archive import Archive
from dicomserver.archive.claims import Claims
from dicomserver.archive.deletion import Deletion
from dicomserver.archive.errors import QuarantineFailed
from dicomserver.archive.recovery import Found
from dicomserver.archive.writer import DatasetWriter
from dicomserver.index import IndexFull, Instance, Stored, open_index
from dicomserver.server.deletion import Asked, Deleter
from dicomserver.server.mover import Mover
from dicomserver.server.quarantined import Quarantined
from dicomserver.server.recovery import recover
from dicomserver.server.settings import MoverSettings
from dicomserver.server.trash import TrashKeeper, UndeletionStopped, choice
from dicomserver.services.describe import ScanLimits, describe_file
from dicomserver.services.store import CONFLICTING_INSTANCE
from tests.archive.power import Disk, PowerCut, Survives, watch
from tests.interop.stored import Sent
from tests.interop.synthetic import instance
from tests.services.test_store import Faulty, failing, store

pytestmark = pytest.mark.parametrize("provider", ["memory", "file"], indirect=True)

OLD, LAST = instance(1, 1), instance(1, 1, comment="the last one")
OTHER = instance(1, 1, comment="other")
UID = OLD.sop_instance
DESCRIBE = partial(describe_file, limits=ScanLimits())


class Writer(DatasetWriter):
    """Syncs what it has sealed once more, where the model of the disk sees it."""

    def receive(self, stream, scanner, fd: int, *arguments: bytes) -> None:
        self.fd = fd
        super().receive(stream, scanner, fd, *arguments)

    def seal(self, slot: int, order: int, durable: bool = True):
        received = super().seal(slot, order, durable)
        if durable:
            os.fdatasync(self.fd)
        return received

    def sync(self) -> None:
        super().sync()
        os.fdatasync(self.fd)


class Deleting:
    """What the server does for a deletion; `again` is sent, and answered with `status`, in the midst of it."""

    def __init__(self, provider, again: Sent) -> None:
        self._provider = provider
        self._again = again
        self._row = provider.index.find(UID)
        self.status = 0

    def while_the_tombstone_is_written(self, patch: pytest.MonkeyPatch) -> None:
        real = tombstones.replace_file

        def write(*arguments: object) -> None:
            self._send()
            real(*arguments)
        patch.setattr(tombstones, "replace_file", write)
        self._begin()
        self._remove_row()

    def begun_while_it_is_compared(self, patch: pytest.MonkeyPatch) -> None:
        self._while_compared(patch, self._begin)
        self._remove_row()

    def done_while_it_is_compared(self, patch: pytest.MonkeyPatch) -> None:
        def delete() -> None:
            deletion = self._begin()
            self._remove_row()
            deletion.finish()
        self._while_compared(patch, delete)

    def _while_compared(self, patch: pytest.MonkeyPatch, act) -> None:
        archive: Archive = self._provider.archive

        def is_same(newcomer: object, there: Stored) -> bool:
            found = archive.is_same(newcomer, there)
            act()
            return found
        patch.setattr(self._provider, "archive", Faulty(archive, is_same=is_same))
        self._send()

    def _send(self) -> None:
        self.status = store(self._provider, self._again).status

    def _begin(self) -> Deletion:
        return self._provider.archive.begin_delete([self._row])

    def _remove_row(self) -> None:
        self._provider.index.remove([UID], [self._row.slot])


@pytest.mark.parametrize("again", [OLD, OTHER], ids=["the same", "another"])
@pytest.mark.parametrize("when", [Deleting.while_the_tombstone_is_written, Deleting.begun_while_it_is_compared,
                                  Deleting.done_while_it_is_compared], ids=lambda when: when.__name__)
def test_what_lost_against_a_deleted_one_does_not_come_before_what_is_acknowledged_then(
        when, again: Sent, provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomserver.services.store.DatasetWriter", Writer)
    with monkeypatch.context() as patch:
        disk = watch(patch, tmp_path / "data")
        try:
            assert store(provider, OLD).status == 0
            deleting = Deleting(provider, again)
            with monkeypatch.context() as midst:
                when(deleting, midst)
            assert store(provider, LAST).status == 0
        finally:
            disk.off()
        for survives in Survives:
            served = served_after(disk.state(survives, tmp_path / survives.name))
            assert served.endswith(LAST.dataset), survives
        disk.close()
    assert deleting.status != 0


class Bringing:
    """What the server does to bring OLD back from the trash, or OTHER from quarantine; LAST is sent, and answered with
    `status`, in the midst of it."""

    def __init__(self, provider, disk: Disk) -> None:
        self._provider = provider
        self._disk = disk
        self.status = 0
        provider.archive.claims = Claims(patience=0)
        self._index = Faulty(provider.index)
        self._mover = Mover(provider.index, provider.archive, MoverSettings(), provider.log)
        self._mover.start()
        self._trash = TrashKeeper(provider.archive, self._index, self._mover, DESCRIBE, 60, provider.log)
        self._deleter = Deleter(provider.archive, self._index, self._mover, self._trash, provider.log)

    def from_the_trash(self) -> None:
        self._deleter.delete(Asked(instance=UID))
        self._index.add = self._send_and_add
        self._undelete()

    def from_quarantine(self) -> None:
        assert store(self._provider, OTHER).status == CONFLICTING_INSTANCE
        self._deleter.delete(Asked(instance=UID))
        self._index.add = self._send_and_add
        self._accept()

    def from_quarantine_when_another_one_was_stored(self) -> None:
        assert store(self._provider, OTHER).status == CONFLICTING_INSTANCE
        real = self._provider.archive.replacing.take_back

        def take_back(name: str) -> Found:
            found = real(name)
            deletion = self._provider.archive.begin_delete([self._index.find(UID)])
            self._index.remove([UID], [deletion.files[0].slot])
            deletion.finish()
            self._send()
            self._disk.cut_at(0)
            return found
        self._provider.archive.replacing.take_back = take_back
        self._accept()

    def after_a_failure(self) -> None:
        """From the trash, and the index takes nothing just then."""
        self._deleter.delete(Asked(instance=UID))

        def add(instance: Instance) -> None:
            self._provider.archive.trash.sync_back()    # as new slots do
            raise IndexFull("for a test")
        self._index.add = add
        with pytest.raises(UndeletionStopped):
            self._undelete()
        self._send()
        assert self.status == 0

    def _undelete(self) -> None:
        self._trash.undelete(choice())

    def _accept(self) -> None:
        quarantined = Quarantined(self._provider.archive, self._index, self._mover, self._deleter, DESCRIBE,
                                  self._provider.log)
        conflict, = quarantined.conflicts()
        quarantined.accept(conflict)

    def _send_and_add(self, instance: Instance) -> Stored | None:
        self._send()
        there = self._provider.index.add(instance)
        self._disk.cut_at(0)
        return there

    def _send(self) -> None:
        self.status = store(self._provider, LAST).status

    def close(self) -> None:
        self._mover.stop()


@pytest.mark.parametrize("how", [Bringing.from_the_trash, Bringing.after_a_failure, Bringing.from_quarantine,
                                 Bringing.from_quarantine_when_another_one_was_stored], ids=lambda how: how.__name__)
def test_what_is_brought_back_does_not_come_before_what_is_acknowledged_meanwhile(
        how, provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomserver.services.store.DatasetWriter", Writer)
    back = OTHER if "quarantine" in how.__name__ else OLD
    with monkeypatch.context() as patch:
        disk = watch(patch, tmp_path / "data")
        bringing = Bringing(provider, disk)
        try:
            assert store(provider, OLD).status == 0
            with suppress(PowerCut):
                how(bringing)
        finally:
            disk.off()
            bringing.close()
        for survives in Survives:
            served = served_after(disk.state(survives, tmp_path / survives.name))
            assert served.endswith((back if bringing.status else LAST).dataset), survives
        disk.close()


def test_what_was_refused_but_not_set_aside_does_not_come_before_what_is_acknowledged_later(
        provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomserver.services.store.DatasetWriter", Writer)
    with monkeypatch.context() as patch:
        disk = watch(patch, tmp_path / "data")
        try:
            assert store(provider, OLD).status == 0
            row = provider.index.find(UID)
            with monkeypatch.context() as full:
                full.setattr(quarantine, "replace_file", failing(OSError(errno.ENOSPC, "")))
                assert store(provider, OTHER).status == 0xA700
                with pytest.raises(QuarantineFailed):
                    provider.archive.begin_delete([row])
            assert not provider.archive.is_being_deleted(row.slot)
            deletion = provider.archive.begin_delete([row])
            provider.index.remove([UID], [row.slot])
            deletion.finish()
            assert store(provider, LAST).status == 0
        finally:
            disk.off()
        for survives in Survives:
            assert served_after(disk.state(survives, tmp_path / survives.name)).endswith(LAST.dataset), survives
            aside, = (tmp_path / survives.name / "quarantine").glob("*.dcm")
            assert aside.read_bytes().endswith(OTHER.dataset)
        disk.close()


def served_after(data: Path) -> bytes:
    """The file that is stored under the UID after the next start. No row was durable."""
    log = logging.getLogger("test.services")
    index = open_index("memory:")
    index.is_fresh = False
    with Archive(data) as archive:
        mover = Mover(index, archive, MoverSettings(), log)
        recover(archive, index, mover, DESCRIBE, lambda *_: None, log)
        mover.start()
        trash = TrashKeeper(archive, index, mover, DESCRIBE, 60, log)
        with trash.lock:
            trash.settle()
        row = index.find(UID)
        with open(archive.open_instance(row.slot, row.study_instance_uid, row.series_instance_uid, UID), "rb") as file:
            content = file.read()
        mover.stop()
        index.close()
    return content
