"""Decisions on files in quarantine: one takes the place of what is stored, or goes."""
from __future__ import annotations

import json
import logging
import os
from dataclasses import replace

import pytest

from dicomserver.archive import deletion as archive_deletion
from dicomserver.archive.errors import QuarantineFailed
from dicomserver.archive.quarantine import Kind
from dicomserver.index import IndexFull
from dicomserver.server.conflict import Conflict, Undecided
from dicomserver.server.deletion import Asked
from dicomserver.server.quarantined import Quarantined
from dicomserver.server.recovery import recover
from tests.index.samples import BIRTH_DATE, PATIENT_ID, PATIENT_NAME, packed
from tests.server.deleting import at_once

UID = "1.2.3.4.5"


@pytest.fixture
def quarantined(store) -> Quarantined:
    """1.2.3.4.5 is stored with "old", and lies in quarantine with "new"."""
    store.old = store.receive(UID, b"old")
    store.new = set_aside(store, b"new")
    store.index.mark_complete()
    store.mover.start()
    return Quarantined(store.archive, store.index, store.mover,
                       at_once(store, store.mover), store.describe, store.log)


def set_aside(store, content: bytes, kind: Kind = Kind.CONFLICT) -> str:
    slot = store.receive(UID, content, row=False, mover=False).slot
    return store.archive.set_aside(slot, "for a test", {"kind": kind, "sop_instance_uid": UID, "source_ae": "US"})


def only(quarantined: Quarantined) -> Conflict:
    found, = quarantined.conflicts()
    return found


def served(store) -> bytes:
    stored = store.index.find(UID)
    fd = store.archive.open_instance(stored.slot, stored.study_instance_uid, stored.series_instance_uid, UID)
    with open(fd, "rb") as file:
        return file.read()


def settled(store, new: bytes, *aside: bytes) -> bool:
    """Filed, with nothing under way."""
    assert store.mover.flush()
    assert store.archive.waiting == (0, 0) and list((store.path / "tombstones").iterdir()) == []
    assert not [slot for slot in (store.path / "intake").iterdir() if slot.stat().st_size]
    return (served(store).endswith(new) and store.final_path(UID).read_bytes().endswith(new)
            and [file.rpartition(b" ")[2] for file in store.quarantined()] == list(aside))


def test_listed(store, quarantined):
    conflict = only(quarantined)
    length = (store.path / "quarantine" / f"{store.new}.dcm").stat().st_size
    assert conflict.as_json() == {
        "id": conflict.id, "kind": "conflict", "since": conflict.since, "sourceAE": "US", "sopInstanceUID": UID,
        "studyInstanceUID": "1.2.3", "reason": "for a test", "file": f"quarantine/{store.new}.dcm", "bytes": length,
        "hasStored": True}
    assert quarantined.count() == 1


@pytest.mark.parametrize("filed", [False, True])
def test_accepted_it_is_stored_and_the_other_lies_in_quarantine(store, quarantined, filed, caplog):
    caplog.set_level(logging.DEBUG)
    if filed:
        store.mover.flush()
    conflict = only(quarantined)
    said = quarantined.accept(conflict)
    assert said == f"what was stored is quarantine/{store.old.slot:016x} now"
    assert served(store).endswith(b"new")
    assert settled(store, b"new", b"old")
    replaced = only(quarantined)
    assert (replaced.kind, replaced.has_stored) == (Kind.REPLACED, True)
    assert quarantined.count() == 0     # that one waits for nobody's decision
    assert f"conflict {conflict.id} was decided: the newcomer was accepted" in caplog.text and UID not in caplog.text


def test_and_back_again_as_often_as_one_likes(store, quarantined):
    for new, old in ((b"new", b"old"), (b"old", b"new"), (b"new", b"old")):
        quarantined.accept(only(quarantined))
        assert settled(store, new, old)
    store.reopen()
    recover(store.archive, store.index, store.mover, store.describe, lambda *step: None, store.log)
    store.mover.start()
    assert settled(store, b"new", b"old")


def test_where_nothing_is_stored_it_is_stored(store, quarantined):
    at_once(store, store.mover).delete(Asked(instance=UID))
    conflict = only(quarantined)
    assert not conflict.has_stored and conflict.study_instance_uid == ""
    assert quarantined.accept(conflict) == "nothing was stored under its SOP Instance UID"
    assert settled(store, b"new")


def test_where_the_stored_ones_file_is_lost_it_is_stored(store, quarantined):
    store.mover.flush()
    store.final_path(UID).unlink()
    assert quarantined.accept(only(quarantined)) == "of what was stored no file was left"
    assert settled(store, b"new")


def test_where_the_stored_one_is_damaged_that_is_kept(store, quarantined):
    store.mover.flush()
    store.final_path(UID).write_bytes(b"broken old")
    quarantined.accept(only(quarantined))
    assert settled(store, b"new", b"old")


def test_the_same_image_replaces_nothing(store, quarantined):
    quarantined.reject(only(quarantined))
    set_aside(store, b"old")
    with pytest.raises(Undecided, match="the same image is stored already"):
        quarantined.accept(only(quarantined))
    assert settled(store, b"old", b"old")


def test_a_damaged_file_is_never_stored(store, quarantined):
    with open(store.path / "quarantine" / f"{store.new}.dcm", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"X")
    conflict = only(quarantined)
    assert quarantined.show(conflict) == {"damage": "the dataset's checksum does not hold"}
    with pytest.raises(Undecided, match="it cannot be stored: the dataset's checksum does not hold"):
        quarantined.accept(conflict)
    assert settled(store, b"old", b"neX")


def test_what_cannot_be_indexed_is_never_stored(store, quarantined):
    quarantined.reject(only(quarantined))
    set_aside(store, b"malformed", Kind.DAMAGED)
    with pytest.raises(Undecided, match="its dataset cannot be indexed"):
        quarantined.accept(only(quarantined))
    assert settled(store, b"old", b"malformed")


@pytest.mark.parametrize("content", [b"", b"no header of ours" * 20])
def test_a_file_of_somebody_else_can_only_be_removed(store, quarantined, content):
    quarantined.reject(only(quarantined))
    (store.path / "quarantine" / "mine.dcm").write_bytes(content)
    conflict = only(quarantined)
    assert (conflict.kind, conflict.sop_instance_uid) == (Kind.DAMAGED, "")
    with pytest.raises(Undecided, match="it is damaged and cannot be stored: no header of this server"):
        quarantined.accept(conflict)
    assert quarantined.show(conflict) == {"damage": "no header of this server"}
    quarantined.reject(conflict)
    assert list(quarantined.conflicts()) == []


def test_a_symbolic_link_is_not_followed(store, quarantined, tmp_path):
    quarantined.reject(only(quarantined))
    (tmp_path / "victim").write_text("precious")
    (store.path / "quarantine" / "link.dcm").symlink_to(tmp_path / "victim")
    for decide in (quarantined.show, quarantined.accept):
        with pytest.raises(Undecided, match="it cannot be read"):
            decide(only(quarantined))
    quarantined.reject(only(quarantined))
    assert (tmp_path / "victim").read_text() == "precious"


def test_rejected_it_is_gone(store, quarantined):
    assert quarantined.reject(only(quarantined)) == "it was removed from quarantine"
    assert settled(store, b"old")
    assert list((store.path / "quarantine").iterdir()) == []


def test_gone_meanwhile(store, quarantined):
    conflict = only(quarantined)
    quarantined.reject(conflict)
    for decide in (quarantined.show, quarantined.accept):
        with pytest.raises(Undecided, match="not in quarantine any more"):
            decide(conflict)
    assert settled(store, b"old")


def test_stored_meanwhile_by_somebody_else(store, quarantined, monkeypatch):
    """Deleted and sent again between two steps: then neither of the two is what was to be replaced."""
    def another(slot, instance):
        store.index.remove([UID], [slot])
        store.third = store.receive(UID, b"third")
        return store.index.find(UID)

    monkeypatch.setattr(store.index, "replace", another)
    with pytest.raises(Undecided, match="another image was stored meanwhile"):
        quarantined.accept(only(quarantined))
    assert settled(store, b"third", b"new")


@pytest.mark.parametrize("step", ["take_back", "keep_aside"])
def test_a_disk_that_fails_before_the_moment_changes_nothing(store, quarantined, monkeypatch, step):
    def fails(*arguments):
        raise QuarantineFailed("for a test", 28)

    with monkeypatch.context() as patch:
        patch.setattr(store.archive.replacing, step, fails)
        with pytest.raises(Undecided, match="it cannot be stored: for a test: No space left"):
            quarantined.accept(only(quarantined))
    assert settled(store, b"old", b"new")
    quarantined.accept(only(quarantined))
    assert settled(store, b"new", b"old")


def test_where_nobody_knows_whether_it_is_decided_the_next_start_does(store, quarantined, monkeypatch):
    """The sync of the tombstone's name has failed: it may be there, and what was stored may go. Both are kept."""
    assert store.mover.flush()
    real = os.fsync

    def fsync(fd: int) -> None:
        if os.path.samestat(os.fstat(fd), (store.path / "tombstones").stat()) and list(
                (store.path / "tombstones").glob("*.json")):
            raise OSError(5, "")
        real(fd)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(Undecided, match="mounted anew"):
            quarantined.accept(only(quarantined))
    assert sorted(file.rpartition(b" ")[2] for file in store.quarantined()) == [b"new", b"old"]
    assert served(store).endswith(b"old")
    store.reopen()
    recover(store.archive, store.index, store.mover, store.describe, lambda *_: None, store.log)
    store.mover.start()
    assert settled(store, b"new", b"old")


def full(*arguments):
    raise IndexFull("the disk is full")


def test_an_index_that_fails_at_the_moment(store, quarantined, monkeypatch):
    """The tombstone is durable by then. It can be repeated, and the next start would do the rest."""
    with monkeypatch.context() as patch:
        patch.setattr(store.index, "replace", full)
        with pytest.raises(Undecided, match="not all is done: the disk is full"):
            quarantined.accept(next(quarantined.conflicts()))
    assert served(store).endswith(b"old")
    new, = (conflict for conflict in quarantined.conflicts() if conflict.kind is Kind.CONFLICT)
    quarantined.accept(new)
    assert settled(store, b"new", b"old")


def test_until_the_next_start_nothing_else_is_stored_where_the_newcomer_has_no_row(store, quarantined, monkeypatch):
    """Else the newcomer, which is in the intake and the older, would come before it."""
    with monkeypatch.context() as patch:
        patch.setattr(store.index, "replace", full)
        with pytest.raises(Undecided, match="the next start does the rest"):
            quarantined.accept(only(quarantined))
    quarantined._deleter.keep_house()
    assert store.index.find(UID).slot == store.old.slot and store.archive.is_being_deleted(store.old.slot)


@pytest.mark.parametrize("again", ["start", "index"])
def test_an_index_that_fails_and_a_new_start(store, quarantined, monkeypatch, again):
    with monkeypatch.context() as patch:
        patch.setattr(store.index, "replace" if again == "start" else "remove", full)
        with pytest.raises(Undecided, match="the next start does the rest"):
            quarantined.accept(only(quarantined))
    store.reopen()
    recover(store.archive, store.index, store.mover, store.describe, lambda *step: None, store.log)
    store.mover.start()
    assert settled(store, b"new", b"old")


def test_files_that_cannot_be_removed_are_removed_later(store, quarantined, monkeypatch):
    store.mover.flush()

    def broken(*arguments):
        raise OSError(5, "")

    with monkeypatch.context() as patch:
        patch.setattr(archive_deletion.Deletions, "_waits", broken)
        with pytest.raises(Undecided, match="it is decided, but not all is done"):
            quarantined.accept(only(quarantined))
    assert served(store).endswith(b"new")
    store.mover.flush()
    assert store.final_path(UID).read_bytes().endswith(b"new")
    store.reopen()
    recover(store.archive, store.index, store.mover, store.describe, lambda *step: None, store.log)
    store.mover.start()
    assert settled(store, b"new", b"old")


@pytest.mark.parametrize("now", [False, True])
def test_what_is_deleted_in_this_moment_does_not_stay_in_quarantine(store, quarantined, monkeypatch, now):
    def deletes(*arguments):
        at_once(store, store.mover, 60).delete(Asked(instance=UID), now=now)
        return False

    monkeypatch.setattr(store.archive, "is_same", deletes)
    with pytest.raises(Undecided, match="or it was deleted; look again"):
        quarantined.accept(only(quarantined))
    assert store.index.find(UID) is None and store.archive.waiting == (0, 0)
    assert len(list((store.path / "trash").glob("*.dcm"))) == (0 if now else 1)
    assert [file.rpartition(b" ")[2] for file in store.quarantined()] == [b"new"]
    quarantined.accept(only(quarantined))
    assert settled(store, b"new")


def test_a_second_name_that_cannot_be_removed_is_told(store, quarantined, monkeypatch, caplog):
    def fails(name):
        raise QuarantineFailed("removing a file from quarantine", 5)

    with monkeypatch.context() as patch:
        patch.setattr(store.archive.quarantine, "remove", fails)
        quarantined.accept(only(quarantined))
    assert "what was accepted still lies in quarantine, too" in caplog.text
    double, = (one for one in quarantined.conflicts() if one.reason == "it is stored, and lies here too")
    with pytest.raises(Undecided, match="it is stored; to remove what lies here, too, reject it"):
        quarantined.accept(double)
    quarantined.reject(double)
    assert settled(store, b"new", b"old")


def test_what_differs_from_the_stored_one(store, quarantined, monkeypatch):
    monkeypatch.setattr("dicomserver.server.quarantined.first_difference", lambda *files: "byte 7")
    shown = quarantined.show(only(quarantined))
    assert shown == {"received": "", "first": "byte 7", "differences": []}     # as long, and these have no attributes
    quarantined.reject(only(quarantined))
    set_aside(store, b"longer")
    assert quarantined.show(only(quarantined))["differences"] == [
        {"what": "Length of the dataset", "stored": "17 bytes", "newcomer": "20 bytes"}]
    at_once(store, store.mover).delete(Asked(instance=UID))
    assert quarantined.show(only(quarantined)) == {"received": ""}


def test_whom_the_file_names_also_where_the_stored_one_names_the_same(store, quarantined, monkeypatch):
    of_john = packed({PATIENT_ID: b"P1", PATIENT_NAME: b"DOE^JOHN", BIRTH_DATE: b"19700131"})
    monkeypatch.setattr(quarantined, "_describe",
                        lambda *asked, **known: replace(store.describe(*asked, **known), patient=of_john))
    assert quarantined.show(only(quarantined))["patient"] == {
        "patientID": "P1", "issuerOfPatientID": "", "patientName": "DOE^JOHN", "patientBirthDate": "19700131"}


def test_a_stored_one_that_cannot_be_read(store, quarantined):
    store.mover.flush()
    store.final_path(UID).unlink()
    assert quarantined.show(only(quarantined))["first"].startswith("what is stored cannot be read")


def test_a_quarantine_that_cannot_be_read(store, quarantined, monkeypatch):
    def fails():
        raise QuarantineFailed("reading the quarantine", 5)

    monkeypatch.setattr(store.archive.quarantine, "entries", fails)
    for ask in (quarantined.count, lambda: list(quarantined.conflicts())):
        with pytest.raises(Undecided, match="reading the quarantine: Input/output error"):
            ask()


def test_the_note_of_what_was_replaced(store, quarantined):
    quarantined.accept(only(quarantined))
    note = json.loads((store.path / "quarantine" / f"{store.old.slot:016x}.json").read_text())
    del note["set_aside_at"]
    assert note == {"reason": "another image with its SOP Instance UID was accepted in its place", "kind": "replaced",
                    "study_instance_uid": "1.2.3", "series_instance_uid": "1.2.3.4", "sop_instance_uid": UID}
