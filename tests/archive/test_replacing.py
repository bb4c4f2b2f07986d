"""The steps by which a file of quarantine/ comes to the place of a stored one."""
from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing, QuarantineFailed
from dicomserver.archive.filing import Waiting
from dicomserver.archive.layout import slot_name
from dicomserver.archive.quarantine import Kind
from dicomserver.archive.recovery import Verdict
from tests.archive.files import SERIES, STUDY, instance_bytes, intake_of, names, store, stored
from tests.archive.power import Survives, watch


def quarantine(archive: Archive, dataset: bytes = b"newcomer") -> str:
    """An instance 1.1 in quarantine/; its name there."""
    return archive.set_aside(store(archive, "1.1", dataset).slot, "why", {"kind": Kind.CONFLICT})


@pytest.fixture
def filed(archive: Archive) -> Waiting:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    return waiting


def test_a_file_taken_back_is_verified_and_has_its_slots_name_again(archive: Archive, data: Path) -> None:
    name = quarantine(archive)
    for _ in range(2):      # it may be repeated
        found = archive.replacing.take_back(name)
        assert (found.name, found.verdict, slot_name(found.slot)) == (f"intake/{name}", Verdict.WHOLE, name)
        assert found.header.meta.sop_instance_uid == "1.1"
        assert found.file_length == (data / "intake" / name).stat().st_size
    assert (data / "intake" / name).samefile(data / "quarantine" / f"{name}.dcm")
    archive.replacing.put_back(found.slot)
    assert intake_of(archive) == [] and names(data / "quarantine") == [f"{name}.dcm", f"{name}.json"]


def test_what_was_put_back_stays_out_of_the_intake_after_a_power_cut(archive: Archive, data: Path, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    name = quarantine(archive)
    with monkeypatch.context() as patch:
        disk = watch(patch, data)
        archive.replacing.put_back(archive.replacing.take_back(name).slot)
        disk.off()
        state = disk.state(Survives.ADDITIONS, tmp_path / "state")
        disk.close()
    assert name not in names(state / "intake") and f"{name}.dcm" in names(state / "quarantine")


def test_taking_back_is_durable_and_no_old_tombstone_can_return(archive: Archive, data: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    name = quarantine(archive)
    disk = watch(monkeypatch, data)
    archive.replacing.take_back(name)
    assert [call for call in disk.calls if call[0] != "open"] == [
        ("fdatasync", f"quarantine/{name}.dcm"), ("fsync", "tombstones"), ("link", f"intake/{name}"),
        ("fsync", "intake")]


@pytest.mark.parametrize("change", [lambda file: file.write(b"X"), lambda file: file.truncate(50)])
def test_a_damaged_file_is_not_taken_back(archive: Archive, data: Path, change) -> None:
    name = quarantine(archive)
    with open(data / "quarantine" / f"{name}.dcm", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        change(file)
    with pytest.raises(InstanceDamaged):
        archive.replacing.take_back(name)
    assert intake_of(archive) == []


def test_what_is_not_there_or_of_another_server_is_not_taken_back(archive: Archive, data: Path) -> None:
    with pytest.raises(InstanceMissing):
        archive.replacing.take_back("nothing")
    later = (9 << 32) + 5
    (data / "quarantine" / "theirs.dcm").write_bytes(instance_bytes(later, "1.1", b"x"))
    with pytest.raises(InstanceDamaged, match="another server"):
        archive.replacing.take_back("theirs")
    assert intake_of(archive) == []


def test_a_slot_that_another_file_has_is_left_alone(archive: Archive, data: Path) -> None:
    there = store(archive, "1.2")
    (data / "quarantine" / "copy.dcm").write_bytes(instance_bytes(there.slot, "1.1", b"x"))
    with pytest.raises(InstanceDamaged, match="another file is in the slot"):
        archive.replacing.take_back("copy")
    assert (data / "intake" / slot_name(there.slot)).read_bytes() == instance_bytes(there.slot, "1.2", b"pixels")


@pytest.mark.parametrize("call", ["link", "fdatasync", "fsync"])
def test_the_disk_says_no(archive: Archive, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = quarantine(archive)

    def fail(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.EIO if call == "fdatasync" else errno.ENOSPC, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(QuarantineFailed):
            archive.replacing.take_back(name)
    if call == "fsync":     # of a folder, of which no sync is believed any more
        with pytest.raises(QuarantineFailed, match="started again"):
            archive.replacing.take_back(name)
    else:
        assert archive.replacing.take_back(name).verdict is Verdict.WHOLE


def test_the_stored_one_is_kept_aside_and_stays(archive: Archive, data: Path, filed: Waiting) -> None:
    name = archive.replacing.keep_aside(stored(filed), "another one is right", {"kind": Kind.REPLACED})
    assert name == slot_name(filed.slot)
    assert (data / "quarantine" / f"{name}.dcm").samefile(data / STUDY / SERIES / "1.1.dcm")
    assert json.loads((data / "quarantine" / f"{name}.json").read_text())["kind"] == "replaced"


def test_so_it_is_while_it_waits_for_the_mover(archive: Archive, data: Path) -> None:
    waiting = store(archive, "1.1")
    name = archive.replacing.keep_aside(stored(waiting), "why", {})
    assert (data / "quarantine" / f"{name}.dcm").samefile(data / "intake" / name)


def test_damaged_it_is_kept_too(archive: Archive, data: Path, filed: Waiting) -> None:
    path = data / STUDY / SERIES / "1.1.dcm"
    path.write_bytes(b"broken")
    name = archive.replacing.keep_aside(stored(filed), "why", {})
    assert (data / "quarantine" / f"{name}.dcm").read_bytes() == b"broken"


def test_without_a_file_or_with_anothers_nothing_is_kept(archive: Archive, data: Path, filed: Waiting) -> None:
    path = data / STUDY / SERIES / "1.1.dcm"
    path.write_bytes(instance_bytes(filed.slot + 1, "1.1", b"another"))
    assert archive.replacing.keep_aside(stored(filed), "why", {}) is None
    path.unlink()
    assert archive.replacing.keep_aside(stored(filed), "why", {}) is None
    assert names(data / "quarantine") == []


def test_a_second_name_goes_and_nothing_else_does(archive: Archive, data: Path, filed: Waiting) -> None:
    archive.replacing.drop_second_name(stored(filed))
    name = archive.replacing.keep_aside(stored(filed), "why", {})
    other = quarantine(archive)
    archive.replacing.drop_second_name(stored(filed))
    assert names(data / "quarantine") == [f"{other}.dcm", f"{other}.json"]
    (data / "quarantine" / f"{name}.dcm").write_bytes(b"not the same file")
    archive.replacing.drop_second_name(stored(filed))
    assert (data / "quarantine" / f"{name}.dcm").exists()


def test_the_last_name_does_not_go(archive: Archive, data: Path, filed: Waiting) -> None:
    name = archive.replacing.keep_aside(stored(filed), "why", {})
    (data / STUDY / SERIES / "1.1.dcm").unlink()
    archive.replacing.drop_second_name(stored(filed))
    assert (data / "quarantine" / f"{name}.dcm").exists()
