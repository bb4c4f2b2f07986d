"""A SOP Instance UID that comes again in the moment in which what is stored is deleted; then the power fails."""
from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

import pytest

from dicomserver.archive import tombstones
from dicomserver.archive.archive import Archive
from dicomserver.archive.deletion import Deletion
from dicomserver.archive.writer import DatasetWriter
from dicomserver.index import Stored, open_index
from dicomserver.server.mover import Mover
from dicomserver.server.recovery import recover
from dicomserver.server.settings import MoverSettings
from dicomserver.services.describe import ScanLimits, describe_file
from tests.archive.power import Survives, watch
from tests.interop.stored import Sent
from tests.interop.synthetic import instance
from tests.services.test_store import Faulty, store

OLD, LAST = instance(1, 1), instance(1, 1, comment="the last one")
UID = OLD.sop_instance


class Writer(DatasetWriter):
    """Syncs what it has sealed once more, where the model of the disk sees it."""

    def receive(self, stream, scanner, fd: int, *arguments: bytes) -> None:
        self.fd = fd
        super().receive(stream, scanner, fd, *arguments)

    def seal(self, slot: int, order: int):
        received = super().seal(slot, order)
        os.fdatasync(self.fd)
        return received


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


@pytest.mark.parametrize("again", [OLD, instance(1, 1, comment="other")], ids=["the same", "another"])
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


def served_after(data: Path) -> bytes:
    """The file that is stored under the UID after the next start. No row was durable."""
    log = logging.getLogger("test.services")
    index = open_index("memory:")
    index.is_fresh = False
    with Archive(data) as archive:
        mover = Mover(index, archive, MoverSettings(), log)
        recover(archive, index, mover, partial(describe_file, limits=ScanLimits()), lambda *_: None, log)
        row = index.find(UID)
        with open(archive.open_instance(row.slot, row.study_instance_uid, row.series_instance_uid, UID), "rb") as file:
            content = file.read()
        mover.stop()
        index.close()
    return content
