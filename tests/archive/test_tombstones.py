from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import ArchiveDamaged
from dicomserver.archive.tombstones import Label, Tombstone, Tombstones
from tests.archive.files import names
from tests.archive.power import watch

STONE = Tombstone(5, 2**64 - 1, "1", "1.1", "1.1.1")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Folder(str(tmp_path)) as opened:
        yield opened


def test_a_record_is_durable_when_written(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = watch(monkeypatch, tmp_path)
    name = Tombstones(folder).write([STONE])
    assert [call for call, _ in disk.calls] == ["unlink", "open", "write", "fsync", "rename", "fsync"]
    again = Tombstones(folder)
    assert again.left_behind == {name: ([STONE], None)}
    assert again.cover(5, 2**64 - 1) and again.cover_slot(5)


def test_a_label_comes_back(folder: Folder) -> None:
    label = Label("3-1.2", 1_700_000_000, "study 1.2.3")
    name = Tombstones(folder).write([STONE], label)
    assert Tombstones(folder).left_behind == {name: ([STONE], label)}
    assert label.deletion == "3-1"


def test_it_names_the_file_and_not_the_instance(folder: Folder) -> None:
    stones = Tombstones(folder)
    stones.write([STONE])
    assert not stones.cover(6, STONE.checksum) and not stones.cover_slot(6)
    assert not stones.cover(5, 0)


def test_dropping(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stones = Tombstones(folder)
    name = stones.write([STONE])
    disk = watch(monkeypatch, tmp_path)
    stones.drop(name, [STONE])
    assert [call for call, _ in disk.calls] == ["unlink", "fsync"]
    assert not stones.cover_slot(5)
    assert names(tmp_path) == []
    stones.drop(name, [STONE])


def test_names_do_not_come_twice(folder: Folder) -> None:
    first = Tombstones(folder).write([STONE])
    second = Tombstones(folder).write([STONE])
    assert first < second


def fail_fsync(patch: pytest.MonkeyPatch, failing: int) -> None:
    """The call of that number, from 0 on."""
    real, calls = os.fsync, iter(range(9))

    def fsync(fd: int) -> None:
        if next(calls) == failing:
            raise OSError(5, "")
        real(fd)
    patch.setattr(os, "fsync", fsync)


def test_what_has_no_name_yet_deletes_nothing(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stones = Tombstones(folder)
    fail_fsync(monkeypatch, 0)
    with pytest.raises(OSError):
        stones.write([STONE])
    assert names(tmp_path) == []
    assert not stones.cover_slot(5)


def test_on_account_of_a_file_whose_record_may_be_durable_nothing_is_promised(
        folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync of its name has failed. It may have reached the disk, and no removal may."""
    stones = Tombstones(folder)
    fail_fsync(monkeypatch, 1)
    with pytest.raises(OSError):
        stones.write([STONE])
    assert stones.cover_slot(5)
    assert names(tmp_path) == ["0000000000000001.json"]
    assert Tombstones(folder).left_behind == {"0000000000000001.json": ([STONE], None)}


def test_an_unfinished_record_is_removed(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "0000000000000001.json.new").write_text("[{")
    (tmp_path / "notes.txt").write_text("")
    assert Tombstones(folder).left_behind == {}
    assert names(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"slot": 1}]', '[{"slot": 1, "what": 2}]', '{}',
                                  '{"label": 5, "files": []}'])
def test_a_record_that_cannot_be_understood(folder: Folder, tmp_path: Path, text: str) -> None:
    (tmp_path / "0000000000000001.json").write_text(text)
    with pytest.raises(ArchiveDamaged, match="tombstone"):
        Tombstones(folder)


def test_shared_ones_are_looked_for_whenever_they_are_asked_for(folder: Folder) -> None:
    writes, reads = Tombstones(folder, is_shared=True), Tombstones(folder, is_shared=True)
    name = writes.write([STONE])
    assert reads.cover(STONE.slot, STONE.checksum) and reads.lies_there(name)
    assert set(reads.of_others()) == {name} and writes.of_others() == {}
    writes.drop(name, [STONE])
    assert not reads.cover_slot(STONE.slot) and not reads.lies_there(name)
    name = writes.write([STONE])
    assert set(reads.of_others()) == {name}
    writes.drop(name, [STONE])
    assert reads.of_others() == {}


def test_whoever_takes_over_has_all_and_numbers_of_its_own(folder: Folder, tmp_path: Path) -> None:
    first, second = Tombstones(folder, is_shared=True), Tombstones(folder, is_shared=True)
    name = first.write([STONE])
    (tmp_path / "0000000000000007.json.new").touch()
    second.take_over(2)
    assert set(second.left_behind) == {name} and names(tmp_path) == [name]
    assert second.write([STONE]) == f"{2 << 32 | 1:016d}.json"
    first.take_over(3)
    assert len(first.left_behind) == 2


@pytest.mark.parametrize("is_shared, known", [(False, [True]), (True, [True, True])])
def test_who_asks_is_told_before_what_is_to_be_done_first_is_done(folder: Folder, is_shared: bool, known) -> None:
    """And other processes, which see only what is written, before it is done again."""
    stones, told, written = Tombstones(folder, is_shared=is_shared), [], []

    def prepare() -> None:
        told.append(stones._slots.get(STONE.slot) == STONE.checksum)
        written.append(len(os.listdir(folder.fd)))
    stones.write([STONE], prepare=prepare)
    assert told == known and written == [0, 1][:len(known)]


def test_where_that_fails_nothing_is_recorded_but_what_was_before(folder: Folder, tmp_path: Path) -> None:
    stones, other = Tombstones(folder), Tombstone(6, 1, "1", "1.1", "1.1.2")
    name = stones.write([STONE])

    def fail() -> None:
        raise OSError(5, "")
    with pytest.raises(OSError):
        stones.write([STONE, other], prepare=fail)
    assert names(tmp_path) == [name]
    assert stones.cover_slot(STONE.slot) and not stones.cover_slot(other.slot)
