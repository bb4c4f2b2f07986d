"""Files at final names without a row, beside a server that goes on storing and deleting."""
import json
import os

import pytest

from dicomserver.archive.claims import Claims, ClaimTaken
from dicomserver.index import IndexFull
from dicomserver.server.strays import Strays, StraysReport

UID = "1.2.3.4.5"


@pytest.fixture
def settle(store):
    """Settles what is there; told how many bytes were read."""
    strays = Strays(store.archive, store.index, store.describe, store.log)
    return lambda on_read=lambda octets: None: strays.settle(on_read)


def filed(store, uid=UID, **place):
    """A filed instance's path; the mover stands still afterwards."""
    waiting = store.receive(uid, b"pixels of " + uid.encode(), mover=False, **place)
    store.archive.file_batch([waiting])
    return store.final_path(uid, **place)


def forget(store, uid=UID):
    """Its row goes, its file stays: as where the index came from an older copy."""
    row = store.index.find(uid)
    assert store.index.remove([uid], [row.slot]) == 1
    return row


def note(store):
    (path,) = (store.path / "quarantine").glob("*.json")
    return json.loads(path.read_text())


def test_whole_ones_are_indexed_and_what_has_a_row_is_not_opened(store, settle, monkeypatch):
    known, path = filed(store, "1.2.3.4.6"), filed(store)
    row = forget(store)
    known.chmod(0)
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda name, *args, **more: opened.append(name) or real(name, *args, **more))
    read = []
    assert settle(read.append) == StraysReport(indexed=1)
    assert store.index.find(UID) == row
    assert known.name not in opened and path.name in opened
    assert sum(read) == row.file_length
    assert settle() == StraysReport()
    store.archive.verify(row)


def test_a_damaged_one_is_set_aside(store, settle, caplog):
    path = filed(store)
    forget(store)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    assert settle() == StraysReport(quarantined=1)
    assert store.quarantined()[0].endswith(b"X") and not path.exists()
    assert "checksum" in note(store)["reason"] and note(store)["sop_instance_uid"] == UID
    assert note(store)["kind"] == "stray"
    assert "ERROR" in caplog.text and UID not in caplog.text
    assert store.index.find(UID) is None


@pytest.mark.parametrize("content, reason", [(b"malformed", "indexed"), (b"9.9 9.9 pixels", "another study")])
def test_one_that_no_query_could_lead_to_is_set_aside(store, settle, content, reason):
    if content.startswith(b"malformed"):
        waiting = store.receive(UID, content, row=False, mover=False)
        store.archive.file_batch([waiting])
    else:
        (store.path / "1.2.8" / "1.2.8.1").mkdir(parents=True)
        os.link(filed(store), store.final_path(UID, "1.2.8", "1.2.8.1"))
        store.final_path(UID).unlink()
        forget(store)
    assert settle() == StraysReport(quarantined=1)
    assert reason in note(store)["reason"] and store.index.find(UID) is None


def test_a_second_file_of_a_uid_is_set_aside_and_the_first_stays(store, settle):
    first = filed(store)
    row = forget(store)
    second = filed(store, study="1.2.8", series="1.2.8.1")
    assert settle() == StraysReport(quarantined=1)
    assert not first.exists() and second.exists()
    assert store.index.find(UID).slot > row.slot and "another file" in note(store)["reason"]


def test_what_is_not_ours_is_left_alone(store, settle):
    path = filed(store)
    (path.parent / "notes.txt").write_text("x")
    (path.parent / "1.2.3.4.9.dcm").write_bytes(b"x" * 300)
    (path.parent / UID).write_text("the name without its ending")
    assert settle() == StraysReport(foreign=3)
    assert len(list(path.parent.iterdir())) == 4


def test_what_is_being_deleted_does_not_come_back(store, settle):
    """Its row has gone, its file not yet; only the tombstone says so."""
    path = filed(store)
    deletion = store.archive.begin_delete([store.index.find(UID)])
    forget(store)
    assert settle() == StraysReport() and path.exists()
    deletion.finish()
    assert settle() == StraysReport() and store.index.find(UID) is None


@pytest.mark.parametrize("finished", [False, True])
def test_a_deletion_while_it_is_looked_at(store, finished):
    """The file was found before the tombstone was there, the row is added when the row of before has gone."""
    path = filed(store)
    row = forget(store)

    def describe(*args, **more):
        deletion = store.archive.begin_delete([row])
        if finished:
            deletion.finish()
        return store.describe(*args, **more)
    Strays(store.archive, store.index, describe, store.log).settle(lambda octets: None)
    assert store.index.find(UID) is None and store.index.counts().studies == 0
    assert path.exists() != finished


def test_an_instance_that_is_stored_while_a_damaged_file_has_its_name(store, settle):
    """The mover has set that aside and filed the new one: the good file must not follow it into quarantine."""
    path = filed(store)
    forget(store)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    real = store.archive.set_aside_stray

    def set_aside_stray(found, reason, details):
        waiting = store.receive(UID, b"pixels", mover=False)
        assert store.archive.file_batch([waiting])[0].set_aside
        return real(found, reason, details)
    store.archive.set_aside_stray = set_aside_stray
    assert settle() == StraysReport()
    assert path.read_bytes().endswith(b"pixels") and len(store.quarantined()) == 1
    store.archive.verify(store.index.find(UID))


def test_one_that_is_stored_in_this_moment(store):
    """Between the look for its row and the row of ours, the same instance came again: it has a row then."""
    filed(store)
    forget(store)

    def describe(*args, **more):
        store.receive(UID, b"pixels of " + UID.encode(), mover=False)
        return store.describe(*args, **more)
    Strays(store.archive, store.index, describe, store.log).settle(lambda octets: None)
    assert store.quarantined() == [] and store.index.counts().instances == 1


def test_who_is_told_may_end_it(store, settle):
    filed(store)

    def stop(octets):
        raise KeyError
    with pytest.raises(KeyError):
        settle(stop)


def test_folders_that_go_away_meanwhile(store, settle):
    """A deletion empties a study that the walk has listed and not entered yet."""
    paths = [filed(store, f"1.2.{study}.1", study=f"1.2.{study}", series=f"1.2.{study}.0") for study in (5, 6, 7)]

    def delete_all(octets):
        for path in paths:
            if path.exists():
                path.unlink()
                path.parent.rmdir()
                path.parent.parent.rmdir()
    assert settle(delete_all) == StraysReport()


def test_the_file_and_the_row_are_durable_before_anybody_else_has_the_uid(store, settle, monkeypatch):
    """Else who receives the same bytes would call them stored, and a power cut would take the row or the file."""
    path = filed(store)
    forget(store)
    places = {os.stat(place).st_ino: name for place, name in (
        (path, "file"), (path.parent, "series"), (path.parent.parent, "study"), (store.path, "root"))}
    done = []

    def note(patch, owner, call, event):
        real = getattr(owner, call)

        def noted(*arguments):
            with pytest.raises(ClaimTaken):
                store.archive.claims.take(UID)
            result = real(*arguments)
            done.append(event or places[os.fstat(arguments[0]).st_ino])
            return result
        patch.setattr(owner, call, noted)
    store.archive.claims = Claims(patience=0)
    with monkeypatch.context() as patch:
        for owner, call, event in ((os, "fdatasync", ""), (os, "fsync", ""), (store.index, "add", "row"),
                                   (store.index, "make_durable", "index")):
            note(patch, owner, call, event)
        assert settle() == StraysReport(indexed=1)
    assert done == ["file", "series", "study", "root", "row", "index"]
    store.archive.claims.take(UID)


def test_one_whose_uid_somebody_else_has_waits_for_the_next_walk(store, settle):
    filed(store)
    row = forget(store)
    store.archive.claims = Claims(patience=0)
    store.archive.claims.take(UID)
    assert settle() == StraysReport() and store.index.find(UID) is None
    store.archive.claims.give_back(UID)
    assert settle() == StraysReport(indexed=1) and store.index.find(UID) == row


def test_a_row_that_cannot_be_made_durable_is_taken_back(store, settle, monkeypatch):
    filed(store)
    row = forget(store)

    def fail():
        raise IndexFull("no room")
    with monkeypatch.context() as patch:
        patch.setattr(store.index, "make_durable", fail)
        with pytest.raises(IndexFull):
            settle()
    assert store.index.find(UID) is None
    assert settle() == StraysReport(indexed=1) and store.index.find(UID) == row


@pytest.mark.parametrize("other", [False, True])
def test_one_that_goes_while_it_is_looked_at_gets_no_row(store, other):
    """other: another file takes its name."""
    path = filed(store)
    forget(store)

    def describe(*args, **more):
        path.rename(path.with_suffix(".gone"))
        if other:
            path.write_bytes(b"another")
        return store.describe(*args, **more)
    Strays(store.archive, store.index, describe, store.log).settle(lambda octets: None)
    assert store.index.find(UID) is None


def test_one_that_changes_while_it_is_looked_at_is_set_aside_by_the_next_walk(store, settle):
    path = filed(store)
    forget(store)

    def describe(*args, **more):
        instance = store.describe(*args, **more)
        path.write_bytes(path.read_bytes()[:-1])
        return instance
    Strays(store.archive, store.index, describe, store.log).settle(lambda octets: None)
    assert store.index.find(UID) is None and path.exists()
    assert settle() == StraysReport(quarantined=1)
