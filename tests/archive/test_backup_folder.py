from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.backup_folder import MARK, BackupFolder, are_apart, is_empty
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import BackupDamaged, NotABackup
from dicomserver.archive.manifest import ListedFile, ListedInstance, ManifestWriter
from tests.archive.files import names


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


@pytest.fixture
def folder(target: Path) -> Iterator[BackupFolder]:
    with BackupFolder(str(target)) as opened:
        opened.claim("me")
        yield opened


def instance(slot: int, checksum: int = 1) -> ListedInstance:
    return ListedInstance(slot, checksum, 5, "1.2", "1.2.3", f"1.2.3.{slot}")


def listed(target: Path, number: int, *entries: ListedInstance | ListedFile) -> None:
    """A backup of these, their files too."""
    (target / "backups").mkdir(exist_ok=True)
    with Folder(str(target / "backups")) as backups:
        writer = ManifestWriter(backups, f"{number:08d}.jsonl", "now")
        for entry in entries:
            writer.add(entry)
            (target / entry.place).parent.mkdir(parents=True, exist_ok=True)
            (target / entry.place).write_bytes(b"bytes")
        writer.seal()


def test_an_empty_folder_becomes_a_backup(target: Path, folder: BackupFolder) -> None:
    assert folder.identity() == "me" and folder.numbers() == []
    assert names(target) == [MARK]
    assert "dicom-server restore" in (target / MARK).read_text()
    folder.claim("me")


@pytest.mark.parametrize("name", ["lost+found", "System Volume Information", ".Trash-1000", MARK + ".new"])
def test_what_systems_leave_on_disks_does_not_matter(target: Path, name: str) -> None:
    (target / name).mkdir()
    if name.endswith(".new"):
        (target / name).rmdir()
        (target / name).touch()
    with BackupFolder(str(target)) as folder:
        folder.claim("me")
        assert folder.identity() == "me"


def test_somebody_elses_folder_is_refused_and_untouched(target: Path) -> None:
    (target / "holiday.jpg").touch()
    with BackupFolder(str(target)) as folder, pytest.raises(NotABackup, match="not empty"):
        folder.claim("me")
    assert names(target) == ["holiday.jpg"]


def test_another_archives_backup_is_refused(target: Path, folder: BackupFolder) -> None:
    with pytest.raises(NotABackup, match="another archive"):
        folder.claim("you")


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b"[]", b'{"identity": 1}'])
def test_a_damaged_mark(target: Path, folder: BackupFolder, text: bytes) -> None:
    (target / MARK).write_bytes(text)
    with pytest.raises(NotABackup, match="damaged"):
        folder.claim("me")


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Where the disk is not mounted its backup would fill another one."""
    with pytest.raises(NotABackup, match="connected"):
        BackupFolder(str(tmp_path / "usb" / "backup"))
    (tmp_path / "file").touch()
    with pytest.raises(NotABackup, match="cannot be used"):
        BackupFolder(str(tmp_path / "file"))
    assert names(tmp_path) == ["file"]


def test_backups_by_their_numbers(target: Path, folder: BackupFolder) -> None:
    listed(target, 2, instance(1))
    listed(target, 10)
    for name in ("note.txt", "._00000012.jsonl", "\u00b2.jsonl"):
        (target / "backups" / name).touch()
    assert folder.numbers() == [2, 10] and folder.manifest(2).instances == 1
    assert folder.place_of(10) == "backups/00000010.jsonl"
    (target / "backups" / "00000010.jsonl").write_text("?")
    with pytest.raises(BackupDamaged):
        folder.manifest(10)


def test_holds_what_has_its_length(target: Path, folder: BackupFolder) -> None:
    listed(target, 1, instance(1))
    assert folder.holds(instance(1).place, 5)
    assert not folder.holds(instance(1).place, 4) and not folder.holds(instance(2).place, 5)
    assert not folder.holds(MARK + "/x", 5)


def test_files_that_no_kept_backup_lists_go(target: Path, folder: BackupFolder) -> None:
    first, second, third, far = instance(1), instance(2), instance(3), instance(1 << 40)
    text, note = ListedFile("a", 5, "aa", 1), ListedFile("b", 5, "bb", 1)
    listed(target, 1, first, far, text)
    listed(target, 2, first, second, note)
    listed(target, 3, second, third)
    assert folder.keep_only([1, 2, 3]) == 0
    assert folder.keep_only([2, 3]) == 1
    assert folder.numbers() == [2, 3]
    assert all((target / entry.place).exists() for entry in (first, second, third, note))
    assert not (target / far.place).parent.exists() and not (target / text.place).exists()
    assert folder.keep_only([3]) == 1
    assert names(target / "files") == [] and folder.numbers() == [3]


def test_what_an_interrupted_backup_copied_and_nobody_lists_goes_too(target: Path, folder: BackupFolder) -> None:
    listed(target, 1, instance(1))
    for name in (instance(2).place, "instances/0000000000000/foreign"):
        (target / name).write_bytes(b"bytes")
    assert folder.keep_only([1]) == 2
    assert names(target / "instances" / "0000000000000") == [os.path.basename(instance(1).place)]


def test_what_a_file_manager_leaves_among_the_folders_does_not_matter(target: Path, folder: BackupFolder) -> None:
    listed(target, 1, instance(1))
    listed(target, 2)
    (target / "instances" / ".DS_Store").touch()
    assert folder.keep_only([2]) == 1
    assert names(target / "instances") == [".DS_Store"]


def test_nothing_goes_when_a_list_is_damaged(target: Path, folder: BackupFolder) -> None:
    listed(target, 1, instance(1))
    listed(target, 2, instance(2))
    listed(target, 3, instance(3))
    (target / "backups" / "00000002.jsonl").write_text("?")
    with pytest.raises(BackupDamaged):
        folder.keep_only([2, 3])
    assert folder.numbers() == [1, 2, 3] and all((target / instance(slot).place).exists() for slot in (1, 2, 3))


def test_apart(tmp_path: Path) -> None:
    for name in ("a", "a/b", "ab"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert are_apart(str(tmp_path / "a"), str(tmp_path / "ab"))
    for one, other in (("a", "a"), ("a", "a/b"), ("a/b", "a"), ("link", "a/b"), ("link", "a")):
        assert not are_apart(str(tmp_path / one), str(tmp_path / other))


def test_empty(tmp_path: Path) -> None:
    with Folder(str(tmp_path)) as folder:
        (tmp_path / ".hidden").touch()
        assert is_empty(folder)
        (tmp_path / "x").touch()
        assert not is_empty(folder) and is_empty(folder, but="x")
