from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import DeletionFailed, InstanceMissing, InvalidUid
from dicomserver.archive.filing import Result
from dicomserver.archive.tombstones import Tombstone
from tests.archive.files import SERIES, STUDY, intake_of, names, store, stored
from tests.archive.power import watch


def test_a_filed_instance(archive: Archive, data: Path) -> None:
    keep, lose = store(archive, "1.1"), store(archive, "1.2")
    archive.file_batch([keep, lose])
    archive.begin_delete([stored(lose)]).finish()
    assert names(data / STUDY / SERIES) == ["1.1.dcm"]
    assert names(data / "tombstones") == []
    with pytest.raises(InstanceMissing):
        archive.open_instance(lose.slot, STUDY, SERIES, "1.2")


def test_what_is_being_deleted(archive: Archive) -> None:
    lose, keep = store(archive, "1.1"), store(archive, "1.2")
    deletion = archive.begin_delete([stored(lose)])
    assert archive.is_being_deleted(lose.slot) and not archive.is_being_deleted(keep.slot)
    deletion.finish()
    assert not archive.is_being_deleted(lose.slot)


def test_empty_folders_go_too(archive: Archive, data: Path) -> None:
    batch = [store(archive, "1.1"), store(archive, "1.2", series="7")]
    archive.file_batch(batch)
    archive.begin_delete([stored(batch[0])]).finish()
    assert names(data / STUDY) == ["7"]
    archive.begin_delete([stored(batch[1])]).finish()
    assert not (data / STUDY).exists()
    again = store(archive, "1.1")
    archive.file_batch([again])
    assert names(data / STUDY / SERIES) == ["1.1.dcm"]


def test_an_instance_that_waits_for_the_mover(archive: Archive) -> None:
    waiting = store(archive, "1.1")
    archive.begin_delete([stored(waiting)]).finish()
    assert intake_of(archive) == []
    assert archive.waiting == (0, 0)
    outcome, = archive.file_batch([waiting])
    assert outcome.result is Result.MISSING


def test_tombstone_then_files_then_syncs(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    os.link(data / STUDY / SERIES / "1.1.dcm", data / "intake" / f"{waiting.slot:016x}")   # as a crash may leave it
    disk = watch(monkeypatch, data)
    deletion = archive.begin_delete([stored(waiting)])
    assert disk.calls[0] == ("fsync", "intake")
    assert disk.calls[-2][0] == "rename" and disk.calls[-1] == ("fsync", "tombstones")
    disk.calls.clear()
    deletion.finish()
    calls = [call for call in disk.calls if call[0] != "open"]
    assert calls[:3] == [("unlink", f"{STUDY}/{SERIES}/1.1.dcm"), ("fsync", f"{STUDY}/{SERIES}"),
                         ("rmdir", f"{STUDY}/{SERIES}")]
    assert calls[-4:-2] == [("unlink", f"intake/{waiting.slot:016x}"), ("fsync", "intake")]
    assert calls[-2:] == [("unlink", "tombstones/0000000000000001.json"), ("fsync", "tombstones")]


def test_finishing_twice(archive: Archive) -> None:
    waiting = store(archive, "1.1")
    deletion = archive.begin_delete([stored(waiting)])
    deletion.finish()
    deletion.finish()
    assert archive.interrupted_deletions() == []


def test_the_next_start_finishes(data: Path) -> None:
    archive = Archive(data)
    waiting, filed = store(archive, "1.1"), store(archive, "1.2")
    archive.file_batch([filed])
    archive.begin_delete([stored(waiting), stored(filed)])
    archive.close()
    archive = Archive(data)
    assert list(archive.examine_intake()) == []         # obeyed before it is finished
    assert list(archive.walk_instances()) == []
    deletion, = archive.interrupted_deletions()
    assert list(deletion.files) == [stored(waiting), stored(filed)]
    deletion.finish()
    assert archive.interrupted_deletions() == []
    archive.close()
    assert names(data) == ["format", "intake", "lock", "quarantine", "starts", "tombstones", "trash"]
    assert names(data / "intake") == []


def test_the_same_instance_stored_again_stays(archive: Archive, data: Path) -> None:
    first = store(archive, "1.1")
    deletion = archive.begin_delete([stored(first)])
    again = store(archive, "1.1")
    deletion.finish()
    archive.file_batch([again])
    os.close(archive.open_instance(again.slot, STUDY, SERIES, "1.1"))
    archive.begin_delete([stored(first)]).finish()      # the old one once more
    os.close(archive.open_instance(again.slot, STUDY, SERIES, "1.1"))


def test_a_damaged_file_is_set_aside(archive: Archive, data: Path) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    path = data / STUDY / SERIES / "1.1.dcm"
    with open(path, "r+b") as file:
        file.seek(20)
        file.write(b"\xff")
    archive.begin_delete([stored(waiting)]).finish()
    assert not path.exists()
    assert len(names(data / "quarantine")) == 2


def test_a_damaged_dataset_does_not_keep_the_file(archive: Archive, data: Path) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    path = data / STUDY / SERIES / "1.1.dcm"
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    archive.begin_delete([stored(waiting)]).finish()
    assert not path.exists()
    assert names(data / "quarantine") == []


@pytest.mark.parametrize("label", [False, True], ids=["for good", "into the trash"])
def test_a_folder_in_the_place_of_a_file_stays_and_the_others_go(archive: Archive, data: Path, label: bool) -> None:
    one, two = store(archive, "1.1"), store(archive, "1.2")
    archive.file_batch([one, two])
    folder = data / STUDY / SERIES / "1.1.dcm"
    folder.unlink()
    folder.mkdir()
    (folder / "somebody's").write_text("precious")
    deletion = archive.begin_delete([stored(one), stored(two)], archive.trash.labels("a study")() if label else None)
    assert deletion.finish() == [stored(one)]
    assert (folder / "somebody's").read_text() == "precious"
    assert names(folder.parent) == ["1.1.dcm"]
    assert names(data / "tombstones") == names(data / "quarantine") == []
    assert [file.sop_instance_uid for record in archive.trash.records() for file in record.files] == ["1.2"] * label


def test_a_link_in_the_place_of_a_file_is_set_aside(archive: Archive, data: Path, tmp_path: Path) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    path = data / STUDY / SERIES / "1.1.dcm"
    path.rename(tmp_path / "elsewhere.dcm")
    path.symlink_to(tmp_path / "elsewhere.dcm")
    assert archive.begin_delete([stored(waiting)]).finish() == []
    assert names(data / "tombstones") == [] and not path.is_symlink()
    assert len(names(data / "quarantine")) == 2 and (tmp_path / "elsewhere.dcm").exists()


def test_a_failed_finish_may_be_repeated(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    deletion = archive.begin_delete([stored(waiting)])
    with monkeypatch.context() as patch:
        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EIO, "")
        patch.setattr(os, "unlink", fail)
        with pytest.raises(DeletionFailed):
            deletion.finish()
    assert len(names(data / "tombstones")) == 1
    deletion.finish()
    assert names(data / "tombstones") == []
    assert not (data / STUDY).exists()


def test_after_a_failed_sync_the_tombstone_stays_until_the_next_start(data: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the file has gone, and the next sync would succeed."""
    with Archive(data) as archive:
        waiting = store(archive, "1.1")
        archive.file_batch([waiting])
        deletion = archive.begin_delete([stored(waiting)])
        with monkeypatch.context() as patch:
            def fail(fd: int) -> None:
                raise OSError(errno.EIO, "")
            patch.setattr(os, "fsync", fail)
            with pytest.raises(DeletionFailed, match="mounted anew"):
                deletion.finish()
        for act in (deletion.finish, lambda: archive.begin_delete([stored(waiting)])):
            with pytest.raises(DeletionFailed, match="mounted anew"):
                act()
        assert len(names(data / "tombstones")) == 1 and not names(data / STUDY / SERIES)
    with Archive(data) as archive:
        archive.interrupted_deletions()[0].finish()
    assert names(data / "tombstones") == []


def test_only_uids(archive: Archive, data: Path) -> None:
    with pytest.raises(InvalidUid):
        archive.begin_delete([Tombstone(1, 1, "1", "..", "1")])
    assert names(data / "tombstones") == []


def test_a_symbolic_link_is_not_followed(archive: Archive, data: Path, tmp_path: Path) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    (data / STUDY).rename(tmp_path / "moved")
    (data / STUDY).symlink_to(tmp_path / "moved")
    with pytest.raises(DeletionFailed):
        archive.begin_delete([stored(waiting)]).finish()
    assert (tmp_path / "moved" / SERIES / "1.1.dcm").exists()
