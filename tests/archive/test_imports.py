"""imports/ as an importing process sees it: copies, clones and second names, and nothing left behind."""
from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from dicomserver.archive import imports as module
from dicomserver.archive.errors import ArchiveUnusable
from dicomserver.archive.imports import Imports, SourceUnreadable
from tests.archive.files import names

META = b"group 0002"


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original"
    path.write_bytes(b"P" * 128 + b"DICM" + b"theirs" + bytes(range(256)) * 9000)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_the_folder_is_there_while_it_is_open(data: Path) -> None:
    with Imports(str(data)) as imports:
        assert stat.S_IMODE((data / "imports").stat().st_mode) == 0o700
        assert imports.free_space() > 0
    assert not (data / "imports").exists()


def test_what_a_killed_import_left_is_removed(data: Path, original: Path) -> None:
    (data / "imports").mkdir()
    os.link(original, data / "imports" / "left")
    with Imports(str(data)):
        assert names(data / "imports") == []
    assert original.exists()


def test_one_import_at_a_time(data: Path) -> None:
    with Imports(str(data)):
        descriptors = len(os.listdir("/proc/self/fd"))
        with pytest.raises(ArchiveUnusable, match="another import"):
            Imports(str(data))
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_no_data_directory(tmp_path: Path) -> None:
    with pytest.raises(ArchiveUnusable, match="nothing can be imported into .*No such file"):
        Imports(str(tmp_path / "none"))


SLOT = "intake/0000000000000001"


@pytest.fixture
def slot(data: Path) -> Path:
    """One that was lent."""
    (data / "intake").mkdir()
    (data / SLOT).touch(0o600)
    return data / SLOT


def test_a_copy_has_a_free_preamble_a_new_header_and_the_dataset(data: Path, slot: Path, original: Path) -> None:
    before = original.read_bytes()
    with Imports(str(data)) as imports, open(original, "rb") as file:
        imports.copy(SLOT, file.fileno(), 138, 0, META)
        assert slot.read_bytes() == bytes(128) + b"DICM" + META
        imports.copy(SLOT, file.fileno(), 138, len(before) - 138, META)
        assert slot.read_bytes() == bytes(128) + b"DICM" + META + before[138:]
    assert original.read_bytes() == before and slot.exists()


def test_writes_that_come_through_in_part(data: Path, slot: Path, original: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, parts: real(fd, [parts[0][:100_000]]))
    with Imports(str(data)) as imports, open(original, "rb") as file:
        imports.copy(SLOT, file.fileno(), 138, 2_000_000, META)
    assert slot.read_bytes()[142:] == original.read_bytes()[138:2_000_138]


def test_a_file_that_ends_too_soon_or_cannot_be_read(data: Path, slot: Path, original: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with Imports(str(data)) as imports, open(original, "rb") as file:
        with pytest.raises(SourceUnreadable, match="ended while"):
            imports.copy(SLOT, file.fileno(), 138, 1 << 30, META)
        monkeypatch.setattr(os, "preadv", fail)
        with pytest.raises(SourceUnreadable, match="Input/output error"):
            imports.copy(SLOT, file.fileno(), 138, 1000, META)


def test_a_full_disk_and_a_slot_that_is_gone_are_the_archives(data: Path, slot: Path, original: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Imports(str(data)) as imports, open(original, "rb") as file:
        with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
            patch.setattr(os, "writev", fail)
            imports.copy(SLOT, file.fileno(), 138, 1000, META)
        slot.unlink()
        with pytest.raises(FileNotFoundError):
            imports.copy(SLOT, file.fileno(), 138, 1000, META)
        slot.symlink_to(original)
        with pytest.raises(OSError, match="symbolic"):
            imports.copy(SLOT, file.fileno(), 138, 1000, META)


def test_a_clone_where_the_file_system_can(data: Path, original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system call itself needs Btrfs or XFS; here it is what it says that it does."""
    def ficlone(target: int, request: int, source: int) -> None:
        assert request == 0x40049409
        os.pwrite(target, os.pread(source, 1 << 30, 0), 0)

    monkeypatch.setattr(fcntl, "ioctl", ficlone)
    with Imports(str(data)) as imports, open(original, "rb") as file:
        name = imports.clone(file.fileno())
        assert (data / "imports" / name).read_bytes() == bytes(128) + original.read_bytes()[128:]


@pytest.mark.parametrize("number, asked", [(errno.EOPNOTSUPP, 1), (errno.EXDEV, 2)])
def test_no_clone_where_it_cannot(number: int, asked: int, data: Path, original: Path,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file system says nothing of the next file."""
    calls = []

    def fail(*arguments: int) -> None:
        calls.append(arguments)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "ioctl", fail)
    with Imports(str(data)) as imports, open(original, "rb") as file:
        assert imports.clone(file.fileno()) is None and imports.clone(file.fileno()) is None
        assert len(calls) == asked and names(data / "imports") == []


def test_what_is_no_use_is_removed(data: Path, original: Path) -> None:
    with Imports(str(data)) as imports, open(original, "rb") as file:
        name = imports.link(str(original), file.fileno())
        imports.remove(name)
        imports.remove(name)
        assert names(data / "imports") == [] and original.exists()


def test_a_second_name(data: Path, original: Path) -> None:
    with Imports(str(data)) as imports, open(original, "rb") as file:
        name = imports.link(str(original), file.fileno())
        assert (data / "imports" / name).samefile(original)


def test_no_second_name_for_what_must_not_be_written_to(data: Path, original: Path) -> None:
    original.chmod(0o400)
    with Imports(str(data)) as imports, open(original, "rb") as file:
        assert imports.link(str(original), file.fileno()) is None


def test_no_second_name_for_another_file_in_its_place(data: Path, original: Path) -> None:
    with Imports(str(data)) as imports, open(original, "rb") as file:
        original.unlink()
        assert imports.link(str(original), file.fileno()) is None
        original.write_bytes(b"another")
        assert imports.link(str(original), file.fileno()) is None
        assert names(data / "imports") == []


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_no_second_name_where_the_system_gives_none(number: int, data: Path, original: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    with Imports(str(data)) as imports, open(original, "rb") as file:
        assert imports.link(str(original), file.fileno()) is None


def test_root_makes_files_for_whom_the_data_directory_belongs_to(data: Path, original: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    owner = os.stat(data)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda fd, *to: given.append((os.readlink(f"/proc/self/fd/{fd}"), to)))
    monkeypatch.setattr(module.os, "fstat", lambda fd, real=os.fstat: _of_somebody(real(fd)))
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0)
    with Imports(str(data)) as imports, open(original, "rb") as file:
        name = imports.clone(file.fileno())
        assert imports.link(str(original), file.fileno()) is not None
    assert given == [(str(data / "imports"), (4711, owner.st_gid)),
                     (str(data / "imports" / name), (4711, owner.st_gid))]


def _of_somebody(status: os.stat_result) -> os.stat_result:
    return os.stat_result((*status[:4], 4711, *status[5:]))
