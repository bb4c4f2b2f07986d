"""The cases of a slot that an earlier process left, one by one."""
import errno
import os

import pytest

from dicomserver.archive.errors import QuarantineFailed
from dicomserver.server.recovery import RecoveryReport, recover
from tests.server.deleting import at_once


def run(store, progress=lambda done, total: None) -> RecoveryReport:
    report = recover(store.archive, store.index, store.mover, store.describe, progress, store.log)
    if store.mover._thread.ident is None:
        store.mover.start()
    assert store.mover.flush()
    return report


@pytest.fixture(autouse=True)
def not_fresh(store):
    """Unless a test says otherwise the index knows all files."""
    store.index.mark_complete()


def intake(store) -> list[str]:
    """Slots with something in them; the stock of empty ones is made ahead."""
    return [entry.name for entry in os.scandir(store.path / "intake") if entry.stat().st_size]


def test_an_empty_intake(store):
    store.reopen()
    assert run(store).text().startswith("0 instances")


def test_whole_with_a_row_is_filed(store):
    store.receive("1.2.3.4.5", b"pixels")
    store.reopen()
    report = run(store)
    assert (report.waiting, report.indexed) == (1, 0)
    assert store.final_path("1.2.3.4.5").read_bytes().endswith(b"pixels")
    assert intake(store) == [] and store.archive.waiting == (0, 0)


def test_whole_without_a_row_is_indexed_again_and_filed(store):
    slot = store.receive("1.2.3.4.5", b"pixels", row=False).slot
    store.reopen()
    assert run(store).indexed == 1
    stored = store.index.find("1.2.3.4.5")
    assert (stored.slot, stored.study_instance_uid) == (slot, "1.2.3")
    assert store.final_path("1.2.3.4.5").exists()


def test_a_crash_during_recovery_changes_nothing(store):
    store.receive("1.2.3.4.5", row=False)
    store.receive("1.2.3.4.6", row=False)
    store.reopen()

    def dies(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(store.archive, store.index, store.mover, store.describe, dies, store.log)
    store.reopen()
    report = run(store)
    assert (report.waiting, report.indexed) == (1, 1)
    assert store.index.counts().instances == 2


def test_linked_already_and_not_yet_unlinked(store):
    waiting = store.receive("1.2.3.4.5", b"pixels")
    store.mover.start()
    store.mover.flush()
    os.link(store.final_path("1.2.3.4.5"), store.slot_path(waiting.slot))
    store.mover.stop()
    store.reopen()
    assert run(store).waiting == 1
    assert intake(store) == []


@pytest.mark.parametrize("filed", [False, True])
def test_a_double_with_the_same_bytes_is_dropped(store, filed):
    first = store.receive("1.2.3.4.5", b"pixels")
    if filed:
        store.mover.start()
        store.mover.flush()
        store.mover.stop()
    store.receive("1.2.3.4.5", b"pixels", row=False, mover=False)
    store.reopen()
    report = run(store)
    assert (report.dropped, report.quarantined) == (1, 0)
    assert store.index.find("1.2.3.4.5").slot == first.slot
    assert intake(store) == [] and store.quarantined() == []


def test_a_double_with_other_bytes_is_set_aside_and_the_first_stays(store):
    store.receive("1.2.3.4.5", b"first")
    store.receive("1.2.3.4.5", b"other", row=False, mover=False)
    store.reopen()
    report = run(store)
    assert (report.waiting, report.quarantined) == (1, 1)
    assert store.final_path("1.2.3.4.5").read_bytes().endswith(b"first")
    assert store.quarantined()[0].endswith(b"other")


def test_a_double_of_something_that_cannot_be_read_is_not_thrown_away(store):
    first = store.receive("1.2.3.4.5", b"pixels")
    store.receive("1.2.3.4.5", b"pixels", row=False, mover=False)
    store.reopen()
    os.unlink(store.slot_path(first.slot))
    assert run(store).quarantined == 1
    assert store.quarantined()[0].endswith(b"pixels")


def unreadable(path, monkeypatch) -> None:
    """As the disk would have it, whichever name the file has."""
    inode, real = os.stat(path).st_ino, os.pread

    def read(fd, length, offset):
        if os.fstat(fd).st_ino == inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", read)


def test_a_double_of_something_that_the_disk_does_not_read_stops_no_start(store, monkeypatch, caplog):
    first = store.receive("1.2.3.4.5", b"pixels")
    store.mover.start()
    assert store.mover.flush()
    store.mover.stop()
    store.receive("1.2.3.4.5", b"pixels", row=False, mover=False)
    store.reopen()
    with monkeypatch.context() as patch:
        unreadable(store.final_path("1.2.3.4.5"), patch)
        assert run(store).quarantined == 1
    assert store.final_path("1.2.3.4.5").exists() and store.index.find("1.2.3.4.5").slot == first.slot
    entry, = store.archive.quarantine.entries()
    assert (entry.kind, entry.reason) == ("conflict", "what is stored under the SOP Instance UID cannot be read")
    assert entry.reason in caplog.text and intake(store) == []


@pytest.mark.parametrize("row", [True, False])
def test_a_slot_that_the_disk_does_not_read_stops_no_start(store, monkeypatch, row):
    slot = store.receive("1.2.3.4.5", b"pixels", row=row).slot
    store.receive("1.2.3.4.6", b"pixels")
    store.reopen()
    with monkeypatch.context() as patch:
        unreadable(store.slot_path(slot), patch)
        report = run(store)
    assert (report.quarantined, report.waiting) == (1, 1)
    assert store.quarantined()[0].endswith(b"pixels") and intake(store) == []
    assert store.index.find("1.2.3.4.5") is None and store.final_path("1.2.3.4.6").exists()


def test_a_slot_that_was_never_acknowledged_is_removed(store):
    slot = store.receive("1.2.3.4.5", b"x" * 5000, row=False, mover=False).slot
    with open(store.slot_path(slot), "r+b") as file:
        file.write(bytes(128))      # the preamble is written last
    store.reopen()
    assert run(store).removed >= 1
    assert intake(store) == [] and store.quarantined() == [] and store.index.find("1.2.3.4.5") is None


@pytest.mark.parametrize("row", [False, True])
def test_damaged_bytes_are_set_aside_and_no_row_promises_them(store, row, caplog):
    slot = store.receive("1.2.3.4.5", b"pixels", row=row).slot
    with open(store.slot_path(slot), "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"X")
    store.reopen()
    assert run(store).quarantined == 1
    assert store.quarantined()[0].endswith(b"pixelX")
    assert store.index.find("1.2.3.4.5") is None and store.index.counts().studies == 0
    assert ("acknowledged instance was damaged" in caplog.text) == row


def test_a_lost_preamble_of_something_acknowledged_is_damage_too(store):
    slot = store.receive("1.2.3.4.5", b"pixels").slot
    with open(store.slot_path(slot), "r+b") as file:
        file.write(bytes(128))
    store.reopen()
    assert run(store).quarantined == 1
    assert store.index.find("1.2.3.4.5") is None
    assert store.quarantined()[0].endswith(b"pixels")


@pytest.mark.parametrize("at, length", [(0, 512), (128, 300), (0, 4096)], ids=["sector", "meta header", "page"])
def test_a_lost_begin_of_something_acknowledged_is_damage_too(store, at, length, caplog):
    """Where the meta header is, too, which says whose it was."""
    pixels = b"p" * 10_000
    slot = store.receive("1.2.3.4.5", pixels).slot
    store.receive("1.2.3.4.6", pixels)
    with open(store.slot_path(slot), "r+b") as file:
        file.seek(at)
        file.write(bytes(length))
    store.reopen()
    report = run(store)
    assert (report.quarantined, report.waiting) == (1, 1)
    assert store.index.find("1.2.3.4.5") is None and store.index.find("1.2.3.4.6") is not None
    assert len(store.quarantined()) == 1 and intake(store) == []
    note, = store.archive.quarantine.entries()
    assert (note.kind, note.sop_instance_uid) == ("damaged", "1.2.3.4.5")
    assert "acknowledged instance was damaged" in caplog.text
    store.receive("1.2.3.4.5", pixels)
    assert store.mover.flush() and store.final_path("1.2.3.4.5").read_bytes().endswith(pixels)


@pytest.mark.parametrize("call", ["keep_aside", "set_aside"])
def test_something_acknowledged_is_never_removed_because_it_cannot_be_set_aside(store, monkeypatch, call):
    slot = store.receive("1.2.3.4.5", b"p" * 5000).slot
    with open(store.slot_path(slot), "r+b") as file:
        file.write(bytes(512))
    store.reopen()

    def full(*args):
        raise QuarantineFailed("setting a file aside", errno.ENOSPC)

    with monkeypatch.context() as patch:
        patch.setattr(store.archive, call, full)
        run(store)
    store.reopen()
    run(store)
    assert [len(content) > 5000 for content in store.quarantined()] == [True]
    assert store.index.find("1.2.3.4.5") is None and intake(store) == []


def test_whoever_waits_for_a_look_into_the_whole_index_is_told(store):
    slot = store.receive("1.2.3.4.5", b"x" * 5000, row=False, mover=False).slot
    with open(store.slot_path(slot), "r+b") as file:
        file.write(bytes(128))
    store.reopen()
    asked = []
    store.index.uids_in_slots = lambda slots, keep_going: asked.append((set(slots), keep_going())) or {}
    told = []
    run(store, lambda done, total: told.append((done, total)))
    assert slot in asked[0][0] and asked[0][1] is True and told[0] == (0, 0)


def test_a_dataset_that_cannot_be_indexed_is_set_aside(store):
    store.receive("1.2.3.4.5", b"malformed", row=False)
    store.reopen()
    assert run(store).quarantined == 1
    assert store.quarantined() and store.index.counts().instances == 0


def test_what_is_not_ours_is_left_alone(store, caplog):
    (store.path / "intake" / "README").write_text("hello")
    store.reopen()
    assert run(store).foreign == 1
    assert (store.path / "intake" / "README").exists() and "left alone" in caplog.text


def test_what_cannot_be_set_aside_stays_for_the_next_start(store, monkeypatch):
    slot = store.receive("1.2.3.4.5", b"malformed", row=False).slot
    store.reopen()


    def full(*args):
        raise QuarantineFailed("setting a file aside", errno.ENOSPC)

    monkeypatch.setattr(store.archive, "set_aside", full)
    assert run(store).quarantined == 1
    assert store.slot_path(slot).exists()


def test_an_interrupted_deletion_is_finished_first(store):
    store.receive("1.2.3.4.5", b"pixels")
    store.receive("1.2.3.4.6", b"pixels")
    store.archive.begin_delete([store.index.find("1.2.3.4.5")])
    store.reopen()
    report = run(store)
    assert (report.deletions, report.waiting) == (1, 1)
    assert store.index.find("1.2.3.4.5") is None and not store.final_path("1.2.3.4.5").exists()
    assert intake(store) == []


def receive_and_file(store, *uids) -> None:
    for uid in uids:
        store.receive(uid, b"pixels")
    store.mover.start()
    assert store.mover.flush()


def test_a_folder_in_the_place_of_a_file_stops_no_start(store, caplog):
    """Of one whose deletion an earlier process began, and of one that waits."""
    receive_and_file(store, "1.2.3.4.5", "1.2.3.4.6")
    store.archive.begin_delete([store.index.find("1.2.3.4.5"), store.index.find("1.2.3.4.6")])
    store.final_path("1.2.3.4.5").unlink()
    store.final_path("1.2.3.4.5").mkdir()
    store.final_path("1.2.3.4.7").mkdir()
    waiting = store.receive("1.2.3.4.7", b"acknowledged")
    store.reopen()
    report = run(store)
    assert (report.deletions, report.waiting) == (1, 1)
    assert sorted(path.name for path in store.final_path("1.2.3.4.5").parent.iterdir()) == [
        "1.2.3.4.5.dcm", "1.2.3.4.7.dcm"]
    assert store.archive.interrupted_deletions() == []
    store.archive.verify(store.index.find("1.2.3.4.7"))
    assert intake(store) == [f"{waiting.slot:016x}"]
    assert [text.split(":")[0] for text in caplog.messages if "have the name" in text or "has the name" in text] == [
        "folders have the names of 1 deleted images, and were left as they are",
        "1 images cannot be filed, as something else has the names of their files or folders; they are safe in the "
        "intake, and can be retrieved"]
    assert "1.2.3" not in caplog.text


def test_a_deletion_that_cannot_be_finished_stops_no_start(store, monkeypatch, caplog):
    receive_and_file(store, "1.2.3.4.5", "1.2.3.4.6")
    for uid in ("1.2.3.4.5", "1.2.3.4.6"):
        store.archive.begin_delete([store.index.find(uid)])
    store.reopen()
    real = os.unlink

    def unlink(name, **keywords):
        if name == "1.2.3.4.5.dcm":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(name, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        assert run(store).deletions == 1
    assert "a deletion that had stopped cannot be finished yet: deleting instances: Input/output error" in caplog.text
    assert list(store.archive.walk_instances()) == [] and store.final_path("1.2.3.4.5").exists()
    deleter = at_once(store, store.mover)
    deleter.take_over(store.archive.interrupted_deletions())
    deleter.keep_house()
    assert not store.final_path("1.2.3.4.5").exists() and store.archive.interrupted_deletions() == []


def test_a_fresh_index_is_filled_from_the_files_and_the_intake(store, tmp_path):
    for number in range(3):
        store.receive(f"1.2.3.4.{number}", b"filed")
    store.mover.start()
    store.mover.flush()
    store.mover.stop()
    store.receive("1.2.3.4.9", b"waiting")
    store.index.close()
    store.archive.close()
    store.url = f"sqlite://{tmp_path / 'new.db'}"
    store.open()
    seen = []
    report = run(store, lambda done, total: seen.append((done, total)))
    assert (report.filled.indexed, report.indexed) == (3, 1)
    assert store.index.counts().instances == 4 and not store.index.is_fresh
    assert (0, 3) in seen and (3, 3) in seen
    store.reopen()
    assert run(store).filled is None


@pytest.mark.parametrize("newcomer", [False, True])
def test_what_is_stored_does_not_lie_in_quarantine_too(store, newcomer):
    """A decision on a conflict that a crash ended early leaves a second name there."""
    first = store.receive("1.2.3.4.5", b"first")
    os.link(store.slot_path(first.slot), store.path / "quarantine" / f"{first.slot:016x}.dcm")
    if newcomer:
        store.receive("1.2.3.4.5", b"other", row=False, mover=False)
    store.reopen()
    run(store)
    assert [file.rpartition(b" ")[2] for file in store.quarantined()] == [b"other"] * newcomer


def test_a_second_name_that_cannot_be_removed_is_told(store, monkeypatch, caplog):
    def fails(stored):
        raise QuarantineFailed("looking into the quarantine", errno.EIO)

    store.receive("1.2.3.4.5")
    store.reopen()
    monkeypatch.setattr(store.archive.replacing, "drop_second_name", fails)
    assert run(store).waiting == 1
    assert "a stored instance still lies in quarantine, too: looking into the quarantine" in caplog.text


def test_notes_say_which_kind_it_is(store):
    store.receive("1.2.3.4.5", b"first")
    store.receive("1.2.3.4.5", b"other", row=False, mover=False)
    store.receive("1.2.3.4.6", b"malformed", row=False)
    store.reopen()
    run(store)
    assert sorted(entry.kind for entry in store.archive.quarantine.entries()) == ["conflict", "damaged"]
