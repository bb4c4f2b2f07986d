import errno
import os
import threading
from dataclasses import replace

import pytest

from dicomserver.archive import deletion as archive_deletion
from dicomserver.archive.errors import DeletionFailed, TrashFailed
from dicomserver.archive.preamble import read_header
from dicomserver.archive.recovery import Found, Verdict
from dicomserver.index import IndexFull, Instance, open_index
from dicomserver.server import deletion
from dicomserver.server.deletion import Asked, DeletionStopped, PatientUnclear
from dicomserver.server.rebuild import describe_found
from dicomserver.server.recovery import recover
from tests.server.deleting import at_once


@pytest.fixture
def deleter(store):
    """Two studies: 1.2.1 with series 1.2.1.1 (two instances) and 1.2.1.2 (one), 1.2.2 with 1.2.2.1 (one)."""
    for study, series, uid in (("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.1", "1.2.1.1.2"),
                               ("1.2.1", "1.2.1.2", "1.2.1.2.1"), ("1.2.2", "1.2.2.1", "1.2.2.1.1")):
        store.receive(uid, b"pixels", study, series)
    store.index.mark_complete()
    return at_once(store, store.mover)


def left(store) -> set[str]:
    return {row.sop_instance_uid for row in store.index.select()}


def files(store) -> set[str]:
    return {path.name.removesuffix(".dcm") for path in store.path.glob("*/*/*.dcm")}


@pytest.mark.parametrize("filed", [False, True])
@pytest.mark.parametrize("uids, number, stays", [
    ({"study": "1.2.1"}, 3, {"1.2.2.1.1"}),
    ({"series": "1.2.1.1"}, 2, {"1.2.1.2.1", "1.2.2.1.1"}),
    ({"instance": "1.2.1.1.1"}, 1, {"1.2.1.1.2", "1.2.1.2.1", "1.2.2.1.1"}),
    ({"study": "1.2.2", "series": "1.2.1.1"}, 0, {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1", "1.2.2.1.1"}),
    ({"study": "9.9"}, 0, {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1", "1.2.2.1.1"}),
])
def test_what_is_asked_for_goes_and_nothing_else(store, deleter, filed, uids, number, stays):
    store.mover.start()
    if filed:
        store.mover.flush()
    octets = sum(row.file_length for row in store.index.select(**uids))
    assert deleter.count(Asked(**uids)) == (int(bool(number)), number, octets)
    assert deleter.delete(Asked(**uids)) == number
    assert left(store) == stays
    assert store.mover.flush()
    assert files(store) == stays
    assert store.archive.waiting == (0, 0)
    assert list((store.path / "tombstones").iterdir()) == []
    assert not [slot for slot in (store.path / "intake").iterdir() if slot.stat().st_size]


def test_nothing_deleted_comes_back(store, deleter):
    deleter.delete(Asked(study="1.2.1"))
    store.reopen()
    store.index.close()
    store.url = "memory:"
    store.index = open_index("memory:")
    recover(store.archive, store.index, store.mover, store.describe, lambda done, total: None, store.log)
    assert left(store) == {"1.2.2.1.1"}


def test_the_same_instance_can_be_stored_again(store, deleter):
    deleter.delete(Asked(instance="1.2.2.1.1"))
    store.receive("1.2.2.1.1", b"again", "1.2.2", "1.2.2.1")
    store.mover.start()
    assert store.mover.flush()
    assert store.final_path("1.2.2.1.1", "1.2.2", "1.2.2.1").read_bytes().endswith(b"again")


def test_many_go_in_batches_with_progress(store, deleter, monkeypatch):
    monkeypatch.setattr(deletion, "AT_ONCE", 2)
    seen = []
    assert deleter.delete(Asked(study="1.2.1"), progress=seen.append) == 3
    assert seen == [2, 3]


def test_progress_may_end_it_between_batches(store, deleter, monkeypatch):
    monkeypatch.setattr(deletion, "AT_ONCE", 2)

    def stop(done):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        deleter.delete(Asked(study="1.2.1"), progress=stop)
    assert len(left(store)) == 2


def test_a_failure_is_told_and_what_waits_goes_on_to_wait(store, deleter, monkeypatch):
    def full(files, label):
        raise DeletionFailed("beginning a deletion", errno.ENOSPC)

    monkeypatch.setattr(store.archive, "begin_delete", full)
    with pytest.raises(DeletionStopped, match="No space left on device; 0 instances"):
        deleter.delete(Asked(study="1.2.1"))
    monkeypatch.undo()
    store.mover.start()
    assert store.mover.flush()
    assert files(store) == left(store) == {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1", "1.2.2.1.1"}


def test_a_deletion_that_the_index_stopped_is_finished_at_the_next_start(store, deleter, monkeypatch):
    def full(uids, slots):
        raise IndexFull("the disk is full")

    monkeypatch.setattr(store.index, "remove", full)
    with pytest.raises(DeletionStopped):
        deleter.delete(Asked(study="1.2.1"))
    store.reopen()
    report = recover(store.archive, store.index, store.mover, store.describe, lambda *step: None, store.log)
    assert report.deletions == 1
    assert left(store) == {"1.2.2.1.1"}


@pytest.mark.parametrize("filed", [False, True])
def test_asking_again_goes_on_where_the_index_failed(store, deleter, filed, monkeypatch):
    def full(uids, slots):
        raise IndexFull("the disk is full")

    store.mover.start()
    if filed:
        store.mover.flush()
    with monkeypatch.context() as patch:
        patch.setattr(store.index, "remove", full)
        with pytest.raises(DeletionStopped):
            deleter.delete(Asked(study="1.2.1"))
    assert deleter.delete(Asked(study="1.2.1")) == 3
    assert_gone(store)


@pytest.mark.parametrize("filed", [False, True])
@pytest.mark.parametrize("uids, number", [
    ({"study": "1.2.1"}, 3), ({"series": "1.2.1.1"}, 2), ({"instance": "1.2.1.2.1"}, 1), ({"study": "9.9"}, 0)])
def test_asking_again_goes_on_where_the_files_failed(store, deleter, filed, uids, number, monkeypatch):
    def broken(*arguments):
        raise OSError(errno.EIO, "")

    store.mover.start()
    if filed:
        store.mover.flush()
    with monkeypatch.context() as patch:
        patch.setattr(archive_deletion.Deletions, "_waits", broken)
        with pytest.raises(DeletionStopped):
            deleter.delete(Asked(study="1.2.1"))
        if number:
            with pytest.raises(DeletionStopped):
                deleter.delete(Asked(**uids))
        else:
            assert deleter.delete(Asked(**uids)) == 0
    assert left(store) == {"1.2.2.1.1"}     # the rows were gone already
    seen = []
    assert deleter.delete(Asked(**uids), progress=seen.append) == number
    assert seen == [number] * bool(number)
    assert_gone(store)


def assert_gone(store) -> None:
    """Study 1.2.1 is, with all that reminds of it, the other is not."""
    assert store.mover.flush()
    assert left(store) == files(store) == {"1.2.2.1.1"}
    assert list((store.path / "tombstones").iterdir()) == []
    assert store.archive.waiting == (0, 0)


def test_without_a_server_there_is_no_mover(store, deleter):
    assert at_once(store, None).delete(Asked(study="1.2.1")) == 3
    assert left(store) == {"1.2.2.1.1"}


def test_everything_at_once_is_not_to_be_had():
    with pytest.raises(ValueError):
        Asked()


def test_one_deletion_at_a_time(store, deleter):
    threads = [threading.Thread(target=deleter.delete, args=(Asked(study),))
               for study in ("1.2.1", "1.2.2", "1.2.1")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert left(store) == set()


def test_what_cannot_be_finished_keeps_nobody_elses_from_going(store, deleter, monkeypatch):
    """As when the disk does not read one folder any more."""
    store.mover.start()
    store.mover.flush()
    real = archive_deletion.read_header

    def broken(fd):
        if "/1.2.1/" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EIO, "")
        return real(fd)

    with monkeypatch.context() as patch:
        patch.setattr(archive_deletion, "read_header", broken)
        with pytest.raises(DeletionStopped, match="Input/output error; 0 instances"):
            deleter.delete(Asked(study="1.2.1"))
        assert deleter.delete(Asked(study="1.2.2")) == 1
        with pytest.raises(DeletionStopped):
            deleter.delete(Asked(instance="1.2.1.1.1"))
        with pytest.raises(DeletionFailed):
            deleter.keep_house()
    deleter.keep_house(lambda: False)
    assert files(store) == {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1"}
    deleter.keep_house()
    assert files(store) == left(store) == set()
    assert list((store.path / "tombstones").iterdir()) == []


def test_rows_of_an_unfinished_deletion_are_not_deleted_twice(store, deleter, monkeypatch):
    def full(uids, slots):
        raise IndexFull("the disk is full")

    monkeypatch.setattr(store.index, "remove", full)
    for _ in range(2):
        with pytest.raises(DeletionStopped, match="; 0 instances"):
            deleter.delete(Asked(study="1.2.1"))
    assert len(list((store.path / "tombstones").iterdir())) == 1


def test_who_makes_room_has_the_last_of_it(store, deleter, monkeypatch):
    given = []
    real = store.archive.last_room.given_up
    monkeypatch.setattr(store.archive.last_room, "given_up", lambda: given.append(len(given)) or real())
    trashing = at_once(store, store.mover, seconds=1000)
    trashing.keep_house()
    room = store.path / "room"
    assert room.stat().st_blocks and given == []
    trashing.delete(Asked(instance="1.2.1.1.1"))
    assert given == []      # it stays on the disk
    trashing.delete(Asked(instance="1.2.1.1.2"), now=True)
    assert given == [0] and room.exists()
    deleter.delete(Asked(instance="1.2.1.2.1"))     # without a trash
    assert given == [0, 1]
    trashing._trash.seconds = -1
    trashing._trash.keep_house()
    assert given == [0, 1, 2] and list(store.archive.trash.records()) == []


@pytest.mark.parametrize("filed", [False, True])
def test_into_the_trash(store, deleter, filed):
    store.mover.start()
    if filed:
        store.mover.flush()
    assert at_once(store, store.mover, 60).delete(Asked(study="1.2.1")) == 3
    assert_gone(store)
    record, = store.archive.trash.records()
    assert record.label.asked == "study 1.2.1"
    assert {file.sop_instance_uid for file in record.files} == {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1"}


def test_now_means_out_of_the_trash_too(store, deleter):
    careful = at_once(store, store.mover, 60)
    assert careful.delete(Asked(series="1.2.1.1")) == 2
    assert careful.delete(Asked(study="1.2.1"), now=True) == 3
    assert left(store) == {"1.2.2.1.1"}
    assert list((store.path / "trash").iterdir()) == []


def test_a_trash_that_cannot_be_read_stops_a_deletion_before_it_begins(store, deleter, monkeypatch):
    def broken():
        raise TrashFailed("reading the trash", errno.EIO)

    monkeypatch.setattr(store.archive.trash, "records", broken)
    with pytest.raises(DeletionStopped, match="^reading the trash"):
        at_once(store, store.mover, 60).delete(Asked(study="1.2.1"))
    assert len(left(store)) == 4


def patients(store, monkeypatch, **studies: tuple[str, str]) -> None:
    """Whose the studies are: Patient ID and issuer."""
    monkeypatch.setattr(store.index, "studies_of", lambda patient: [
        (study.replace("_", "."), issuer) for study, (its, issuer) in studies.items() if its == patient])


@pytest.mark.parametrize("now", [False, True])
def test_all_of_a_patient(store, deleter, monkeypatch, now):
    store.receive("1.2.3.1.1", b"pixels", "1.2.3", "1.2.3.1")
    patients(store, monkeypatch, **{"1_2_1": ("P1", ""), "1_2_3": ("P1", ""), "1_2_2": ("P2", "")})
    careful = at_once(store, store.mover, 60)
    assert careful.count(Asked(patient="P1"))[:2] == (2, 4)
    assert careful.count(Asked(patient="P9"))[:2] == (0, 0)
    assert careful.delete(Asked(patient="P1"), now=now) == 4
    assert left(store) == {"1.2.2.1.1"}
    records = list(store.archive.trash.records())
    assert [(record.label.asked, len(record.files)) for record in records] == ([] if now else [("a patient", 4)])


def test_a_patient_id_of_several_issuers(store, deleter, monkeypatch):
    patients(store, monkeypatch, **{"1_2_1": ("P1", "HERE"), "1_2_2": ("P1", "")})
    for ask in deleter.count, deleter.delete:
        with pytest.raises(PatientUnclear):
            ask(Asked(patient="P1"))
    assert deleter.delete(Asked(patient="P1", issuer="")) == 1
    assert left(store) == {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.2.1"}
    assert deleter.delete(Asked(patient="P1", issuer="HERE")) == 3


def test_replaced_in_one_step(store, deleter):
    """The newcomer is in its slot, and one of the two is found at any time."""
    store.mover.start()
    store.mover.flush()
    newcomer = store.receive("1.2.2.1.1", b"newcomer", "1.2.2", "1.2.2.1", row=False)
    stored = store.index.find("1.2.2.1.1")
    instance = described(store, newcomer)
    assert deleter.replace(stored, instance, lambda: None)
    assert store.index.find("1.2.2.1.1").slot == newcomer.slot
    assert store.mover.flush()
    assert store.final_path("1.2.2.1.1", "1.2.2", "1.2.2.1").read_bytes().endswith(b"newcomer")
    assert list((store.path / "tombstones").iterdir()) == [] and store.archive.waiting == (0, 0)


def test_what_was_not_stored_any_more_is_not_replaced(store, deleter):
    store.mover.start()
    stored = store.index.find("1.2.2.1.1")
    deleter.delete(Asked(instance="1.2.2.1.1"))
    third = store.receive("1.2.2.1.1", b"third", "1.2.2", "1.2.2.1")
    newcomer = store.receive("1.2.2.1.1", b"newcomer", "1.2.2", "1.2.2.1", row=False, mover=False)
    assert not deleter.replace(stored, described(store, newcomer), lambda: pytest.fail("it is not there"))
    assert store.index.find("1.2.2.1.1").slot == third.slot
    store.archive.discard(newcomer.slot)
    assert store.mover.flush()
    assert store.final_path("1.2.2.1.1", "1.2.2", "1.2.2.1").read_bytes().endswith(b"third")


def described(store, waiting) -> Instance:
    found = Found(f"intake/{waiting.slot:016x}", Verdict.WHOLE, waiting.slot)
    with open(store.path / found.name, "rb") as file:
        header = read_header(file.fileno())
    return describe_found(store.archive, replace(found, header=header), store.describe)
