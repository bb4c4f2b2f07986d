from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from dicomserver.archive.durable import (
    Folder, SyncFailed, open_or_make, read_file, replace_file, status_of, unlink_if_there, unnamed_file,
)
from tests.archive.files import names
from tests.archive.power import watch


def test_replacing_a_file_syncs_it_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = watch(monkeypatch, tmp_path)
    with Folder(str(tmp_path)) as folder:
        disk.calls.clear()
        replace_file(folder, "x", b"new")
        assert disk.calls == [("unlink", "x.new"), ("open", "x.new"), ("write", "x.new"), ("fsync", "x.new"),
                              ("rename", "x"), ("fsync", ".")]
        assert read_file(folder, "x", 100) == b"new"
        assert read_file(folder, "x", 2) == b"ne"
    assert names(tmp_path) == ["x"]


def test_a_failed_sync_is_the_last_one_of_all_folders_of_the_tree(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    synced: list[int] = []

    def fsync(fd: int) -> None:
        synced.append(fd)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, "")
    monkeypatch.setattr(os, "fsync", fsync)
    with Folder(str(tmp_path)) as root, Folder("a", root) as below, open_or_make("b", root)[0] as beside:
        below.sync()
        for folder in (below, below, beside, root):
            with pytest.raises(SyncFailed, match="mounted anew") as raised:
                folder.sync()
            assert raised.value.errno == errno.ENOSPC
        assert synced == [below.fd, below.fd]
        with Folder("a", root) as later, pytest.raises(SyncFailed):
            later.sync()
    with Folder(str(tmp_path)) as anew:
        anew.sync()


def test_a_symbolic_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with Folder(str(tmp_path)) as root:
        with pytest.raises(OSError):
            Folder("link", root)
        with pytest.raises(OSError):
            open_or_make("link", root)
        with Folder("link", root, follow=True) as followed:
            assert os.path.samestat(os.fstat(followed.fd), (tmp_path / "real").stat())


def test_open_or_make_says_whether_it_made(tmp_path: Path) -> None:
    with Folder(str(tmp_path)) as root:
        for expected in (True, False):
            folder, made = open_or_make("x", root)
            folder.close()
            assert made is expected
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o700


def test_unlinking_what_is_gone_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with Folder(str(tmp_path)) as folder:
        assert unlink_if_there("x", folder)
        assert not unlink_if_there("x", folder)


def test_the_file_in_place_is_never_written_to_though_a_power_cut_left_it_a_second_name(tmp_path: Path) -> None:
    """POSIX lets a rename leave both names; a rename between two names of one file then does nothing."""
    (tmp_path / "starts").write_bytes(b"1\n")
    os.link(tmp_path / "starts", tmp_path / "starts.new")
    in_place = os.open(tmp_path / "starts", os.O_RDONLY)
    with Folder(str(tmp_path)) as folder:
        replace_file(folder, "starts", b"2\n")
        assert read_file(folder, "starts", 64) == b"2\n"
    assert os.read(in_place, 64) == b"1\n"
    os.close(in_place)
    assert os.listdir(tmp_path) == ["starts"]


@pytest.mark.parametrize("supported", [True, False])
def test_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    """Also where the file system has no O_TMPFILE."""
    real = os.open

    def refuse(path: str, flags: int, *arguments: int, **where: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE and not supported:
            raise OSError(errno.EOPNOTSUPP, "")
        return real(path, flags, *arguments, **where)

    monkeypatch.setattr(os, "open", refuse)
    with Folder(str(tmp_path)) as folder:
        fd = unnamed_file(folder)
        assert names(tmp_path) == []
        os.pwrite(fd, b"x", 0)
        assert (os.pread(fd, 2, 0), os.get_inheritable(fd)) == (b"x", False)
        os.close(fd)


def test_a_file_without_a_name_where_nothing_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Folder(str(tmp_path)) as folder:
        def fail(*_: object, **__: object) -> int:
            raise OSError(errno.ENOSPC, "")
        monkeypatch.setattr(os, "open", fail)
        with pytest.raises(OSError) as raised:
            unnamed_file(folder)
        assert raised.value.errno == errno.ENOSPC


def test_the_status_is_that_of_the_name_itself(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("nowhere")
    with Folder(str(tmp_path)) as folder:
        assert status_of("x", folder).st_size == 3
        assert stat.S_ISLNK(status_of("link", folder).st_mode)
        assert status_of("y", folder) is None
