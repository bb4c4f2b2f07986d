from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import FilingFailed, InvalidUid
from dicomserver.archive.filing import Result, Waiting
from dicomserver.archive.folders import MOST_OPEN
from tests.archive.files import SERIES, STUDY, instance_bytes, intake_of, names, store, stored
from tests.archive.power import watch


def final(archive: Archive, sop: str, series: str = SERIES, study: str = STUDY) -> Path:
    return Path(archive.path, study, series, sop + ".dcm")


def file_one(archive: Archive, waiting: Waiting) -> Result:
    outcome, = archive.file_batch([waiting])
    assert outcome.waiting == waiting
    return outcome.result


def test_a_batch(archive: Archive) -> None:
    batch = [store(archive, f"1.{number}", b"%d" % number, series=f"2.{number % 3}") for number in range(9)]
    outcomes = archive.file_batch(batch)
    assert {outcome.waiting for outcome in outcomes} == set(batch)
    assert {outcome.result for outcome in outcomes} == {Result.FILED}
    assert intake_of(archive) == []
    for number, waiting in enumerate(batch):
        path = final(archive, f"1.{number}", f"2.{number % 3}")
        assert path.read_bytes() == instance_bytes(waiting.slot, f"1.{number}", b"%d" % number)
        assert path.stat().st_mode & 0o7777 == 0o600
        assert path.stat().st_nlink == 1
        assert path.parent.stat().st_mode & 0o7777 == path.parent.parent.stat().st_mode & 0o7777 == 0o700
    assert archive.waiting == (0, 0)
    assert archive.file_batch([]) == []


def test_link_then_sync_then_unlink(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = store(archive, "1.1"), store(archive, "1.2", series="7")
    disk = watch(monkeypatch, data)
    archive.file_batch([one, two])
    calls = [call for call in disk.calls if call[0] != "open"]
    assert calls == [
        ("mkdir", STUDY), ("mkdir", f"{STUDY}/{SERIES}"), ("link", f"{STUDY}/{SERIES}/1.1.dcm"),
        ("mkdir", f"{STUDY}/7"), ("link", f"{STUDY}/7/1.2.dcm"),
        ("fsync", f"{STUDY}/{SERIES}"), ("fsync", f"{STUDY}/7"), ("fsync", STUDY), ("fsync", "."),
        ("unlink", f"intake/{one.slot:016x}"), ("unlink", f"intake/{two.slot:016x}"),
    ]


def test_a_large_batch_of_one_series_is_cheap(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file_one(archive, store(archive, "1.1"))
    batch = [store(archive, f"2.{number}") for number in range(256)]
    disk = watch(monkeypatch, data)
    archive.file_batch(batch)
    calls = [call for call, _ in disk.calls]
    assert {call: calls.count(call) for call in calls} == {"link": 256, "fsync": 1, "unlink": 256}


def test_more_series_than_may_be_open(archive: Archive, data: Path) -> None:
    batch = [store(archive, f"1.{number}", series=f"2.{number}") for number in range(MOST_OPEN * 2 + 3)]
    archive.file_batch(batch)
    assert len(names(data / STUDY)) == len(batch)
    assert intake_of(archive) == []


def test_the_same_batch_again(archive: Archive) -> None:
    waiting = store(archive, "1.1")
    assert file_one(archive, waiting) is Result.FILED
    assert file_one(archive, waiting) is Result.ALREADY


def test_a_link_that_a_crash_left(archive: Archive) -> None:
    waiting = store(archive, "1.1")
    path = final(archive, "1.1")
    path.parent.mkdir(parents=True)
    os.link(Path(archive.path, "intake", f"{waiting.slot:016x}"), path)
    assert file_one(archive, waiting) is Result.ALREADY
    assert path.stat().st_nlink == 1


def test_the_same_bytes_under_the_name_are_synced_first(archive: Archive, data: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = store(archive, "1.1")
    path = final(archive, "1.1")
    path.parent.mkdir(parents=True)
    shutil.copy(Path(archive.path, "intake", f"{waiting.slot:016x}"), path)
    disk = watch(monkeypatch, data)
    assert file_one(archive, waiting) is Result.ALREADY
    place = str(path.relative_to(data))
    assert disk.calls.index(("fdatasync", place)) < disk.calls.index(("unlink", f"intake/{waiting.slot:016x}"))
    assert names(data / "quarantine") == []


@pytest.mark.parametrize("stray", [b"", b"something else", None])
def test_a_stray_is_set_aside(archive: Archive, data: Path, stray: bytes | None) -> None:
    waiting = store(archive, "1.1")
    path = final(archive, "1.1")
    path.parent.mkdir(parents=True)
    stray = instance_bytes(77, "1.1", b"of another slot") if stray is None else stray
    path.write_bytes(stray)
    outcome, = archive.file_batch([waiting])
    assert outcome.result is Result.REPLACED
    assert path.read_bytes() == instance_bytes(waiting.slot, "1.1", b"pixels")
    assert (data / "quarantine" / f"{outcome.set_aside}.dcm").read_bytes() == stray
    assert intake_of(archive) == []


def test_a_symbolic_link_under_the_name_is_set_aside_and_not_followed(archive: Archive, data: Path,
                                                                      tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    path = final(archive, "1.1")
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "victim")
    assert file_one(archive, store(archive, "1.1")) is Result.REPLACED
    assert (tmp_path / "victim").read_text() == "precious"
    assert not path.is_symlink()


def test_a_folder_under_the_name_stays_and_the_others_are_filed(archive: Archive, data: Path) -> None:
    blocked, other = store(archive, "1.1"), store(archive, "1.2")
    final(archive, "1.1").mkdir(parents=True)
    outcomes = {outcome.waiting: outcome.result for outcome in archive.file_batch([blocked, other])}
    assert outcomes == {blocked: Result.BLOCKED, other: Result.FILED}
    assert intake_of(archive) == [f"{blocked.slot:016x}"] and archive.waiting == (0, 0)
    os.close(archive.open_instance(blocked.slot, STUDY, SERIES, "1.1"))
    assert names(data / "quarantine") == [] and final(archive, "1.1").is_dir()
    final(archive, "1.1").rmdir()
    assert file_one(archive, blocked) is Result.FILED


def test_a_folder_under_the_name_of_a_deleted_slot(archive: Archive) -> None:
    waiting = store(archive, "1.1")
    final(archive, "1.1").mkdir(parents=True)
    archive.begin_delete([stored(waiting)]).finish()
    assert intake_of(archive) == []
    assert file_one(archive, waiting) is Result.MISSING


@pytest.mark.parametrize("level", ["study", "series"])
@pytest.mark.parametrize("kind", ["file", "link to a folder", "link to nothing"])
def test_something_else_in_the_place_of_a_folder(archive: Archive, data: Path, tmp_path: Path, level: str,
                                                 kind: str) -> None:
    """Nothing is put where it leads to; others are filed, and it is, too, when the thing has gone."""
    elsewhere = tmp_path / "elsewhere"
    if kind == "link to a folder":
        elsewhere.mkdir()
    thing = data / STUDY if level == "study" else data / STUDY / SERIES
    thing.parent.mkdir(exist_ok=True)
    if kind == "file":
        thing.write_text("somebody's")
    else:
        thing.symlink_to(elsewhere)
    blocked, other = store(archive, "1.1"), store(archive, "1.2", study="9.1", series="9.2")
    outcomes = {outcome.waiting: outcome.result for outcome in archive.file_batch([blocked, other])}
    assert outcomes == {blocked: Result.BLOCKED, other: Result.FILED}
    assert intake_of(archive) == [f"{blocked.slot:016x}"] and archive.waiting == (0, 0)
    assert not elsewhere.exists() or names(elsewhere) == []
    os.close(archive.open_instance(blocked.slot, STUDY, SERIES, "1.1"))
    thing.unlink()
    assert file_one(archive, blocked) is Result.FILED


def test_a_deleted_slot_whose_folder_is_a_file(archive: Archive, data: Path) -> None:
    waiting = store(archive, "1.1")
    archive.discard(waiting.slot)
    (data / STUDY).write_text("somebody's")
    assert file_one(archive, waiting) is Result.MISSING


@pytest.mark.parametrize("field", ["study_instance_uid", "series_instance_uid", "sop_instance_uid"])
def test_a_path_in_a_uid(archive: Archive, field: str, data: Path) -> None:
    slot = archive.take()
    uids = {"study_instance_uid": "1", "series_instance_uid": "1", "sop_instance_uid": "1", field: "../1"}
    with pytest.raises(InvalidUid):
        archive.file_batch([Waiting(slot.number, file_length=1, **uids)])
    archive.discard(slot)
    assert not any(name.endswith(".dcm") for _, _, files in os.walk(data.parent) for name in files)


def test_a_deleted_slot(archive: Archive) -> None:
    waiting = store(archive, "1.1")
    archive.discard(waiting.slot)
    assert file_one(archive, waiting) is Result.MISSING
    assert archive.waiting == (0, 0)
    assert not Path(archive.path, STUDY).exists()


def test_a_deleted_slot_beside_another_of_its_study(archive: Archive) -> None:
    gone, there = store(archive, "1.1", series="2.1"), store(archive, "1.2", series="2.2")
    archive.discard(gone.slot)
    outcomes = archive.file_batch([gone, there])
    assert [outcome.result for outcome in outcomes] == [Result.MISSING, Result.FILED]
    assert names(Path(archive.path, STUDY)) == ["2.2"]


def test_a_slot_that_is_gone_because_it_was_filed(archive: Archive) -> None:
    waiting = store(archive, "1.1")
    assert file_one(archive, waiting) is Result.FILED
    assert file_one(archive, waiting) is Result.ALREADY
    archive.begin_delete([stored(waiting)]).finish()
    assert file_one(archive, waiting) is Result.MISSING
    assert not Path(archive.path, STUDY).exists()


def test_a_folder_removed_under_the_descriptor(archive: Archive, data: Path) -> None:
    file_one(archive, store(archive, "1.1"))
    shutil.rmtree(data / STUDY)
    assert file_one(archive, store(archive, "1.2")) is Result.FILED
    assert final(archive, "1.2").exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("name", ["link", "mkdir", "unlink"])
def test_a_failed_call_leaves_all_slots_and_may_be_repeated(archive: Archive, name: str, number: int,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    batch = [store(archive, f"1.{count}", series=f"2.{count % 2}") for count in range(4)]
    real = getattr(os, name)
    calls = iter(range(1000))

    def failing(*arguments: object, **keywords: object) -> object:
        if next(calls) == 1:
            raise OSError(number, os.strerror(number))
        return real(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing)
        with pytest.raises(FilingFailed) as caught:
            archive.file_batch(batch)
    assert caught.value.errno == number
    assert caught.value.full == (number == errno.ENOSPC)
    assert len(intake_of(archive)) >= 3
    assert archive.waiting[0] == 4
    outcomes = archive.file_batch(batch)
    assert {outcome.result for outcome in outcomes} <= {Result.FILED, Result.ALREADY}
    assert intake_of(archive) == []
    assert all(final(archive, f"1.{count}", f"2.{count % 2}").exists() for count in range(4))


@pytest.mark.parametrize("folder", [f"{STUDY}/{SERIES}", STUDY, "."])
def test_after_a_failed_sync_no_slot_goes_until_a_new_start_has_made_its_name_anew(
        folder: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the folder, whose next sync would succeed: it proves nothing."""
    with Archive(data) as archive:
        waiting, later = store(archive, "1.1"), store(archive, "2.1", series="2.2")
        real = os.fsync

        def fsync(fd: int) -> None:
            if os.path.samestat(os.fstat(fd), (data / folder).stat()):
                raise OSError(errno.EIO, "")
            real(fd)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            with pytest.raises(FilingFailed, match="mounted anew"):
                archive.file_batch([waiting])
        for batch in ([waiting], [later]):
            with pytest.raises(FilingFailed, match="mounted anew"):
                archive.file_batch(batch)
        assert intake_of(archive) == [f"{waiting.slot:016x}", f"{later.slot:016x}"]
    with Archive(data) as archive:
        disk = watch(monkeypatch, data)
        assert file_one(archive, waiting) is Result.ALREADY
        place = f"{STUDY}/{SERIES}/1.1.dcm"
        assert [call for call in disk.calls if call[0] != "open"] == [
            ("link", place), ("unlink", place), ("link", place), ("fsync", f"{STUDY}/{SERIES}"), ("fsync", STUDY),
            ("fsync", "."), ("unlink", f"intake/{waiting.slot:016x}")]


def test_a_file_whose_deletion_is_under_way_makes_room(archive: Archive, data: Path) -> None:
    old = store(archive, "1.1")
    file_one(archive, old)
    deletion = archive.begin_delete([stored(old)])
    new = store(archive, "1.1")
    assert file_one(archive, new) is Result.FILED
    assert names(data / "quarantine") == []
    deletion.finish()
    assert final(archive, "1.1").read_bytes() == instance_bytes(new.slot, "1.1", b"pixels")


def test_a_file_on_its_way_to_the_trash_reaches_it_before_it_makes_room(archive: Archive, data: Path,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    old = store(archive, "1.1", b"old")
    file_one(archive, old)
    deletion = archive.begin_delete([stored(old, b"old")], archive.trash.labels("")())
    new = store(archive, "1.1", b"new")
    disk = watch(monkeypatch, data)
    assert file_one(archive, new) is Result.FILED
    (trashed,), place = names(data / "trash"), f"{STUDY}/{SERIES}/1.1.dcm"
    assert [call for call in disk.calls if call[0] != "open"] == [
        ("link", place), ("link", f"trash/{trashed}"), ("fsync", "trash"), ("unlink", place), ("link", place),
        ("fsync", f"{STUDY}/{SERIES}"), ("unlink", f"intake/{new.slot:016x}")]
    deletion.finish()
    (record,) = archive.trash.records()
    assert [file.name for file in record.files] == [trashed]
    assert (data / "trash" / trashed).read_bytes() == instance_bytes(old.slot, "1.1", b"old")
    assert final(archive, "1.1").read_bytes() == instance_bytes(new.slot, "1.1", b"new")


def test_one_of_an_interrupted_deletion_reaches_the_trash_too(data: Path) -> None:
    with Archive(data) as archive:
        old = store(archive, "1.1", b"old")
        file_one(archive, old)
        archive.begin_delete([stored(old, b"old")], archive.trash.labels("")())
    with Archive(data) as archive:
        file_one(archive, store(archive, "1.1", b"new"))
        (deletion,) = archive.interrupted_deletions()
        deletion.finish()
        (file,) = next(archive.trash.records()).files
        assert archive.trash.examine(file).slot == old.slot


def test_one_that_is_deleted_for_good_beside_that_does_not(archive: Archive, data: Path) -> None:
    old = store(archive, "1.1", b"old")
    file_one(archive, old)
    archive.begin_delete([stored(old, b"old")])
    file_one(archive, store(archive, "1.1", b"new"))
    assert names(data / "trash") == []


@pytest.mark.parametrize("to_trash", [False, True])
def test_one_whose_deletion_stopped_does_not_take_the_name_of_its_successor(archive: Archive, data: Path,
                                                                            to_trash: bool) -> None:
    old = store(archive, "1.1", b"old")
    label = archive.trash.labels("")() if to_trash else None
    deletion = archive.begin_delete([stored(old, b"old")], label)
    new = store(archive, "1.1", b"new")
    assert [file_one(archive, one) for one in (new, old)] == [Result.FILED, Result.MISSING]
    assert intake_of(archive) == names(data / "quarantine") == []
    deletion.finish()
    assert final(archive, "1.1").read_bytes() == instance_bytes(new.slot, "1.1", b"new")
    trashed = [file.slot for record in archive.trash.records() for file in record.files]
    assert trashed == ([old.slot] if to_trash else [])
