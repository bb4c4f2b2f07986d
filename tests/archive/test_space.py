from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dicomserver.archive import space as module
from dicomserver.archive.durable import Folder
from dicomserver.archive.space import LAST_ROOM, LAST_ROOM_FILE, LastRoom, Space


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


def room_of(folder: Path) -> int | None:
    path = folder / LAST_ROOM_FILE
    return path.stat().st_blocks * 512 if path.exists() else None


def test_the_last_room_is_given_up_and_made_anew(tmp_path: Path) -> None:
    with Folder(str(tmp_path)) as folder:
        last = LastRoom(folder)
        with last.given_up():
            assert room_of(tmp_path) is None
        assert room_of(tmp_path) >= LAST_ROOM
        with pytest.raises(ZeroDivisionError), last.given_up():
            assert room_of(tmp_path) is None
            raise ZeroDivisionError
        assert room_of(tmp_path) >= LAST_ROOM
        before = (tmp_path / LAST_ROOM_FILE).stat().st_ino
        last.keep()
        assert (tmp_path / LAST_ROOM_FILE).stat().st_ino == before


@pytest.mark.parametrize("call", ["open", "posix_fallocate", "unlink"])
def test_a_last_room_that_fails_keeps_nobody_from_deleting(call: str, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Folder(str(tmp_path)) as folder:
        last, done = LastRoom(folder), []
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fails)
            with last.given_up():
                done.append(True)
        last.keep()
    assert done and room_of(tmp_path) >= LAST_ROOM


def test_a_part_of_the_last_room_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(fd: int, _offset: int, _length: int) -> None:
        os.write(fd, bytes(1000))       # as far as it came
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    with Folder(str(tmp_path)) as folder:
        LastRoom(folder).keep()
    assert os.listdir(tmp_path) == []
