from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import InstanceMissing, QuarantineFailed
from dicomserver.archive.quarantine import Kind, SetAside
from tests.archive.files import SERIES, STUDY, instance_bytes, intake_of, names, store, write_instance
from tests.archive.power import watch


def test_a_slot_that_was_just_received(archive: Archive, data: Path) -> None:
    slot = archive.take()
    write_instance(slot, "1.1", b"others")
    name = archive.set_aside(slot, "the UID is stored with other bytes", {"sop_instance_uid": "1.1", "source_ae": "CT"})
    assert name == f"{slot.number:016x}"
    assert slot.fd == -1
    assert names(data / "quarantine") == [f"{name}.dcm", f"{name}.json"]
    assert (data / "quarantine" / f"{name}.dcm").read_bytes() == instance_bytes(slot.number, "1.1", b"others")
    note = json.loads((data / "quarantine" / f"{name}.json").read_text())
    assert note.pop("set_aside_at").endswith("+00:00")
    assert note == {"reason": "the UID is stored with other bytes", "sop_instance_uid": "1.1", "source_ae": "CT"}
    assert {path.stat().st_mode & 0o7777 for path in (data / "quarantine").iterdir()} == {0o600}
    assert intake_of(archive) == []
    assert archive.quarantined() == 1


def test_durable_before_it_leaves_its_place(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = store(archive, "1.1")
    disk = watch(monkeypatch, data)
    name = archive.set_aside(waiting.slot, "why", {})
    assert [call for call in disk.calls if call[0] != "open"] == [
        ("fdatasync", f"intake/{name}"), ("link", f"quarantine/{name}.dcm"),
        ("unlink", f"quarantine/{name}.json.new"), ("write", f"quarantine/{name}.json.new"),
        ("fsync", f"quarantine/{name}.json.new"), ("rename", f"quarantine/{name}.json"), ("fsync", "quarantine"),
        ("unlink", f"intake/{name}")]
    assert archive.waiting == (0, 0)


def test_a_filed_instance_found_by_a_walk(archive: Archive, data: Path) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    found, = archive.walk_instances()
    assert archive.set_aside(found, "why", {}) == f"{waiting.slot:016x}"
    assert names(data / STUDY / SERIES) == []


def test_a_file_that_does_not_say_its_slot(archive: Archive, data: Path) -> None:
    archive.file_batch([store(archive, "1.1")])
    stray = data / STUDY / SERIES / "1.2.dcm"
    stray.write_text("stray")
    inode = stray.stat().st_ino
    found, = (found for found in archive.walk_instances() if found.sop_instance_uid == "1.2")
    assert archive.set_aside(found, "why", {}) == f"inode-{inode}"
    assert (data / "quarantine" / f"inode-{inode}.dcm").read_text() == "stray"


def test_a_name_taken_by_another_file(archive: Archive, data: Path) -> None:
    waiting = store(archive, "1.1")
    (data / "quarantine" / f"{waiting.slot:016x}.dcm").write_text("restored from a backup")
    name = archive.set_aside(waiting.slot, "why", {})
    assert name == f"{waiting.slot:016x}-1"
    assert (data / "quarantine" / f"{waiting.slot:016x}.dcm").read_text() == "restored from a backup"


@pytest.mark.parametrize("call", ["link", "fdatasync", "fsync", "rename", "unlink"])
def test_a_failure_leaves_it_where_it_was_and_may_be_repeated(archive: Archive, data: Path, call: str,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = store(archive, "1.1")
    with monkeypatch.context() as patch:
        def fail(*arguments: object, **keywords: object) -> None:
            raise OSError(errno.ENOSPC, "")
        patch.setattr(os, call, fail)
        with pytest.raises(QuarantineFailed) as caught:
            archive.set_aside(waiting.slot, "why", {})
    assert caught.value.full
    assert intake_of(archive) == [f"{waiting.slot:016x}"]
    assert archive.set_aside(waiting.slot, "why", {}) == f"{waiting.slot:016x}"
    assert len(names(data / "quarantine")) == 2


def test_a_symbolic_link_is_set_aside_itself(archive: Archive, data: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (data / STUDY / SERIES).mkdir(parents=True)
    (data / STUDY / SERIES / "1.1.dcm").symlink_to(tmp_path / "victim")
    found, = archive.walk_instances()
    name = archive.set_aside(found, "why", {})
    assert (data / "quarantine" / f"{name}.dcm").is_symlink()
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_stray_is_set_aside_while_it_is_the_one_that_was_found(archive: Archive, data: Path) -> None:
    first, second = store(archive, "1.1"), store(archive, "1.2")
    archive.file_batch([first, second])
    found = {one.sop_instance_uid: one for one in archive.walk_unknown(lambda *uids: False)}
    folder = data / STUDY / SERIES
    (folder / "1.1.dcm").rename(folder / "away")
    assert archive.set_aside_stray(found["1.1"], "why", {}) is None
    (folder / "1.1.dcm").write_bytes(b"another file has its name")
    assert archive.set_aside_stray(found["1.1"], "why", {}) is None
    assert (folder / "1.1.dcm").exists() and archive.quarantined() == 0
    name = archive.set_aside_stray(found["1.2"], "why", {})
    assert name == f"{second.slot:016x}" and (data / "quarantine" / f"{name}.dcm").exists()
    assert not (folder / "1.2.dcm").exists()


def test_what_lies_here_is_listed_with_its_reason(archive: Archive, data: Path) -> None:
    first = archive.set_aside(store(archive, "1.1").slot, "the same UID", {
        "kind": Kind.CONFLICT, "sop_instance_uid": "1.1", "source_ae": "CT"})
    second = archive.set_aside(store(archive, "1.2").slot, "a disk", {})
    one, other = archive.quarantine.entries()
    length = (data / "quarantine" / f"{first}.dcm").stat().st_size
    assert one == SetAside(first, Kind.CONFLICT, "the same UID", one.set_aside_at, "1.1", "CT", length)
    assert one.set_aside_at.endswith("+00:00")
    assert (other.name, other.kind, other.reason, other.source_ae) == (second, Kind.DAMAGED, "a disk", "")


@pytest.mark.parametrize("note", [None, "", "[1]", "{", '{"kind": "unheard of", "reason": 5}', "\udcff"])
def test_a_note_that_says_nothing(archive: Archive, data: Path, note: str | None) -> None:
    (data / "quarantine" / "mine.dcm").write_bytes(b"12345")
    if note is not None:
        (data / "quarantine" / "mine.json").write_bytes(note.encode("utf_8", "surrogateescape"))
    assert archive.quarantine.entries() == [SetAside("mine", Kind.DAMAGED, "", "", "", "", 5)]


def test_removed_for_good_with_its_note(archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = archive.set_aside(store(archive, "1.1").slot, "why", {})
    disk = watch(monkeypatch, data)
    archive.quarantine.remove(name)
    assert disk.calls == [("unlink", f"quarantine/{name}.dcm"), ("unlink", f"quarantine/{name}.json"),
                          ("fsync", "quarantine")]
    assert names(data / "quarantine") == []
    archive.quarantine.remove(name)
    with pytest.raises(InstanceMissing):
        archive.quarantine.open(name)
