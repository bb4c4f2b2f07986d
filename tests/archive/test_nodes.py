"""Several servers on one data directory: each has its own slots, and all reach all of them."""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dicomserver.archive import nodes
from dicomserver.archive.archive import Archive
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import (ArchiveDamaged, ArchiveLocked, ArchiveTooNew, FilingFailed, InstanceDamaged,
                                        InstanceMissing)
from dicomserver.archive.filing import Result
from dicomserver.archive.layout import DataDirectory, slot_path
from dicomserver.archive.nodes import home_path, intake_path, node_of, numbers_in, start_of
from dicomserver.archive.recovery import Verdict
from tests.archive.files import SERIES, STUDY, names, store, stored
from tests.archive.power import watch

Opened = Callable[[int], Archive]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "PATIENCE_SECONDS", 0.1)


@pytest.fixture
def opened(data: Path) -> Iterator[Opened]:
    """Opens the data directory as a node of that number."""
    archives: list[Archive] = []

    def one(node: int) -> Archive:
        archives.append(Archive(data, reserve=0, node=node))
        return archives[-1]
    yield one
    for archive in archives:
        archive.close()


def read(archive: Archive, waiting) -> bytes:
    fd = archive.open_instance(waiting.slot, STUDY, SERIES, waiting.sop_instance_uid)
    try:
        return os.pread(fd, 1 << 16, 0)
    finally:
        os.close(fd)


def test_a_number_says_whose_slot_it_is(tmp_path: Path) -> None:
    assert node_of(5 << 32 | 7) == 0 and start_of(5 << 32 | 7) == 5
    largest = 127 << 56 | 0xFFFFFF << 32 | 0xFFFFFFFF
    assert largest < 1 << 63 and (node_of(largest), start_of(largest)) == (127, 0xFFFFFF)
    for start in (1, 2):
        directory = DataDirectory(tmp_path, 3)
        assert directory.first_number() == 3 << 56 | start << 32 | 1
        directory.close()
    assert (home_path(0), intake_path(0), intake_path(3)) == (".", "intake", "nodes/3/intake")
    assert slot_path(3 << 56 | 1) == "nodes/3/intake/0300000000000001"


def test_nodes_share_what_a_server_alone_has_for_itself(tmp_path: Path) -> None:
    one, two = DataDirectory(tmp_path, 1), DataDirectory(tmp_path, 2)
    assert one.is_shared and numbers_in(one.root) == [1, 2]
    with pytest.raises(ArchiveLocked, match="in use by another process"):
        DataDirectory(tmp_path)
    with pytest.raises(ArchiveLocked, match="nodes/2 is in use"):
        DataDirectory(tmp_path, 2)
    one.close()
    two.close()
    alone = DataDirectory(tmp_path)
    assert not alone.is_shared
    with pytest.raises(ArchiveLocked, match=f"in use by process {os.getpid()}"):
        DataDirectory(tmp_path, 1)
    alone.close()


def test_a_program_that_knows_no_nodes_refuses_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DataDirectory(tmp_path).close()
    assert json.loads((tmp_path / "format").read_text()) == {"format": 1}
    DataDirectory(tmp_path, 1).close()
    assert json.loads((tmp_path / "format").read_text()) == {"format": 2}
    DataDirectory(tmp_path).close()
    monkeypatch.setattr("dicomserver.archive.layout.FORMAT", 1)
    with pytest.raises(ArchiveTooNew):
        DataDirectory(tmp_path)


def test_the_names_of_its_folders_are_durable_before_the_start_is_counted(tmp_path: Path,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    DataDirectory(tmp_path / "data").close()
    DataDirectory(tmp_path / "data", 1).close()
    disk = watch(monkeypatch, tmp_path / "data")
    DataDirectory(tmp_path / "data", 2).close()
    calls = disk.calls
    counted = len(calls) - 1 - calls[::-1].index(("rename", "nodes/2/starts"))
    assert calls.index(("mkdir", "nodes/2")) < calls.index(("fsync", "nodes")) < calls.index(("fsync", ".")) < counted
    assert calls.index(("mkdir", "nodes/2/intake")) < counted and calls[counted + 1] == ("fsync", "nodes/2")


def test_no_number_comes_twice(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path, 1)
    last = directory.start
    directory.close()
    (tmp_path / "nodes/1/intake").rmdir()       # as a backup leaves it
    directory = DataDirectory(tmp_path, 1)
    assert directory.start == last + 1
    directory.close()
    (tmp_path / "nodes/1/starts").unlink()
    with pytest.raises(ArchiveDamaged, match="nodes/1/starts is missing"):
        DataDirectory(tmp_path, 1)
    (tmp_path / "nodes/1/starts").write_text("16777215")
    with pytest.raises(ArchiveDamaged, match="too large"):
        DataDirectory(tmp_path, 1)


def test_which_numbers_the_archive_has_given_out(tmp_path: Path) -> None:
    DataDirectory(tmp_path).close()
    one, two = DataDirectory(tmp_path, 1), DataDirectory(tmp_path, 2)
    for start in (1, 2):
        assert one.has_had(0 << 56 | start << 32) is (start == 1)
        assert one.has_had(2 << 56 | start << 32) is (start == 1)
        assert one.has_had(1 << 56 | start << 32) is (start == 1)
    assert not one.has_had(3 << 56 | 1 << 32)
    one.close()
    two.close()


def test_each_reads_and_files_what_another_has_received(opened: Opened, data: Path) -> None:
    one, two = opened(1), opened(2)
    waiting = store(one, "1.1")
    assert (data / slot_path(waiting.slot)).exists()
    assert read(two, waiting) == read(one, waiting)
    assert two.nodes_with([stored(waiting)]) == {1}
    assert two.wait_elsewhere([stored(waiting)]) and not one.wait_elsewhere([stored(waiting)])
    assert [outcome.result for outcome in two.file_batch([waiting])] == [Result.FILED]
    assert [outcome.result for outcome in one.file_batch([waiting])] == [Result.ALREADY]
    assert not two.wait_elsewhere([stored(waiting)])
    assert read(one, waiting) == (data / STUDY / SERIES / "1.1.dcm").read_bytes()
    never = store(one, "1.2")
    two.discard(never.slot, durably=True)
    with pytest.raises(InstanceMissing):
        read(one, never)


def test_a_slot_of_a_node_that_there_never_was(opened: Opened) -> None:
    archive = opened(1)
    with pytest.raises(InstanceMissing):
        archive.open_instance(9 << 56 | 1 << 32 | 1, STUDY, SERIES, "1.1")


def test_what_a_dead_node_left_is_examined_by_another(opened: Opened) -> None:
    one, two = opened(1), opened(2)
    waiting = store(one, "1.1")
    unfinished = one.take()
    one.close()
    found = {each.slot: each for each in two.examine_intake(node=1)}
    assert found[waiting.slot].verdict is Verdict.WHOLE and found[waiting.slot].name == slot_path(waiting.slot)
    assert found[unfinished.number].verdict is Verdict.REMOVED
    assert list(two.examine_intake()) == []


def test_a_slot_in_another_one_s_intake_is_left_alone(opened: Opened, data: Path) -> None:
    one, two = opened(1), opened(2)
    waiting = store(one, "1.1")
    (data / slot_path(waiting.slot)).rename(data / "nodes/2/intake" / f"{waiting.slot:016x}")
    [found] = two.examine_intake()
    assert (found.verdict, found.slot, found.name) == (Verdict.FOREIGN, None, f"nodes/2/intake/{waiting.slot:016x}")


def test_a_server_alone_finds_what_nodes_have_left(opened: Opened, data: Path) -> None:
    one = opened(1)
    waiting = store(one, "1.1")
    one.close()
    alone = opened(0)
    assert alone.intake_numbers() == [0, 1]
    assert [found.slot for found in alone.examine_intake(node=1) if found.verdict is Verdict.WHOLE] == [waiting.slot]
    assert not alone.wait_elsewhere([stored(waiting)])      # its own mover files it
    alone.begin_delete([stored(waiting)]).finish()
    assert names(data / "nodes/1/intake") == []


def test_a_node_is_locked_only_if_it_does_not_run(opened: Opened) -> None:
    one, two = opened(1), opened(2)
    assert two.nodes.others() == [0, 1]
    with two.nodes.locking(1) as is_locked, two.nodes.locking(0) as nobody_is_alone:
        assert not is_locked and nobody_is_alone
    starts = two.nodes.starts_of(1)
    assert two.nodes.starts_of(0) == b"0\n"
    one.close()
    with two.nodes.locking(1) as is_locked:
        assert is_locked and two.nodes.starts_of(1) == starts
        with pytest.raises(ArchiveLocked):
            opened(1)
    opened(1)
    assert two.nodes.starts_of(1) != starts


def test_terms_grow_whoever_leads(opened: Opened, data: Path) -> None:
    one, two = opened(1), opened(2)
    assert one.nodes.leader() == 0
    assert [one.nodes.begin_term(0), two.nodes.begin_term(0), two.nodes.begin_term(17)] == [1, 2, 18]
    assert one.nodes.leader() == 2
    (data / "nodes/leader").write_text("{}")
    with pytest.raises(ArchiveDamaged):
        one.nodes.leader()


def test_all_see_a_deletion_that_the_leader_has_begun(opened: Opened, data: Path) -> None:
    one, two = opened(1), opened(2)
    one.take_over()
    waiting = store(one, "1.1")
    one.file_batch([waiting])
    deletion = one.begin_delete([stored(waiting)], one.trash.labels("study")())
    assert two.is_being_deleted(waiting.slot)
    two.take_over()
    [left] = two.interrupted_deletions()
    left.finish()
    assert not one.is_being_deleted(waiting.slot) and not two.is_being_deleted(waiting.slot)
    [record] = two.trash.records()
    two.trash.link_back(record.files[0])
    two.trash.remove(record, record.files)
    deletion.finish()       # of a leader that was slow: what has been brought back meanwhile stays
    assert (data / slot_path(waiting.slot)).exists() and list(one.trash.records()) == []


def test_no_two_leaders_use_one_name(opened: Opened) -> None:
    one, two = opened(1), opened(2)
    one.take_over()
    labels = [one.trash.labels("a")().record]
    first = one.begin_delete([stored(store(one, "1.1"))])
    two.take_over()
    labels += [two.trash.labels("b")().record, one.trash.labels("c")().record]
    second = two.begin_delete([stored(store(two, "1.2"))])
    assert len(set(labels)) == 3
    assert len({first._record, second._record, one.begin_delete([stored(store(one, "1.3"))])._record}) == 3


def test_who_is_kept_is_read_anew(opened: Opened) -> None:
    one, two = opened(1), opened(2)
    one.kept.set("1.2.3", True)
    assert "1.2.3" not in two.kept
    two.take_over()
    assert "1.2.3" in two.kept


def test_nobody_takes_the_name_of_a_file_that_another_one_deletes(opened: Opened, data: Path) -> None:
    """Between two looks of the leader it would be the newcomer that loses its name."""
    one, two = opened(1), opened(2)
    one.take_over()
    former, newcomer = store(one, "1.1"), store(two, "1.1", b"others")
    one.file_batch([former])
    deletion = one.begin_delete([stored(former)])
    with pytest.raises(FilingFailed):
        two.file_batch([newcomer])
    deletion.finish()
    assert [outcome.result for outcome in two.file_batch([newcomer])] == [Result.FILED]
    assert (data / STUDY / SERIES / "1.1.dcm").read_bytes().endswith(b"others")


def test_a_folder_that_another_one_made_anew_is_made_durable(opened: Opened, data: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = opened(1), opened(2)
    one.take_over()
    first = store(two, "1.1")
    two.file_batch([first])
    one.begin_delete([stored(first)]).finish()
    assert not (data / STUDY).exists()
    third = store(one, "1.3", series="9.9")
    one._folders.open((STUDY, "9.9"))       # made, and not synced yet
    second = store(two, "1.2", series="9.9")
    disk = watch(monkeypatch, data)
    two.file_batch([second])
    gone = disk.calls.index(("unlink", slot_path(second.slot)))
    assert {("fsync", "."), ("fsync", STUDY), ("fsync", f"{STUDY}/9.9")} <= set(disk.calls[:gone])
    one.file_batch([third])


def test_what_another_archive_has_received_does_not_come_back(opened: Opened) -> None:
    one = opened(1)
    one.take_over()
    waiting = store(one, "1.1")
    one.begin_delete([stored(waiting)], one.trash.labels("it")()).finish()
    [record] = one.trash.records()
    number = 5 << 56 | 1 << 32 | 1
    with pytest.raises(InstanceDamaged, match="another server"):
        one.trash.link_back(type(record.files[0])(number, 1, STUDY, SERIES, "1.1", 1, record.files[0].name))


def test_intakes_of_all(opened: Opened, data: Path) -> None:
    one = opened(1)
    opened(2)
    with Folder(str(data)) as root, Folder("intake", root) as own:
        intakes = nodes.Intakes(root, 0, own)
        assert intakes.numbers() == [0, 1, 2] and len(intakes.all()) == 3
        assert intakes.of_node(7) is own
        intakes.close()
    assert one.intake_numbers() == [1, 0, 2]
