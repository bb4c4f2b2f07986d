from __future__ import annotations

import os
from pathlib import Path

import pytest

from dicomserver.archive import space as module
from dicomserver.archive.durable import Folder
from dicomserver.archive.space import Space


def test_free_space_is_asked_for_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    asked = []
    real = os.statvfs
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    monkeypatch.setattr(os, "statvfs", lambda fd: asked.append(fd) or real(fd))
    with Folder(str(tmp_path)) as folder:
        space = Space(folder)
        first = space.free()
        now += 0.9
        assert space.free() == first
        assert len(asked) == 1
        now += 0.2
        space.free()
        assert len(asked) == 2
        status = real(folder.fd)
        assert abs(first - status.f_bavail * status.f_frsize) < 1 << 30


def test_the_reserve(tmp_path: Path) -> None:
    with Folder(str(tmp_path)) as folder:
        assert Space(folder, reserve=1 << 62).is_short()
        assert not Space(folder, reserve=0).is_short()


def test_the_whole_file_system(tmp_path: Path) -> None:
    with Folder(str(tmp_path)) as folder:
        space = Space(folder)
        status = os.statvfs(folder.fd)
        assert space.free() < space.total() <= status.f_blocks * status.f_frsize
