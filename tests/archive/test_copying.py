from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive import copying
from dicomserver.archive.copying import AT_ONCE, Copies, Copy, fault_of, replace_small, sync_names
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import CopyFailed, InstanceDamaged
from dicomserver.archive.manifest import digest_of
from tests.archive.files import names


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Folder]:
    (tmp_path / "target").mkdir()
    with Folder(str(tmp_path / "target")) as folder:
        yield folder


@pytest.fixture
def copies(root: Folder) -> Iterator[Copies]:
    opened = Copies(root)
    yield opened
    opened.close()


def a_copy(path: Path, content: bytes, place: str, expected: bytes | None = None) -> Copy:
    path.write_bytes(content)

    def check(fd: int) -> None:
        if os.pread(fd, 1 << 24, 0) != (content if expected is None else expected):
            raise InstanceDamaged("other bytes")

    return Copy(os.open(path, os.O_RDONLY), len(content), place, check)


def test_files_come_to_their_places(tmp_path: Path, root: Folder, copies: Copies) -> None:
    contents = [b"", b"a", os.urandom(3 * AT_ONCE + 1)]
    places = ["one", "x/two", "x/y/three"]
    assert copies.copy([a_copy(tmp_path / place.replace("/", "-"), content, place)
                        for place, content in zip(places, contents)]) == {}
    assert [(tmp_path / "target" / place).read_bytes() for place in places] == contents
    assert names(tmp_path / "target" / "incoming") == []
    assert os.stat(tmp_path / "target" / "one").st_mode & 0o777 == 0o600
    copies.close(remove=True)
    assert names(tmp_path / "target") == ["one", "x"]


def test_a_damaged_source_is_told_and_not_copied(tmp_path: Path, root: Folder, copies: Copies) -> None:
    good, bad = a_copy(tmp_path / "a", b"good", "a"), a_copy(tmp_path / "b", b"baad", "b", expected=b"good")
    short = a_copy(tmp_path / "c", b"short", "c")
    os.truncate(tmp_path / "c", 2)
    assert copies.copy([bad, good, short]) == {"b": "other bytes", "c": "other bytes"}
    assert names(tmp_path / "target") == ["a", "incoming"] and names(tmp_path / "target" / "incoming") == []


def test_what_the_disk_does_not_keep_is_written_once_more(tmp_path: Path, root: Folder, copies: Copies,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit changes between the writing and the reading, the first time."""
    faults = ["other bytes", "", ""]
    monkeypatch.setattr(copying, "fault_of", lambda fd, check: faults.pop(0))
    assert copies.copy([a_copy(tmp_path / "a", b"good", "a")]) == {}
    assert (tmp_path / "target" / "a").read_bytes() == b"good"


def test_what_it_never_keeps_is_a_failure(tmp_path: Path, root: Folder, copies: Copies,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    source = a_copy(tmp_path / "a", b"good", "a")
    monkeypatch.setattr(copying, "fault_of", lambda fd, check: "" if fd == source.source else "other bytes")
    with pytest.raises(CopyFailed) as failed:
        copies.copy([source])
    assert failed.value.errno == errno.EIO and "a" not in names(tmp_path / "target")


def test_what_an_earlier_one_left_goes(tmp_path: Path, root: Folder, copies: Copies) -> None:
    (tmp_path / "target" / "incoming" / "0.part").write_text("half")
    Copies(root).close()
    assert names(tmp_path / "target" / "incoming") == []


def test_syncs_before_it_names_and_then_the_folders(tmp_path: Path, root: Folder, copies: Copies,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def told(name: str, function):
        def instead(*args, **keywords):
            fd = args[0]
            said.append(f"{name} {Path(os.readlink(f'/proc/self/fd/{fd}')).name if isinstance(fd, int) else args[1]}")
            return function(*args, **keywords)
        monkeypatch.setattr(os, name, instead)

    told("fsync", os.fsync)
    told("rename", os.rename)
    copies.copy([a_copy(tmp_path / "a", b"1", "x/a"), a_copy(tmp_path / "b", b"2", "x/b")])
    assert said == ["fsync 0.part", "fsync 1.part", "rename a", "rename b", "fsync target", "fsync x"]


def test_a_place_that_cannot_be_written(tmp_path: Path, root: Folder, copies: Copies,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    def write(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "")
    monkeypatch.setattr(os, "write", write)
    before = len(os.listdir("/proc/self/fd"))
    source = a_copy_without_writing(tmp_path)
    with pytest.raises(CopyFailed) as failed:
        copies.copy([source])
    assert failed.value.full
    os.close(source.source)
    assert len(os.listdir("/proc/self/fd")) == before


def a_copy_without_writing(folder: Path) -> Copy:
    (folder / "sparse").touch()
    os.truncate(folder / "sparse", 100)
    return Copy(os.open(folder / "sparse", os.O_RDONLY), 100, "sparse", lambda fd: None)


def test_memory_is_flat(tmp_path: Path, copies: Copies) -> None:
    """64 MB through one MB."""
    import tracemalloc
    with open(tmp_path / "large", "wb") as file:
        file.truncate(64 << 20)
    fd = os.open(tmp_path / "large", os.O_RDONLY)
    expected = digest_of(fd, 64 << 20)

    def check(copied: int) -> None:
        if digest_of(copied, 64 << 20) != expected:
            raise InstanceDamaged("other bytes")
    tracemalloc.start()
    assert copies.copy([Copy(fd, 64 << 20, "large", check)]) == {}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    os.close(fd)
    assert peak < 4 << 20


def test_reads_from_the_disk_and_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with open(tmp_path / "a", "rb") as file:
        def raise_it(error: Exception):
            raise error
        assert fault_of(file.fileno(), lambda fd: None) == ""
        assert fault_of(file.fileno(), lambda fd: raise_it(InstanceDamaged("why"))) == "why"
        assert fault_of(file.fileno(), lambda fd: raise_it(OSError(errno.EIO, ""))) == "it cannot be read"
        with pytest.raises(PermissionError):
            fault_of(file.fileno(), lambda fd: raise_it(PermissionError()))


@pytest.mark.parametrize("number, is_bearable", [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_file_systems_that_cannot_sync_a_folder(number: int, is_bearable: bool, root: Folder, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Folder) -> None:
        raise OSError(number, "")
    monkeypatch.setattr(Folder, "sync", fail)
    for attempt in (lambda: sync_names(root), lambda: replace_small(root, "small", b"text")):
        if is_bearable:
            attempt()
        else:
            with pytest.raises(OSError):
                attempt()
    assert (tmp_path / "target" / "small").read_bytes() == b"text"
