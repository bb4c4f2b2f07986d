from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import pytest

from dicomserver.archive import walking
from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import RecoveryFailed
from dicomserver.archive.recovery import Verdict
from tests.archive.files import SERIES, STUDY, lay_in, store, stored


def test_every_instance_with_its_uids(archive: Archive) -> None:
    batch = [store(archive, f"1.{number}", b"x" * number, study=f"3.{number % 2}", series=f"2.{number % 3}")
             for number in range(12)]
    archive.file_batch(batch)
    found = {(f.slot, f.study_instance_uid, f.series_instance_uid, f.sop_instance_uid, f.file_length)
             for f in archive.walk_instances()}
    assert found == {(w.slot, w.study_instance_uid, w.series_instance_uid, w.sop_instance_uid, w.file_length)
                     for w in batch}
    assert archive.count_instances() == 12


def test_what_waits_in_the_intake_is_not_walked(archive: Archive) -> None:
    store(archive, "1.1")
    assert list(archive.walk_instances()) == []
    assert archive.count_instances() == 0


def test_foreign_files_are_reported_and_nothing_else_of_the_data_directory(archive: Archive, data: Path,
                                                                           tmp_path: Path) -> None:
    archive.file_batch([store(archive, "1.1")])
    lay_in(data, "1.6")
    for name in ("index.sqlite", "lost+found/x", "my study/x", f"{STUDY}/x.txt", f"{STUDY}/my series/x",
                 f"{STUDY}/{SERIES}/1.3.txt", f"{STUDY}/{SERIES}/..1.dcm"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_text("x")
    (data / STUDY / SERIES / "1.2.dcm").write_text("no header of ours")
    (data / STUDY / SERIES / "1.4.dcm").mkdir()
    (data / STUDY / SERIES / "1.5.dcm").symlink_to(data / STUDY / SERIES / "1.1.dcm")
    (data / "9.9").symlink_to(tmp_path)
    (data / STUDY / "9.9").symlink_to(tmp_path)
    found = {f.name: f.verdict for f in archive.walk_instances()}
    assert found.pop(f"{STUDY}/{SERIES}/1.1.dcm") is Verdict.WHOLE
    assert set(found) == {"my study", "9.9", f"{STUDY}/9.9", f"{STUDY}/x.txt", f"{STUDY}/my series",
                          *(f"{STUDY}/{SERIES}/{name}" for name in ("1.2.dcm", "1.3.txt", "1.4.dcm", "1.5.dcm",
                                                                    "..1.dcm"))}
    assert set(found.values()) == {Verdict.FOREIGN}


def test_damage(archive: Archive, data: Path) -> None:
    archive.file_batch([store(archive, f"1.{number}") for number in range(4)])
    folder = data / STUDY / SERIES
    for name, position in (("1.0.dcm", 20), ("1.1.dcm", -1)):
        content = bytearray((folder / name).read_bytes())
        content[position] ^= 1
        (folder / name).write_bytes(content)
    with open(folder / "1.2.dcm", "ab") as file:
        file.write(b"x")
    (folder / "1.3.dcm").rename(folder / "1.4.dcm")
    damaged = {f.sop_instance_uid for f in archive.walk_instances() if f.verdict is Verdict.DAMAGED}
    assert damaged == {"1.0", "1.2", "1.4"}
    damaged = {f.sop_instance_uid for f in archive.walk_instances(whole=True) if f.verdict is Verdict.DAMAGED}
    assert damaged == {"1.0", "1.1", "1.2", "1.4"}


@pytest.mark.parametrize("call", ["open", "pread"])
def test_a_file_that_cannot_be_read_costs_no_other(archive: Archive, data: Path, call: str,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    archive.file_batch([store(archive, f"1.{number}") for number in range(3)])
    bad = (data / STUDY / SERIES / "1.1.dcm").stat().st_ino
    real = getattr(os, call)

    def failing(file: str | int, *arguments: int, **folder: int) -> object:
        if os.stat(file, **folder).st_ino == bad:
            raise OSError(errno.EIO, "")
        return real(file, *arguments, **folder)

    monkeypatch.setattr(os, call, failing)
    found = {f.sop_instance_uid: (f.verdict, f.reason) for f in archive.walk_instances()}
    assert found == {"1.0": (Verdict.WHOLE, ""), "1.1": (Verdict.DAMAGED, "it cannot be read"),
                     "1.2": (Verdict.WHOLE, "")}


def test_another_failure_ends_the_walk(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.file_batch([store(archive, "1.1")])

    def failing(*arguments: int) -> None:
        raise OSError(errno.ENOMEM, "")

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(RecoveryFailed):
        list(archive.walk_instances())


def test_tombstones_are_obeyed(archive: Archive) -> None:
    batch = [store(archive, "1.1"), store(archive, "1.2")]
    archive.file_batch(batch)
    archive.begin_delete([stored(batch[0])])
    assert [f.sop_instance_uid for f in archive.walk_instances()] == ["1.2"]


def test_one_file_at_a_time(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """No headers are gathered: the first file comes before another is looked at, and no descriptor is left."""
    archive.file_batch([store(archive, f"1.{number}") for number in range(50)])
    seen = []
    real = walking._look

    def look(folder: object, path: str, entry: os.DirEntry[str], *more: object):
        seen.append(entry.name)
        return real(folder, path, entry, *more)

    monkeypatch.setattr(walking, "_look", look)
    gc.collect()    # what other tests have left is not to be counted
    before = descriptors(archive)
    walk = archive.walk_instances()
    next(walk)
    assert len(seen) == 1
    walk.close()
    assert descriptors(archive) == before


def descriptors(archive: Archive) -> int:
    """How many are open, but for slots: they are made ahead by a thread of its own."""
    count = 0
    for fd in os.listdir("/proc/self/fd"):
        try:
            count += not os.readlink(f"/proc/self/fd/{fd}").startswith(f"{archive.path}/intake/")
        except FileNotFoundError:
            continue    # that of listdir itself
    return count


def test_the_order_is_that_of_arrival(archive: Archive) -> None:
    """Over series and studies; within one series too, whatever the names are."""
    arrived = [("1.5", "1.5.2"), ("1.4", "1.4.1"), ("1.5", "1.5.2"), ("1.5", "1.5.1"), ("1.4", "1.4.1")]
    batch = [store(archive, f"1.{9 - number}", study=study, series=series)
             for number, (study, series) in enumerate(arrived)]
    archive.file_batch(batch)
    walked = list(archive.walk_instances())
    first_come = sorted(set(arrived), key=arrived.index)
    assert [(found.study_instance_uid, found.series_instance_uid, found.slot) for found in walked] == [
        (study, series, one.slot) for study, series in first_come for one in batch
        if (one.study_instance_uid, one.series_instance_uid) == (study, series)]


def test_only_what_is_not_known_is_opened_and_read_whole(archive: Archive, data: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    archive.file_batch([store(archive, f"1.{number}") for number in range(4)])
    folder = data / STUDY / SERIES
    for number in (0, 1):
        content = bytearray((folder / f"1.{number}.dcm").read_bytes())
        content[-1] ^= 1
        (folder / f"1.{number}.dcm").write_bytes(content)
    (folder / "1.9").write_text("a name without its ending is nobody's")
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda name, *args, **more: opened.append(name) or real(name, *args, **more))
    asked = []

    def is_known(study: str, series: str, uid: str) -> bool:
        asked.append((study, series, uid))
        return uid in ("1.0", "1.3")
    found = {f.name: f.verdict for f in archive.walk_unknown(is_known)}
    assert found == {f"{STUDY}/{SERIES}/1.1.dcm": Verdict.DAMAGED, f"{STUDY}/{SERIES}/1.2.dcm": Verdict.WHOLE,
                     f"{STUDY}/{SERIES}/1.9": Verdict.FOREIGN}
    assert sorted(asked) == [(STUDY, SERIES, f"1.{number}") for number in range(4)]
    assert {"1.1.dcm", "1.2.dcm"} == {name for name in opened if name.endswith(".dcm")}
