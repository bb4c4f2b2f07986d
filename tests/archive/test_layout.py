from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dicomserver.archive import layout
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import (ArchiveDamaged, ArchiveLocked, ArchiveTooNew, ArchiveUnusable,
                                        InvalidUid)
from dicomserver.archive.layout import DataDirectory, instance_name, slot_name, slot_number
from tests.archive.files import names
from tests.archive.power import watch

LOCK_AND_REPORT = """
import sys
from dicomserver.archive.errors import ArchiveLocked
from dicomserver.archive.layout import DataDirectory
try:
    DataDirectory(sys.argv[1])
except ArchiveLocked as error:
    print(error.pid, error)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_directory(tmp_path: Path) -> None:
    path = tmp_path / "var" / "data"
    DataDirectory(path).close()
    assert names(path) == ["format", "intake", "lock", "quarantine", "starts", "tombstones", "trash"]
    assert json.loads((path / "format").read_text()) == {"format": 1}
    assert {mode(path / name) for name in ("format", "starts", "lock")} == {0o600}
    assert {mode(path / name) for name in ("", "intake", "quarantine", "tombstones", "trash")} == {0o700}


def test_every_start_has_its_own_slot_numbers(tmp_path: Path) -> None:
    numbers = []
    for _ in range(3):
        directory = DataDirectory(tmp_path)
        numbers.append(directory.first_number())
        directory.next_start()
        numbers.append(directory.first_number())
        directory.close()
    assert numbers == [start << 32 | 1 for start in range(1, 7)]


def test_starts_is_durable_before_the_directory_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DataDirectory(tmp_path / "data").close()
    disk = watch(monkeypatch, tmp_path / "data")
    directory = DataDirectory(tmp_path / "data")
    assert disk.calls[-5:] == [("open", "starts.new"), ("write", "starts.new"), ("fsync", "starts.new"),
                               ("rename", "starts"), ("fsync", ".")]
    directory.close()


def test_the_format_is_written_when_all_else_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = watch(monkeypatch, tmp_path / "data")
    DataDirectory(tmp_path / "data").close()
    written = disk.calls.index(("open", "format.new"))
    assert disk.calls.index(("rename", "starts")) < written
    assert disk.calls.index(("fsync", str(tmp_path))) < written      # where the name of the directory itself is
    assert disk.calls.index(("fsync", "/")) < written


def test_a_second_process_is_locked_out(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    run = [sys.executable, "-c", LOCK_AND_REPORT, str(tmp_path)]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert said == f"{os.getpid()} the data directory {tmp_path} is in use by process {os.getpid()}\n"
    directory.close()
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == ""


def test_a_lock_without_a_number(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    (tmp_path / "lock").write_text("")
    with pytest.raises(ArchiveLocked, match="in use by another process") as caught:
        DataDirectory(tmp_path)
    assert caught.value.pid is None
    directory.close()


def test_a_locked_out_opener_leaks_nothing(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ArchiveLocked):
        DataDirectory(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before
    directory.close()
    directory.close()


def test_a_newer_format_is_refused_in_one_line(tmp_path: Path) -> None:
    DataDirectory(tmp_path).close()
    (tmp_path / "format").write_text('{"format": 3}')
    with pytest.raises(ArchiveTooNew) as caught:
        DataDirectory(tmp_path)
    assert str(tmp_path) in str(caught.value) and "format 3" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "x"}', '{"format": null}'])
def test_a_format_that_cannot_be_understood(tmp_path: Path, text: str) -> None:
    DataDirectory(tmp_path).close()
    (tmp_path / "format").write_text(text)
    with pytest.raises(ArchiveDamaged, match="format cannot be understood"):
        DataDirectory(tmp_path)


def test_slot_numbers_are_never_begun_again(tmp_path: Path) -> None:
    DataDirectory(tmp_path).close()
    (tmp_path / "starts").write_text("many")
    with pytest.raises(ArchiveDamaged, match="starts cannot be understood"):
        DataDirectory(tmp_path)
    (tmp_path / "starts").write_text(str(2**31 - 1))
    with pytest.raises(ArchiveDamaged, match="too large"):
        DataDirectory(tmp_path)
    (tmp_path / "starts").unlink()
    with pytest.raises(ArchiveDamaged, match="starts is missing"):
        DataDirectory(tmp_path)


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ArchiveUnusable, match="data cannot be used: File exists"):
        DataDirectory(tmp_path / "data")


@pytest.mark.parametrize("name", layout.OWN_FOLDERS)
def test_a_folder_of_its_own_is_never_a_symbolic_link(tmp_path: Path, name: str) -> None:
    DataDirectory(tmp_path / "data").close()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / name).rmdir()
    (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArchiveUnusable):
        DataDirectory(tmp_path / "data")


def test_the_directory_itself_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    DataDirectory(tmp_path / "data").close()
    assert (tmp_path / "disk" / "format").exists()


def test_a_directory_that_may_not_be_written() -> None:
    """In a child without privileges: root may write everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                DataDirectory(folder)
            except ArchiveUnusable as error:
                os.write(writer, str(error).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader) as said:
            assert said.read() == f"the data directory {folder} cannot be used: Permission denied"
        os.waitpid(child, 0)


@pytest.mark.parametrize("uid", ["", ".", "..", "1..2", "1.2/../3", "../1", "/1", "1.2\0", "1.2\n", "1" * 65, "1.a",
                                 "intake", "１.２", "-1", " 1.2"])
def test_only_uids_become_paths(uid: str) -> None:
    with pytest.raises(InvalidUid) as caught:
        instance_name(uid)
    assert str(caught.value) == "not a UID"


def test_names() -> None:
    assert instance_name("1.2.840.10008") == "1.2.840.10008.dcm"
    assert slot_name((7 << 32) + 1) == "0000000700000001"
    assert slot_number("0000000700000001") == (7 << 32) + 1
    for name in ("", "7", "000000070000000G", "00000007000000010", "0000000A00000001", "0000000700000001\n"):
        assert slot_number(name) is None


def test_above_folders_that_may_not_be_read_all_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    real = layout.Folder

    def may_not(name: str, parent: int | None = None, **more: bool) -> Folder:
        if name == str(tmp_path):
            raise PermissionError
        return real(name, parent, **more)

    monkeypatch.setattr(layout, "Folder", may_not)
    monkeypatch.setattr(os, "sync", lambda: synced.append(True))
    layout.DataDirectory(tmp_path / "data").close()
    assert synced == [True]
