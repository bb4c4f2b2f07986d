from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import ArchiveDamaged, InvalidUid, KeepingFailed
from dicomserver.archive.keeping import KeptStudies
from tests.archive.files import names
from tests.archive.power import watch


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Folder]:
    with Folder(str(tmp_path)) as opened:
        yield opened


def test_what_is_kept_outlives_the_process(root: Folder) -> None:
    kept = KeptStudies(root)
    assert kept.all() == [] and "1.2.3" not in kept
    assert kept.set("1.2.3", True) and kept.set("1.2.2", True)
    again = KeptStudies(root)
    assert again.all() == ["1.2.2", "1.2.3"] and "1.2.3" in again
    assert again.set("1.2.3", False)
    assert KeptStudies(root).all() == ["1.2.2"]


def test_durable_when_it_returns(root: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptStudies(root)
    disk = watch(monkeypatch, tmp_path)
    kept.set("1.2.3", True)
    assert [call for call, _ in disk.calls] == ["unlink", "open", "write", "fsync", "rename", "fsync"]


def test_what_changes_nothing_writes_nothing(root: Folder, tmp_path: Path) -> None:
    kept = KeptStudies(root)
    assert not kept.set("1.2.3", False)
    assert names(tmp_path) == []
    kept.set("1.2.3", True)
    assert not kept.set("1.2.3", True)


def test_a_failing_disk_changes_nothing(root: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptStudies(root)
    kept.set("1.2.3", True)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(KeepingFailed):
            kept.set("1.2.3", False)
    assert kept.all() == KeptStudies(root).all() == ["1.2.3"]


def test_only_uids(root: Folder) -> None:
    with pytest.raises(InvalidUid):
        KeptStudies(root).set("../x", True)


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", '["x"]'])
def test_a_list_that_cannot_be_understood(root: Folder, tmp_path: Path, text: str) -> None:
    (tmp_path / "kept.json").write_text(text)
    with pytest.raises(ArchiveDamaged, match=r"^kept\.json"):
        KeptStudies(root)
