"""Into the trash and back: what is found, what is told, and what an interruption leaves to the next start."""
import errno
import os
import shutil
import time

import pytest

from dicomserver.archive.errors import TrashFailed
from dicomserver.archive.trash import State
from dicomserver.index import IndexFull
from dicomserver.server import trash
from dicomserver.server.deletion import Asked, Deleter, DeletionStopped
from dicomserver.server.recovery import recover
from dicomserver.server.strays import Strays
from dicomserver.server.trash import TrashKeeper, Undeleted, UndeletionStopped, choice

DAY = 86400


class Hospital:
    """A store, its deleter and its trash; `restart` is a crash."""

    def __init__(self, store) -> None:
        self.store = store
        self.open()

    def open(self) -> None:
        store = self.store
        recover(store.archive, store.index, store.mover, store.describe, lambda *step: None, store.log)
        store.mover.start()
        self.trash = TrashKeeper(store.archive, store.index, store.mover, store.describe, 7 * DAY, store.log)
        self.deleter = Deleter(store.archive, store.index, store.mover, self.trash, store.log)

    def restart(self) -> None:
        """The server's own order."""
        self.store.reopen()
        self.open()
        with self.trash.lock:
            self.trash.settle()

    def receive(self, uid: str, content: bytes = b"pixels", study: str = "1.2.1") -> None:
        self.store.receive(uid, content, study, study + ".1")

    def undelete(self, **asked) -> tuple[Undeleted, dict[str, str]]:
        stays: dict[str, str] = {}
        done = self.trash.undelete(choice(**asked), on_stays=stays.__setitem__)
        return done, stays

    @property
    def stored(self) -> dict[str, bytes]:
        """What the index has, and what a retrieval would give."""
        found = {}
        for row in self.store.index.select():
            fd = self.store.archive.open_instance(row.slot, row.study_instance_uid, row.series_instance_uid,
                                                  row.sop_instance_uid)
            with open(fd, "rb") as file:
                found[row.sop_instance_uid] = file.read()
        return found

    @property
    def lies(self) -> list[str]:
        return sorted(file.sop_instance_uid for record in self.store.archive.trash.records() for file in record.files)

    def is_tidy(self) -> bool:
        """Nothing waits, nothing is marked, no file is there twice."""
        assert self.store.mover.flush()
        states = {file.state for record in self.store.archive.trash.records() for file in record.files}
        links = {path.stat().st_nlink for path in self.store.path.glob("**/*.dcm")}
        return states <= {State.STAYS} and links <= {1} and self.store.archive.waiting == (0, 0)


@pytest.fixture
def hospital(store):
    store.index.mark_complete()
    hospital = Hospital(store)
    for number in range(3):
        hospital.receive(f"1.2.1.1.{number}")
    hospital.receive("1.2.2.1.1", study="1.2.2")
    return hospital


@pytest.mark.parametrize("filed", [False, True])
@pytest.mark.parametrize("at_once", [2, 200])
def test_back_byte_for_byte(hospital, filed, at_once, monkeypatch):
    monkeypatch.setattr(trash, "AT_ONCE", at_once)
    before = hospital.stored
    if filed:
        hospital.store.mover.flush()
    hospital.deleter.delete(Asked(study="1.2.1"))
    assert list(hospital.stored) == ["1.2.2.1.1"] and len(hospital.lies) == 3
    assert hospital.undelete(study="1.2.1") == (Undeleted(3, 3, 0), {})
    assert hospital.stored == before and hospital.lies == []
    assert hospital.is_tidy()
    hospital.restart()
    assert hospital.stored == before


@pytest.mark.parametrize("asked, back", [
    ({"instance": "1.2.1.1.1"}, {"1.2.1.1.1"}), ({"series": "1.2.2.1"}, {"1.2.2.1.1"}), ({"study": "9.9"}, set()),
    ({"study": "1.2.2", "instance": "1.2.1.1.1"}, set())])
def test_a_part(hospital, asked, back):
    for study in ("1.2.1", "1.2.2"):
        hospital.deleter.delete(Asked(study=study))
    assert hospital.undelete(**asked)[0] == Undeleted(len(back), len(back), 0)
    assert set(hospital.stored) == back and len(hospital.lies) == 4 - len(back)
    assert hospital.is_tidy()


def test_the_list_and_one_deletion_of_several(hospital):
    hospital.deleter.delete(Asked(instance="1.2.1.1.0"))
    hospital.deleter.delete(Asked(study="1.2.1"))
    study, instance = hospital.trash.deletions()
    assert (study.asked, study.studies, study.instances) == ("study 1.2.1", 1, 2)
    assert (instance.asked, instance.instances) == ("instance 1.2.1.1.0", 1)
    assert study.octets == 2 * instance.octets > 200
    assert study.until - study.deleted_at == 7 * DAY and abs(study.deleted_at - time.time()) < 600
    assert hospital.undelete(deletion=study.deletion)[0].restored == 2
    assert hospital.lies == ["1.2.1.1.0"]


def test_a_large_deletion_is_one_in_the_list(hospital, monkeypatch):
    monkeypatch.setattr("dicomserver.server.deletion.AT_ONCE", 1)
    hospital.deleter.delete(Asked(study="1.2.1"))
    listed, = hospital.trash.deletions()
    assert (listed.studies, listed.instances) == (1, 3)
    assert hospital.undelete(deletion=listed.deletion)[0].restored == 3


def test_what_was_stored_anew_with_other_content_stays(hospital):
    hospital.deleter.delete(Asked(study="1.2.1"))
    hospital.receive("1.2.1.1.1", b"other pixels")
    done, stays = hospital.undelete(study="1.2.1")
    assert (done.restored, done.stays) == (2, 1)
    assert stays == {"1.2.1.1.1": "the instance was stored anew meanwhile, with other content"}
    assert hospital.stored["1.2.1.1.1"].endswith(b"other pixels") and hospital.lies == ["1.2.1.1.1"]
    assert hospital.is_tidy()
    hospital.deleter.delete(Asked(instance="1.2.1.1.1"))       # the newcomer: what was deleted last comes back first
    assert hospital.undelete(instance="1.2.1.1.1")[0] == Undeleted(2, 1, 1)
    assert hospital.stored["1.2.1.1.1"].endswith(b"other pixels")


def test_what_was_stored_anew_with_the_same_content_leaves_the_trash(hospital):
    hospital.deleter.delete(Asked(study="1.2.1"))
    hospital.receive("1.2.1.1.1")
    slot = hospital.store.index.find("1.2.1.1.1").slot
    assert hospital.undelete(study="1.2.1")[0] == Undeleted(3, 3, 0)
    assert hospital.store.index.find("1.2.1.1.1").slot == slot
    assert hospital.lies == [] and hospital.is_tidy()


def test_damaged_and_missing_ones_stay(hospital, caplog):
    hospital.deleter.delete(Asked(study="1.2.1"))
    one, other, _ = next(hospital.store.archive.trash.records()).files
    with open(hospital.store.path / "trash" / one.name, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    (hospital.store.path / "trash" / other.name).unlink()
    done, stays = hospital.undelete(study="1.2.1")
    assert done == Undeleted(3, 1, 2)
    assert stays == {one.sop_instance_uid: "the dataset's checksum does not hold",
                     other.sop_instance_uid: "it is not in the trash"}
    assert len(hospital.stored) == 2
    assert "1.2.1" not in caplog.text


def test_nothing_deleted_comes_back_by_itself(hospital):
    hospital.deleter.delete(Asked(study="1.2.1"))
    hospital.restart()
    assert list(hospital.stored) == ["1.2.2.1.1"] and len(hospital.lies) == 3
    hospital.store.index.close()
    hospital.store.url = "memory:"
    hospital.restart()
    assert list(hospital.stored) == ["1.2.2.1.1"] and len(hospital.lies) == 3
    assert hospital.undelete(study="1.2.1")[0].restored == 3


def test_deleting_undeleting_and_deleting_again(hospital):
    for _ in range(2):
        hospital.deleter.delete(Asked(study="1.2.1"))
        hospital.undelete(study="1.2.1")
    hospital.deleter.delete(Asked(study="1.2.1"))
    hospital.restart()
    assert list(hospital.stored) == ["1.2.2.1.1"] and len(hospital.lies) == 3 and hospital.is_tidy()


def test_time_is_over(hospital, caplog):
    caplog.set_level("INFO")
    hospital.deleter.delete(Asked(study="1.2.1"))
    hospital.trash.keep_house()
    assert len(hospital.lies) == 3
    hospital.trash.seconds = 0
    hospital.trash.keep_house()
    assert list((hospital.store.path / "trash").iterdir()) == []
    assert "3 deleted instances were removed from the trash for good" in caplog.text
    assert hospital.undelete(study="1.2.1")[0].total == 0
    assert list(hospital.stored) == ["1.2.2.1.1"]


def test_a_stop_ends_it_between_two_records(hospital):
    for study in ("1.2.1", "1.2.2"):
        hospital.deleter.delete(Asked(study=study))
    hospital.trash.seconds = 0
    answers = iter([True, False])
    hospital.trash.keep_house(lambda: next(answers))
    assert len(hospital.lies) == 3 and hospital.is_tidy()


def test_a_record_that_cannot_be_understood_is_told_of(hospital, caplog):
    (hospital.store.path / "trash" / "1-1.1.json").write_text("{")
    hospital.trash.keep_house()
    assert "1 records of the trash cannot be understood" in caplog.text


# -- interrupted, then the next start

def broken(*arguments, **keywords):
    raise TrashFailed("for a test", errno.EIO)


def full(*arguments):
    raise IndexFull("the disk is full")


INTERRUPTIONS = ["link_back", "sync_back", "remove"]


@pytest.mark.parametrize("failing", INTERRUPTIONS)
def test_an_undeletion_is_ended_at_the_next_start(hospital, failing, monkeypatch):
    before = hospital.stored
    hospital.deleter.delete(Asked(study="1.2.1"))
    with monkeypatch.context() as patch:
        patch.setattr(hospital.store.archive.trash, failing, broken)
        with pytest.raises(UndeletionStopped, match="; 0 instances were brought back"):
            hospital.undelete(study="1.2.1")
    hospital.restart()
    assert hospital.stored == before and hospital.lies == [] and hospital.is_tidy()


@pytest.mark.parametrize("failing", INTERRUPTIONS)
def test_or_before_anything_else_is_deleted(hospital, failing, monkeypatch):
    """Else what is deleted then would return with the next start."""
    hospital.deleter.delete(Asked(study="1.2.1"))
    with monkeypatch.context() as patch:
        patch.setattr(hospital.store.archive.trash, failing, broken)
        for _ in range(2):
            with pytest.raises(UndeletionStopped):
                hospital.undelete(study="1.2.1")
        with pytest.raises(DeletionStopped):
            hospital.deleter.delete(Asked(study="1.2.1"), now=True)
    assert hospital.deleter.delete(Asked(study="1.2.1"), now=True) == 3
    hospital.restart()
    assert list(hospital.stored) == ["1.2.2.1.1"] and hospital.lies == [] and hospital.is_tidy()


def test_an_index_that_takes_nothing(hospital, monkeypatch):
    before = hospital.stored
    hospital.deleter.delete(Asked(study="1.2.1"))
    with monkeypatch.context() as patch:
        patch.setattr(hospital.store.index, "add", full)
        with pytest.raises(UndeletionStopped, match="the disk is full"):
            hospital.undelete(study="1.2.1")
    assert len(hospital.lies) == 3
    hospital.trash.keep_house()
    assert hospital.stored == before and hospital.is_tidy()


def test_emptying_is_ended_at_the_next_start(hospital, monkeypatch):
    hospital.deleter.delete(Asked(study="1.2.1"))
    with monkeypatch.context() as patch:
        patch.setattr(hospital.store.archive.trash, "remove", broken)
        with pytest.raises(DeletionStopped):
            hospital.deleter.delete(Asked(instance="1.2.1.1.0"), now=True)
    hospital.restart()
    assert len(hospital.lies) == 2 and hospital.is_tidy()


def test_an_unfinished_deletion_takes_nothing_back(hospital, monkeypatch):
    """Its tombstone is still there: what came back would be deleted again with it."""
    with monkeypatch.context() as patch:
        patch.setattr(hospital.store.archive._tombstones, "drop", broken)
        with pytest.raises(DeletionStopped):
            hospital.deleter.delete(Asked(study="1.2.1"))
        done, stays = hospital.undelete(study="1.2.1")
        assert done == Undeleted(3, 0, 3) and set(stays.values()) == {"its deletion is not finished yet"}
    hospital.deleter.keep_house()
    assert hospital.undelete(study="1.2.1")[0].restored == 3


def test_progress_may_end_it_between_two_batches(hospital, monkeypatch):
    monkeypatch.setattr(trash, "AT_ONCE", 2)
    hospital.deleter.delete(Asked(study="1.2.1"))

    def stop(so_far):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        hospital.trash.undelete(choice(study="1.2.1"), on_progress=stop)
    assert len(hospital.lies) == 1 and len(hospital.stored) == 3 and hospital.is_tidy()


def test_whoever_finds_the_row_can_open_the_file(hospital, monkeypatch):
    hospital.deleter.delete(Asked(study="1.2.1"))
    index, add, opened = hospital.store.index, hospital.store.index.add, []

    def looked_at(instance):
        there = add(instance)
        opened.extend(hospital.stored)
        return there
    monkeypatch.setattr(index, "add", looked_at)
    assert hospital.undelete(study="1.2.1")[0] == Undeleted(3, 3, 0)
    assert len(opened) == 2 + 3 + 4 and hospital.is_tidy()


@pytest.mark.parametrize("fails_first", [False, True])
def test_another_one_that_is_stored_in_this_moment_stays_alone(hospital, monkeypatch, fails_first):
    hospital.deleter.delete(Asked(instance="1.2.1.1.1"))
    index, add = hospital.store.index, hospital.store.index.add

    def add_late(instance):
        monkeypatch.setattr(index, "add", add)
        hospital.receive("1.2.1.1.1", b"other pixels")
        if fails_first:
            raise IndexFull("no room")
        return add(instance)
    monkeypatch.setattr(index, "add", add_late)
    if fails_first:
        with pytest.raises(UndeletionStopped):
            hospital.undelete(instance="1.2.1.1.1")
    assert hospital.undelete(instance="1.2.1.1.1")[0] == Undeleted(1, 0, 1)
    assert hospital.lies == ["1.2.1.1.1"] and hospital.is_tidy()
    hospital.restart()
    assert hospital.stored["1.2.1.1.1"].endswith(b"other pixels") and hospital.store.quarantined() == []


@pytest.fixture
def merged(hospital, tmp_path):
    """A study was copied in from another archive: its files have the slot numbers of ours."""
    hospital.store.mover.flush()
    other = type(hospital.store)(tmp_path / "other")
    other.mover.start()
    for number in range(3):
        other.receive(f"1.2.3.1.{number}", b"other pixels", "1.2.3", "1.2.3.1")
    other.close()
    shutil.copytree(other.path / "1.2.3", hospital.store.path / "1.2.3")
    store = hospital.store
    assert Strays(store.archive, store.index, store.describe, store.log).settle(lambda octets: None).indexed == 3
    rows = list(store.index.select())
    assert len(rows) == 7 and len({row.slot for row in rows}) == 4
    return hospital


@pytest.mark.parametrize("asked", [[Asked(study="1.2.1"), Asked(study="1.2.3")], [Asked(patient="P")]])
def test_files_with_one_slot_number_do_not_take_each_others_place(merged, asked, monkeypatch):
    before = merged.stored
    monkeypatch.setattr(merged.store.index, "studies_of", lambda patient: [("1.2.1", ""), ("1.2.3", "")])
    for one in asked:
        merged.deleter.delete(one)
    assert len(merged.lies) == 6 and merged.is_tidy()
    assert merged.undelete(instance="1.2.3.1.1") == (Undeleted(1, 1, 0), {})
    assert len(merged.lies) == 5 and merged.is_tidy()
    assert merged.deleter.delete(Asked(instance="1.2.3.1.2"), now=True) == 1
    for study in ("1.2.1", "1.2.3"):
        merged.undelete(study=study)
    assert merged.stored == {uid: content for uid, content in before.items() if uid != "1.2.3.1.2"}
    assert merged.lies == [] and merged.is_tidy()
    merged.restart()
    assert len(merged.stored) == 6


def test_what_waits_in_a_slot_of_that_number_stays(merged):
    """Both had it in the same start, as after a restore."""
    slot = merged.store.index.find("1.2.3.1.0").slot
    waits = merged.store.slot_path(slot)
    os.link(merged.store.final_path("1.2.1.1.0", "1.2.1", "1.2.1.1"), waits)
    for now in (False, True):
        merged.deleter.delete(Asked(instance="1.2.3.1.0"), now=now)
        assert waits.exists()


def test_a_copy_that_is_deleted_again_has_its_own_time(hospital, monkeypatch):
    """Somebody has copied it from the trash to where it was, instead of bringing it back."""
    store, path = hospital.store, hospital.store.final_path("1.2.2.1.1", "1.2.2", "1.2.2.1")
    hospital.deleter.delete(Asked(study="1.2.2"))
    path.parent.mkdir(parents=True)
    shutil.copy(store.path / "trash" / next(store.archive.trash.records()).files[0].name, path)
    assert Strays(store.archive, store.index, store.describe, store.log).settle(lambda octets: None).indexed == 1
    hospital.deleter.delete(Asked(study="1.2.2"))
    first = list(hospital.trash.deletions())[-1].deletion
    with hospital.trash.lock:
        assert hospital.trash.forget(choice(first)) == 1
    assert hospital.undelete(study="1.2.2") == (Undeleted(1, 1, 0), {})
    assert "1.2.2.1.1" in hospital.stored and hospital.is_tidy()
