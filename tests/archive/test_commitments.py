"""Requests for storage commitment: durable, in their order, and never in the way of a start."""
from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from dicomserver.archive import commitments as room
from dicomserver.archive.archive import Archive
from dicomserver.archive.commitments import CommitmentRequest, Commitments, Reference
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import ArchiveDamaged, CommitmentFailed
from tests.archive.power import watch

REFERENCES = [Reference("1.2.840.10008.5.1.4.1.1.2", f"1.2.{number}") for number in range(3)]


def request(transaction: str = "1.2.3", count: int = 3) -> CommitmentRequest:
    return CommitmentRequest("MODALITY", transaction, 1234.5, count)


def again(archive: Archive) -> Commitments:
    """As the next start finds it."""
    return Commitments(Folder(archive.path))


def test_nothing_is_made_before_it_is_needed(archive: Archive, data: Path) -> None:
    assert list(archive.commitments.waiting()) == []
    assert not (data / "commitments").exists()


def test_a_request_is_there_at_the_next_start(archive: Archive, data: Path) -> None:
    names = [archive.commitments.add(request(f"1.2.{number}"), REFERENCES) for number in range(11)]
    assert len(set(names)) == 11
    assert archive.commitments.references(names[0]) == REFERENCES
    later = again(archive)
    assert list(later.waiting()) == [(name, request(f"1.2.{number}")) for number, name in enumerate(names)]
    assert later.references(names[-1]) == REFERENCES
    assert later.add(request(), REFERENCES) not in names
    assert (data / "commitments" / names[0]).stat().st_mode & 0o777 == 0o600
    assert (data / "commitments").stat().st_mode & 0o777 == 0o700


def test_what_is_dropped_is_gone(archive: Archive) -> None:
    name = archive.commitments.add(request(), REFERENCES)
    archive.commitments.drop(name)
    archive.commitments.drop(name)
    assert list(again(archive).waiting()) == []


@pytest.mark.parametrize("content", [
    b"", b"\xff\xfe", b"[]\n", b"{}\n", b'{"requester": 1, "transaction_uid": "1", "received_at": 1, "count": 0}\n',
    b'{"requester": "A", "transaction_uid": "1", "received_at": 1, "count": 0, "more": 1}\n'])
def test_what_cannot_be_understood_is_named(content: bytes, archive: Archive, data: Path) -> None:
    name = archive.commitments.add(request(), REFERENCES)
    (data / "commitments" / name).write_bytes(content)
    later = again(archive)
    assert list(later.waiting()) == [(name, None)]
    with pytest.raises(ArchiveDamaged):
        later.references(name)


def test_lost_references_are_noticed(archive: Archive, data: Path) -> None:
    name = archive.commitments.add(request(), REFERENCES)
    path = data / "commitments" / name
    path.write_bytes(path.read_bytes().rsplit(b"\n", 2)[0])
    with pytest.raises(ArchiveDamaged):
        archive.commitments.references(name)


def test_other_files_are_not_read(archive: Archive, data: Path) -> None:
    name = archive.commitments.add(request(), REFERENCES)
    for other in ("0000000000000009.txt.new", "notes.txt", "0.txt", "12", "\u0661.txt"):
        (data / "commitments" / other).write_text("x")
    assert [found for found, _ in again(archive).waiting()] == [name]
    assert not (data / "commitments" / "0000000000000009.txt.new").exists()


def test_the_order_of_syncs(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's bytes, its name, and the name of the folder: all before anybody is told."""
    calls: list[str] = []
    for function in ("fsync", "rename", "mkdir", "unlink"):
        real = getattr(os, function)

        def call(*args, real=real, function=function, **kwargs):
            if threading.current_thread() is threading.main_thread():       # others make slots
                calls.append(function)
            return real(*args, **kwargs)
        monkeypatch.setattr(os, function, call)
    name = archive.commitments.add(request(), REFERENCES)
    assert calls == ["mkdir", "fsync", "unlink", "fsync", "rename", "fsync"]
    calls.clear()
    archive.commitments.drop(name)
    assert calls == ["unlink", "fsync"]


@pytest.mark.parametrize("method", ["add", "references", "drop"])
def test_a_failing_disk(method: str, archive: Archive, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = archive.commitments.add(request(), REFERENCES)

    def fail(*_: object) -> None:
        raise OSError(5, "no")
    for function in ("replace_file", "read_file", "unlink_if_there"):
        monkeypatch.setattr(room, function, fail)
    arguments = (request(), REFERENCES) if method == "add" else (name,)
    with pytest.raises(CommitmentFailed, match="Input/output error"):
        getattr(archive.commitments, method)(*arguments)


def test_a_request_that_failed_is_not_found_later(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.commitments.add(request("1.1"), REFERENCES)
    real = os.fsync

    def fail_on_the_folder(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(5, "no")
        real(fd)
    monkeypatch.setattr(os, "fsync", fail_on_the_folder)
    with pytest.raises(CommitmentFailed):
        archive.commitments.add(request("1.2"), REFERENCES)
    monkeypatch.undo()
    assert [found.transaction_uid for _, found in again(archive).waiting()] == ["1.1"]


def test_the_walk_does_not_take_it_for_something_foreign(archive: Archive) -> None:
    archive.commitments.add(request(), REFERENCES)
    assert list(archive.walk_instances()) == []


def test_nodes_have_their_own_and_take_over_those_of_a_dead_one(data: Path) -> None:
    one, two = Archive(data, node=1), Archive(data, node=2)
    first, second = (one.commitments.add(request(f"1.{number}"), REFERENCES) for number in (1, 2))
    own = two.commitments.add(request("2.1"), REFERENCES)
    assert [name for name, _ in two.commitments.waiting()] == [own]
    adopted = two.commitments.adopt(1)
    assert [found.transaction_uid for _, found in adopted] == ["1.1", "1.2"]
    assert {name for name, _ in adopted}.isdisjoint({first, second, own})
    assert two.commitments.references(adopted[0][0]) == REFERENCES
    assert two.commitments.adopt(1) == [] == list(one.commitments.waiting())
    one.close()
    two.close()
    alone = Archive(data)
    assert {found.transaction_uid for _, found in alone.commitments.waiting()} == {"1.1", "1.2", "2.1"}
    assert alone.commitments.add(request("0.1"), REFERENCES) == "0000000000000001.txt"
    alone.close()


def test_what_was_taken_over_is_durable(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Archive(data, node=1), Archive(data, node=2)
    one.commitments.add(request(), REFERENCES)
    disk = watch(monkeypatch, data)
    [[name, _]] = two.commitments.adopt(1)
    assert [call for call in disk.calls if call[0] != "open"] == [("rename", f"commitments/{name}"),
                                                                  ("fsync", "commitments")]
    one.close()
    two.close()
