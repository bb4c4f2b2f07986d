from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import DeletionFailed, InstanceDamaged, InstanceMissing, TrashFailed
from dicomserver.archive.filing import Waiting
from dicomserver.archive.trash import Record, State, Trashed
from tests.archive.files import SERIES, STUDY, intake_of, names, store, stored
from tests.archive.power import watch


def trashed(archive: Archive, *uids: str, filed: bool = True) -> list[Waiting]:
    """So many instances, deleted together."""
    batch = [store(archive, uid) for uid in uids]
    if filed:
        archive.file_batch(batch)
    archive.begin_delete(map(stored, batch), archive.trash.labels("study 1.2.3")()).finish()
    return batch


def trashed_as(waiting: Waiting) -> Trashed:
    """What its entry in a record says."""
    stone = stored(waiting)
    return Trashed(stone.slot, stone.checksum, STUDY, SERIES, stone.sop_instance_uid, waiting.file_length, "1-1.1.dcm")


def only_record(archive: Archive) -> Record:
    record, = archive.trash.records()
    return record


@pytest.mark.parametrize("filed", [False, True])
def test_what_is_deleted_lies_there_whole(archive: Archive, data: Path, filed: bool) -> None:
    one, other = trashed(archive, "1.1", "1.2", filed=filed)
    record = only_record(archive)
    assert record.label.asked == "study 1.2.3"
    assert [(file.slot, file.sop_instance_uid, file.file_length, file.state) for file in record.files] == [
        (one.slot, "1.1", one.file_length, State.STAYS), (other.slot, "1.2", other.file_length, State.STAYS)]
    found = archive.trash.examine(record.files[0])
    assert (found.slot, found.header.meta.sop_instance_uid) == (one.slot, "1.1")
    assert (data / found.name).read_bytes().endswith(b"pixels")
    with pytest.raises(InstanceMissing):
        archive.open_instance(one.slot, STUDY, SERIES, "1.1")
    assert list(archive.walk_instances()) == []
    assert intake_of(archive) == names(data / "tombstones") == []
    assert not (data / STUDY).exists()


def test_durable_there_before_the_name_goes(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    deletion = archive.begin_delete([stored(waiting)], archive.trash.labels("study 1.2.3")())
    disk = watch(monkeypatch, data)
    deletion.finish()
    calls = [call for call in disk.calls if call[0] != "open"]
    name = only_record(archive).label.record + ".json"
    linked = calls.index(("link", f"trash/{only_record(archive).files[0].name}"))
    recorded = calls.index(("rename", f"trash/{name}"))
    synced = calls.index(("fsync", "trash"))
    assert linked < recorded < synced < calls.index(("unlink", f"{STUDY}/{SERIES}/1.1.dcm"))
    assert calls[-2:] == [("unlink", "tombstones/0000000000000001.json"), ("fsync", "tombstones")]


def test_parts_of_one_deletion_and_the_newest_first(archive: Archive) -> None:
    batch = [store(archive, f"1.{number}") for number in range(4)]
    archive.file_batch(batch)
    for deletion in batch[:2], batch[2:]:
        label = archive.trash.labels("study 1.2.3")
        for waiting in deletion:
            archive.begin_delete([stored(waiting)], label()).finish()
    records = list(archive.trash.records())
    assert [record.files[0].sop_instance_uid for record in records] == ["1.3", "1.2", "1.1", "1.0"]
    deletions = [record.label.deletion for record in records]
    assert deletions[0] == deletions[1] != deletions[2] == deletions[3]


def test_no_deletion_is_called_like_one_of_an_earlier_start(archive: Archive, data: Path) -> None:
    first = archive.trash.labels("")().deletion
    archive.close()
    with Archive(data) as again:
        assert again.trash.labels("")().deletion != first


def test_bringing_back(archive: Archive, data: Path) -> None:
    one, other = trashed(archive, "1.1", "1.2")
    record = archive.trash.mark(only_record(archive), only_record(archive).files[:1], State.RETURNS)
    assert only_record(archive) == record and [file.state for file in record.files] == [State.RETURNS, State.STAYS]
    file = record.files[0]
    archive.trash.link_back(file)
    archive.trash.unlink_back(file)
    archive.trash.unlink_back(file)
    assert intake_of(archive) == []
    archive.trash.link_back(file)
    archive.trash.link_back(file)
    archive.trash.sync_back()
    assert [entry.slot for entry in archive.trash.remove(record, [file]).files] == [other.slot]
    archive.file_batch([one])
    os.close(archive.open_instance(one.slot, STUDY, SERIES, "1.1"))
    assert (data / STUDY / SERIES / "1.1.dcm").stat().st_nlink == 1
    assert only_record(archive).files[0].slot == other.slot


def test_its_slot_is_no_longer_its_own(archive: Archive, data: Path) -> None:
    """As after files were copied in from another archive: it stays here, and so does what is in the slot."""
    waiting, = trashed(archive, "1.1")
    file, = only_record(archive).files
    slot = data / "intake" / f"{waiting.slot:016x}"
    slot.write_text("received in this moment")
    with pytest.raises(InstanceDamaged, match="another file is in the slot"):
        archive.trash.link_back(file)
    archive.trash.unlink_back(file)
    assert slot.read_text() == "received in this moment"
    with pytest.raises(InstanceDamaged, match="another server"):
        archive.trash.link_back(replace(file, slot=99 << 32 | 1))
    assert archive.trash.examine(file).slot == waiting.slot


def test_the_record_goes_with_its_last_file(archive: Archive, data: Path) -> None:
    trashed(archive, "1.1", "1.2")
    archive.trash.remove(only_record(archive), only_record(archive).files)
    assert names(data / "trash") == []


def test_files_go_before_their_entries(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trashed(archive, "1.1")
    record = only_record(archive)
    disk = watch(monkeypatch, data)
    archive.trash.remove(record, record.files)
    assert disk.calls == [("unlink", f"trash/{record.files[0].name}"), ("fsync", "trash"),
                          ("unlink", f"trash/{record.label.record}.json"), ("fsync", "trash")]


def test_a_deletion_is_finished_at_the_next_start(data: Path) -> None:
    archive = Archive(data)
    waiting = store(archive, "1.1")
    archive.begin_delete([stored(waiting)], archive.trash.labels("instance 1.1")())
    archive.close()
    with Archive(data) as archive:
        deletion, = archive.interrupted_deletions()
        deletion.finish()
        assert only_record(archive).files[0].slot == waiting.slot
        archive.trash.examine(only_record(archive).files[0])


def test_what_is_missing_makes_no_entry(archive: Archive, data: Path) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    (data / STUDY / SERIES / "1.1.dcm").unlink()
    archive.begin_delete([stored(waiting)], archive.trash.labels("")()).finish()
    assert list(archive.trash.records()) == []


def test_without_a_label_nothing_lies_there(archive: Archive, data: Path) -> None:
    archive.begin_delete([stored(store(archive, "1.1"))]).finish()
    assert names(data / "trash") == []


def test_damaged_and_missing_files_are_found_out(archive: Archive, data: Path) -> None:
    trashed(archive, "1.1", "1.2")
    record = only_record(archive)
    one, other = record.files
    with open(data / "trash" / one.name, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    (data / "trash" / other.name).unlink()
    with pytest.raises(InstanceDamaged):
        archive.trash.examine(record.files[0])
    with pytest.raises(InstanceMissing):
        archive.trash.examine(record.files[1])


@pytest.mark.parametrize("text", [
    "", "{", "[]", "{}", '{"record": "1-1.1", "deleted_at": 1, "asked": "", "files": [1]}',
    '{"record": "1-1.1", "deleted_at": 1, "asked": "", "files": [{"state": "stays"}]}',
    '{"record": "1-7.1", "deleted_at": 1, "asked": "", "files": [{"slot": 1, "checksum": 1, "study_instance_uid": "1",'
    '"series_instance_uid": "1", "sop_instance_uid": "1", "file_length": 1, "name": "../x", "state": "goes"}]}'])
def test_a_record_that_cannot_be_understood_is_left_alone(archive: Archive, data: Path, text: str) -> None:
    trashed(archive, "1.1")
    (data / "trash" / "1-7.1.json").write_text(text)
    (data / "trash" / "notes.txt").write_text("")
    assert len(list(archive.trash.records())) == 1
    assert archive.trash.unreadable() == 1
    assert (data / "trash" / "1-7.1.json").read_text() == text


def test_half_a_record_goes_at_the_next_start(archive: Archive, data: Path) -> None:
    archive.close()
    (data / "trash" / "1-7.1.json.new").write_text("{")
    with Archive(data):
        assert names(data / "trash") == []


def test_a_failing_disk(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = store(archive, "1.1")
    deletion = archive.begin_delete([stored(waiting)], archive.trash.labels("")())

    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.EIO, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fail)
        with pytest.raises(DeletionFailed):
            deletion.finish()
        with pytest.raises(TrashFailed):
            archive.trash.link_back(trashed_as(waiting))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(TrashFailed):
            deletion.finish()
        with pytest.raises(TrashFailed):
            archive.trash.sync_back()
    assert intake_of(archive) == [f"{waiting.slot:016x}"]
    with pytest.raises(TrashFailed):
        deletion.finish()       # no sync is believed any more
    archive.close()
    with Archive(data) as again:
        again.interrupted_deletions()[0].finish()
        assert only_record(again).files[0].slot == waiting.slot
