from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dicomserver.archive import reading
from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing, InvalidUid
from dicomserver.archive.filing import Waiting
from tests.archive.files import SERIES, STUDY, instance_bytes, store


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
