from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive import folders as module
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import InvalidUid
from dicomserver.archive.folders import MOST_OPEN, Folders
from tests.archive.power import Disk, watch


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    with Folder(str(tmp_path)) as root:
        opened = Folders(root)
        yield opened
        opened.close()


def syncs(disk: Disk) -> list[str]:
    found = [place for call, place in disk.calls if call == "fsync"]
    disk.calls.clear()
    return found


def test_names_are_made_durable_once(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = watch(monkeypatch, tmp_path)
    folders.open(("1", "1.1"))
    folders.open(("1", "1.2"))
    folders.settle()
    assert syncs(disk) == ["1", "."]
    folders.open(("1", "1.1"))
    folders.settle()
    assert syncs(disk) == []
    folders.open(("1", "1.3"))
    folders.settle()
    assert syncs(disk) == ["1"]


def test_a_folder_that_exists_counts_only_once_synced(folders: Folders, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1" / "1.1").mkdir(parents=True)
    disk = watch(monkeypatch, tmp_path)
    folders.open(("1", "1.1"))
    folders.settle()
    assert syncs(disk) == ["1", "."]


def test_after_a_failed_sync_nothing_counts_as_durable(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.open(("1", "1.1"))
    with monkeypatch.context() as patch:
        def fail(fd: int) -> None:
            raise OSError(5, "")
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError):
            folders.settle()
    for _ in range(2):
        with pytest.raises(OSError):
            folders.settle()


def test_a_folder_made_again_is_new(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = ("1", "1.1")
    folders.open(series)
    folders.settle()
    for name in ("1/1.1", "1"):
        (tmp_path / name).rmdir()
    folders.forget(series)
    disk = watch(monkeypatch, tmp_path)
    folders.open(series)
    folders.settle()
    assert syncs(disk) == ["1", "."]


def test_few_stay_open_and_all_are_remembered(folders: Folders, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(MOST_OPEN + 40):
        folders.open(("1", f"1.{number}"))
    assert len(os.listdir("/proc/self/fd")) == before + MOST_OPEN
    folders.settle()
    disk = watch(monkeypatch, tmp_path)
    folders.open(("1", "1.0"))
    folders.settle()
    assert syncs(disk) == []


def test_forgetting_costs_a_sync_and_no_more(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 4)
    for number in range(8):
        folders.open(("1", f"1.{number}"))
        folders.settle()
    disk = watch(monkeypatch, tmp_path)
    folders.open(("1", "1.0"))
    folders.settle()
    assert "1" in syncs(disk)


@pytest.mark.parametrize("series", [("..", "1"), ("1", ".."), ("1", ""), ("1/2", "3")])
def test_only_uids(folders: Folders, tmp_path: Path, series: tuple[str, str]) -> None:
    with pytest.raises(InvalidUid):
        folders.open(series)
    assert list(tmp_path.iterdir()) == []


def test_symbolic_links_are_refused(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "1.1").mkdir(parents=True)
    (tmp_path / "1").symlink_to("elsewhere")
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "1.1").symlink_to("../elsewhere")
    for series in (("1", "1.1"), ("2", "1.1")):
        with pytest.raises(OSError):
            folders.open(series)
