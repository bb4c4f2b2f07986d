import os
import threading

import pytest

from dicomserver.index import IndexUnavailable
from dicomserver.server import verification
from dicomserver.server.verification import Verified, Verifier


@pytest.fixture
def verifier(store):
    """Two studies of two instances and one."""
    for study, series, uid in (("1.2.1", "1.2.1.1", "1.2.1.1.1"), ("1.2.1", "1.2.1.1", "1.2.1.1.2"),
                               ("1.2.2", "1.2.2.1", "1.2.2.1.1")):
        store.receive(uid, b"pixels of " + uid.encode(), study, series)
    store.mover.start()
    return Verifier(store.archive, store.index, store.log)


def path_of(store, uid):
    """Where a filed instance is."""
    assert store.mover.flush()
    (path,) = store.path.glob(f"*/*/{uid}.dcm")
    return path


def verify(verifier, **uids):
    faults = {}
    result = verifier.verify(lambda so_far: None, faults.__setitem__, **uids)
    assert result.damaged == len(faults)
    return result, faults


@pytest.mark.parametrize("filed", [False, True])
@pytest.mark.parametrize("uids, number", [
    ({}, 3), ({"study": "1.2.1"}, 2), ({"series": "1.2.2.1"}, 1), ({"instance": "1.2.1.1.2"}, 1), ({"study": "9"}, 0)])
def test_whole_files_are_whole(store, verifier, filed, uids, number):
    if filed:
        store.mover.flush()
    result, faults = verify(verifier, **uids)
    assert (result.total, result.instances, faults) == (number, number, {})
    assert result.octets == sum(row.file_length for row in store.index.select(**uids))


@pytest.mark.parametrize("at", [0, 20, 60, 140, -1])
def test_one_bit_is_enough(store, verifier, at, caplog):
    """In the preamble, the meta header, the dataset."""
    path = path_of(store, "1.2.1.1.2")
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)
    result, faults = verify(verifier)
    assert (result.instances, list(faults)) == (3, ["1.2.1.1.2"])
    assert "a stored instance is damaged" in caplog.text and "1.2.1.1.2" not in caplog.text.replace("DEBUG", "")
    assert verify(verifier, study="1.2.2") == (Verified(1, 1, result.octets and path_of(
        store, "1.2.2.1.1").stat().st_size), {})


@pytest.mark.parametrize("deed, why", [
    (os.unlink, "missing"), (lambda path: os.truncate(path, path.stat().st_size - 1), ""),
    (lambda path: path.write_bytes(b""), "")])
def test_what_is_not_there_whole(store, verifier, deed, why):
    deed(path_of(store, "1.2.1.1.1"))
    _, faults = verify(verifier)
    assert list(faults) == ["1.2.1.1.1"] and why in faults["1.2.1.1.1"]


def test_the_file_of_another_instance_in_its_place(store, verifier):
    path_of(store, "1.2.1.1.1").write_bytes(path_of(store, "1.2.2.1.1").read_bytes())
    assert list(verify(verifier)[1]) == ["1.2.1.1.1"]


def test_what_is_deleted_meanwhile_is_no_loss(store, verifier, monkeypatch):
    """Its row was read before it went."""
    rows = list(store.index.select())
    path_of(store, "1.2.1.1.1").unlink()
    store.index.remove(["1.2.1.1.1"], [row.slot for row in rows if row.sop_instance_uid == "1.2.1.1.1"])
    monkeypatch.setattr(store.index, "select", lambda **uids: iter(rows))
    assert verify(verifier)[1] == {}


def test_progress_may_end_it(store, verifier):
    def stop(so_far):
        raise KeyError
    with pytest.raises(KeyError):
        verifier.verify(stop, print)


def test_progress_may_end_it_in_the_middle_of_a_file(store, verifier, monkeypatch):
    monkeypatch.setattr(verification, "REPORT_SECONDS", 0)
    store.receive("1.2.3.4.5", bytes(5 << 20))
    told = []

    def stop(so_far):
        told.append(so_far.instances)
        if len(told) == 4:
            raise KeyError
    with pytest.raises(KeyError):
        verifier.verify(stop, print, instance="1.2.3.4.5")
    assert told == [0] * 4


def test_many_at_once(store, verifier):
    results = []
    threads = [threading.Thread(target=lambda: results.append(verify(verifier))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(result.instances, faults) for result, faults in results] == [(3, {})] * 4


def test_an_index_that_does_not_answer(store, verifier):
    store.index.close()
    with pytest.raises(IndexUnavailable):
        verify(verifier)


def test_what_was_found_before_is_known_without_reading(store, verifier):
    assert verifier.known() == []
    path = path_of(store, "1.2.1.1.1")
    content = path.read_bytes()
    path.unlink()
    verify(verifier)
    assert verifier.known() == [("1.2.1.1.1", "its file is missing")]
    path.write_bytes(content)
    assert verify(verifier)[1] == {} and verifier.known() == []
