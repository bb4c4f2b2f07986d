from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicomserver.archive import reading
from dicomserver.archive.archive import Archive
from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing, InvalidUid
from dicomserver.archive.filing import Waiting
from tests.archive.files import IMPLICIT_VR_LE, SERIES, STUDY, instance_bytes, store, write_instance


def read(archive: Archive, waiting: Waiting) -> bytes:
    fd = archive.open_instance(waiting.slot, waiting.study_instance_uid, waiting.series_instance_uid,
                               waiting.sop_instance_uid)
    with open(fd, "rb") as file:
        return file.read()


def place(archive: Archive, sop: str) -> Path:
    return Path(archive.path, STUDY, SERIES, sop + ".dcm")


def test_before_and_after_the_mover(archive: Archive) -> None:
    waiting = store(archive, "1.1")
    expected = instance_bytes(waiting.slot, "1.1", b"pixels")
    assert read(archive, waiting) == expected
    fd = archive.open_instance(waiting.slot, STUDY, SERIES, "1.1")
    assert not os.get_inheritable(fd)
    archive.file_batch([waiting])
    assert read(archive, waiting) == expected
    with open(fd, "rb") as file:
        assert file.read() == expected


def test_readers_never_miss_it_while_the_mover_works(archive: Archive) -> None:
    over = threading.Event()
    failures: list[Exception] = []
    latest: list[Waiting] = [store(archive, "1.0")]

    def reader() -> None:
        while not over.is_set():
            try:
                read(archive, latest[-1])
            except Exception as error:
                failures.append(error)
                return

    thread = threading.Thread(target=reader)
    thread.start()
    for number in range(1, 200):
        latest.append(store(archive, f"1.{number}"))
        archive.file_batch(latest[-2:])
    over.set()
    thread.join()
    assert failures == []


def test_a_race_with_the_replacement_of_a_stray(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slot is not there at the first look, the final name not at the second: the slot is looked for again."""
    waiting = store(archive, "1.1")
    real, looks = reading._open, []

    def first_look_fails(name: str, folder: object) -> int | None:
        looks.append(name)
        return None if len(looks) == 1 else real(name, folder)

    monkeypatch.setattr(reading, "_open", first_look_fails)
    assert read(archive, waiting) == instance_bytes(waiting.slot, "1.1", b"pixels")


def test_missing(archive: Archive) -> None:
    with pytest.raises(InstanceMissing):
        archive.open_instance(99, STUDY, SERIES, "1.1")
    archive.file_batch([store(archive, "1.1")])
    with pytest.raises(InstanceMissing):
        archive.open_instance(99, STUDY, SERIES, "1.2")


def test_another_instance_under_the_name(archive: Archive) -> None:
    waiting, other = store(archive, "1.1"), store(archive, "1.2")
    archive.file_batch([waiting, other])
    place(archive, "1.2").rename(place(archive, "1.1"))
    with pytest.raises(InstanceDamaged, match="another"):
        read(archive, waiting)
    with pytest.raises(InstanceDamaged, match="another"):
        archive.open_instance(other.slot, STUDY, SERIES, "1.1")


@pytest.mark.parametrize("change", ["truncate", "header", "empty"])
def test_a_damaged_file_is_not_served(archive: Archive, change: str) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    path = place(archive, "1.1")
    content = path.read_bytes()
    path.write_bytes({"truncate": content[:-1], "header": content[:200] + b"X" + content[201:], "empty": b""}[change])
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InstanceDamaged):
        read(archive, waiting)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_symbolic_link_is_not_followed(archive: Archive, tmp_path: Path) -> None:
    waiting = store(archive, "1.1")
    archive.file_batch([waiting])
    place(archive, "1.1").rename(tmp_path / "moved")
    place(archive, "1.1").symlink_to(tmp_path / "moved")
    with pytest.raises(OSError):
        read(archive, waiting)


@pytest.mark.parametrize("uids", [("..", SERIES, "1"), (STUDY, "../x", "1"), (STUDY, SERIES, "../1"), ("", "", "")])
def test_only_uids(archive: Archive, uids: tuple[str, str, str]) -> None:
    with pytest.raises(InvalidUid):
        archive.open_instance(1, *uids)


@dataclass
class Row:
    """What the index would say of `store(archive, "1.1")`."""

    slot: int
    file_length: int
    dataset_offset: int
    checksum: int = xxh3_64(b"pixels")
    transfer_syntax_uid: str = IMPLICIT_VR_LE
    study_instance_uid: str = STUDY
    series_instance_uid: str = SERIES
    sop_instance_uid: str = "1.1"


def row_of(waiting: Waiting, **changed: str | int) -> Row:
    said = {"slot": waiting.slot, "file_length": waiting.file_length, "dataset_offset": waiting.file_length - 6}
    return Row(**said | changed)


@pytest.mark.parametrize("filed", [False, True])
def test_a_newcomer_is_compared_with_what_is_stored(archive: Archive, filed: bool) -> None:
    waiting = store(archive, "1.1")
    if filed:
        archive.file_batch([waiting])
    slot = archive.take()
    write_instance(slot, "1.1", b"pixels")
    before = len(os.listdir("/proc/self/fd"))
    assert archive.is_same(slot, row_of(waiting))
    assert not archive.is_same(slot, row_of(waiting, transfer_syntax_uid="1.2.840.10008.1.2.1"))
    assert not archive.is_same(slot, row_of(waiting, checksum=1))
    assert len(os.listdir("/proc/self/fd")) == before
    archive.discard(slot)


def test_equal_checksums_are_not_enough(archive: Archive) -> None:
    waiting, slot = store(archive, "1.1"), archive.take()
    write_instance(slot, "1.1", b"pixelz")
    assert not archive.is_same(slot, row_of(waiting, checksum=xxh3_64(b"pixelz")))
    archive.discard(slot)


def test_there_is_no_comparing_with_what_cannot_be_read(archive: Archive) -> None:
    waiting, slot = store(archive, "1.1"), archive.take()
    write_instance(slot, "1.1", b"pixels")
    with pytest.raises(InstanceMissing):
        archive.is_same(slot, row_of(waiting, slot=999))
    path = Path(archive.path, "intake", f"{waiting.slot:016x}")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InstanceDamaged):
        archive.is_same(slot, row_of(waiting))
    archive.discard(slot)


@pytest.mark.parametrize("ours, theirs, length, same", [
    (b"xabc", b"yyabc", 3, True), (b"xabc", b"yyabd", 3, False), (b"xab", b"yyab", 3, False),
    (b"x", b"yy", 0, True),
])
def test_same_bytes(tmp_path: Path, ours: bytes, theirs: bytes, length: int, same: bool) -> None:
    (tmp_path / "a").write_bytes(ours)
    (tmp_path / "b").write_bytes(theirs)
    with open(tmp_path / "a", "rb") as a, open(tmp_path / "b", "rb") as b:
        assert reading.same_bytes(a.fileno(), 1, b.fileno(), 2, length) is same
