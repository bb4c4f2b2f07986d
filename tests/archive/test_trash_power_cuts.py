"""Nothing leaves the trash by itself, and nothing in it is lost, whichever system call is the last one."""
from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dicomserver.archive import intake
from dicomserver.archive.archive import Archive
from dicomserver.archive.filing import Waiting
from dicomserver.archive.recovery import Verdict
from dicomserver.archive.trash import Record, State, Trashed
from tests.archive.files import SERIES, STUDY, names, store, stored
from tests.archive.power import PowerCut, Survives, watch

STORED, TRASHED, GONE = "stored", "in the trash", "gone"


@pytest.fixture(autouse=True)
def few_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each empty slot is one more call to be cut at, and like all others."""
    monkeypatch.setattr(intake, "SMALLEST_BATCH", 4)


@dataclass
class Promises:
    """SOP Instance UID -> where it may be."""

    places: dict[str, set[str]] = field(default_factory=dict)
    instances: dict[str, Waiting] = field(default_factory=dict)
    archive: Archive | None = None

    def store(self, sop: str) -> None:
        self.instances[sop] = store(self.archive, sop, sop.encode())
        self.places[sop] = {STORED}

    def file(self) -> None:
        self.archive.file_batch(list(self.instances.values()))

    def delete(self, *uids: str) -> None:
        self._begin(uids, TRASHED)
        stones = [stored(self.instances[uid], uid.encode()) for uid in uids]
        self.archive.begin_delete(stones, self.archive.trash.labels("")()).finish()
        self._end(uids, TRASHED)

    def remove(self, *uids: str) -> None:
        """For good, past the trash."""
        self._begin(uids, GONE)
        self.archive.begin_delete([stored(self.instances[uid], uid.encode()) for uid in uids]).finish()
        self._end(uids, GONE)

    def undelete(self, *uids: str) -> None:
        """What dicomserver.server.trash does, the index apart."""
        self._begin(uids, STORED)
        record, = self.archive.trash.records()
        files = [file for file in record.files if file.sop_instance_uid in uids]
        bring_back(self.archive, self.archive.trash.mark(record, files, State.RETURNS), files)
        self._end(uids, STORED)

    def empty(self, *uids: str) -> None:
        self._begin(uids, GONE)
        record, = self.archive.trash.records()
        files = [file for file in record.files if file.sop_instance_uid in uids]
        self.archive.trash.remove(self.archive.trash.mark(record, files, State.GOES), files)
        self._end(uids, GONE)

    def _begin(self, uids: tuple[str, ...], place: str) -> None:
        for uid in uids:
            self.places[uid].add(place)

    def _end(self, uids: tuple[str, ...], place: str) -> None:
        for uid in uids:
            self.places[uid] = {place}


def bring_back(archive: Archive, record: Record, files: list[Trashed]) -> Record:
    for file in files:
        archive.trash.link_back(file)
    archive.trash.sync_back()
    left = archive.trash.remove(record, files)
    archive.file_batch([waiting_of(file) for file in files])
    return left


def waiting_of(file) -> Waiting:
    return Waiting(file.slot, STUDY, SERIES, file.sop_instance_uid, file.file_length)


def delete_undelete_and_delete(promises: Promises) -> None:
    promises.delete("1.1", "1.2")
    promises.undelete("1.1", "1.2")
    promises.delete("1.2")


def delete_undelete_and_remove(promises: Promises) -> None:
    promises.delete("1.1")
    promises.undelete("1.1")
    promises.remove("1.1")


def delete_and_empty(promises: Promises) -> None:
    promises.delete("1.1", "1.2")
    promises.empty("1.1")
    promises.empty("1.2")


def recover(archive: Archive) -> dict[str, int]:
    """As the server does. -> what is stored: SOP Instance UID -> slot."""
    for deletion in archive.interrupted_deletions():
        deletion.finish()
    waiting = []
    for found in archive.examine_intake():
        if found.verdict is not Verdict.REMOVED:
            assert found.verdict is Verdict.WHOLE, found
            archive.adopt(found)
            waiting.append(Waiting(found.slot, STUDY, SERIES, found.header.meta.sop_instance_uid, found.file_length))
    archive.file_batch(waiting)
    there = {found.slot for found in archive.walk_instances()}
    for record in archive.trash.records():
        returning = [file for file in record.files if file.state is State.RETURNS]
        goes = [file for file in record.files if file.state is State.GOES]
        back = [file for file in record.files if file.slot in there]
        assert set(back) <= set(returning)
        if missing := [file for file in returning if file not in back]:
            record = bring_back(archive, record, missing)
        if back:
            record = archive.trash.remove(record, back)
        if goes:
            archive.trash.remove(record, goes)
    found = list(archive.walk_instances(whole=True))
    assert all(one.verdict is Verdict.WHOLE for one in found)
    return {one.sop_instance_uid: one.slot for one in found}


def check(path: Path, promises: Promises) -> None:
    with Archive(path) as archive:
        there = recover(archive)
        lies = {file.sop_instance_uid: file for record in archive.trash.records() for file in record.files}
        assert all(file.state is State.STAYS for file in lies.values())
        assert not there.keys() & lies.keys()
        for uid, places in promises.places.items():
            place = STORED if uid in there else TRASHED if uid in lies else GONE
            assert place in places, (uid, place, places)
        for file in lies.values():
            assert (path / archive.trash.examine(file).name).read_bytes().endswith(file.sop_instance_uid.encode())
        files = [name for name in names(path / "trash") if name.endswith(".dcm")]
        assert files == sorted(file.name for file in lies.values())
        assert archive.waiting == (0, 0)
    assert names(path / "intake") == names(path / "tombstones") == names(path / "quarantine") == []


@pytest.mark.parametrize("act, filed", [(delete_undelete_and_delete, False), (delete_undelete_and_delete, True),
                                        (delete_undelete_and_remove, True), (delete_and_empty, True)])
def test_power_cut_at_every_call(act, filed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = 0
    while not _cut(act, filed, number, tmp_path / str(number), monkeypatch):
        number += 1
    assert number >= 20


def _cut(act, filed: bool, number: int, room: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Ends `act` at that call and looks at every disk; -> whether it was over before."""
    promises = Promises()
    room.mkdir()
    with ExitStack() as after, monkeypatch.context() as patch:
        disk = watch(patch, room / "data")
        after.callback(disk.close)
        promises.archive = Archive(room / "data")
        after.callback(promises.archive.close)
        after.callback(disk.off)
        for uid in ("1.1", "1.2", "1.3"):
            promises.store(uid)
        if filed:
            promises.file()
        disk.cut_at(number)
        try:
            act(promises)
            over = True
        except PowerCut:
            over = False
        disk.off()
        for survives in Survives:
            try:
                check(disk.state(survives, room / survives.name), promises)
            except AssertionError as error:
                raise AssertionError(f"{survives}, after {disk.calls[-4:]}") from error
    return over
