"""No image is lost from sight because a server is started on an index that was away meanwhile."""
from contextlib import closing

import pytest

from dicomserver.index import open_index
from dicomserver.server.archive_index import WrongIndex, check_index, note_index
from dicomserver.server.backup import back_up
from dicomserver.server.rebuild import rebuild
from dicomserver.server.recovery import recover
from dicomserver.server.restore import restore
from tests.server.backing_up import StoreOrigin


def recovered(store, index):
    return recover(store.archive, index, store.mover, store.describe, lambda done, total: None, store.log)


def uids(index):
    return {row.sop_instance_uid for row in index.select()}


@pytest.fixture
def other(tmp_path):
    """The URL of an index that knew all of the archive once."""
    url = f"sqlite://{tmp_path}/other.db"
    with closing(open_index(url)) as index:
        index.mark_complete()
    return url


def test_the_first_index_is_the_archive_s(store):
    assert store.archive.index_record() is None
    recovered(store, store.index)
    assert store.archive.index_record() == (store.index.identity, store.url)
    store.reopen()
    recovered(store, store.index)


def test_another_one_is_refused_and_nothing_is_done(store, other):
    recovered(store, store.index)
    store.receive("1.2.3.4.1", row=False, mover=False)
    store.reopen()
    with closing(open_index(other)) as index:
        with pytest.raises(WrongIndex) as caught:
            recovered(store, index)
        assert uids(index) == set()
    assert str(caught.value).startswith(f"the index of this archive is {store.url}; the one at {other} does not know")
    assert len(list((store.path / "intake").iterdir())) > 0
    assert store.archive.index_record().identity == store.index.identity
    assert recovered(store, store.index).indexed == 1


def test_a_fresh_one_is_filled_and_is_the_archive_s_then(store, tmp_path, caplog):
    recovered(store, store.index)
    filed = [store.receive("1.2.3.4.1", mover=False)]
    store.archive.file_batch(filed)
    with closing(open_index(f"sqlite://{tmp_path}/new.db")) as index:
        recovered(store, index)
        assert uids(index) == {"1.2.3.4.1"}
        assert store.archive.index_record().identity == index.identity
        assert f"had its index at {store.url}; from now on it is the one at {index.place}" in caplog.text
        caplog.clear()
        recovered(store, index)
        assert "from now on" not in caplog.text
    with pytest.raises(WrongIndex):
        check_index(store.archive, store.index)


def test_a_filling_that_is_cut_short_leaves_the_archive_its_index(store, tmp_path):
    recovered(store, store.index)

    def stop(done, total):
        raise KeyboardInterrupt

    with closing(open_index(f"sqlite://{tmp_path}/new.db")) as index, pytest.raises(KeyboardInterrupt):
        recover(store.archive, index, store.mover, store.describe, stop, store.log)
    check_index(store.archive, store.index)


def test_after_a_time_with_an_index_in_memory_the_former_one_is_refused(store):
    recovered(store, store.index)
    with closing(open_index("memory:")) as index:
        recovered(store, index)
    with pytest.raises(WrongIndex, match="the index of this archive is memory:"):
        recovered(store, store.index)


def test_a_rebuilt_one_is_the_archive_s(store, other):
    recovered(store, store.index)
    store.archive.file_batch([store.receive("1.2.3.4.1", mover=False)])
    rebuild(store.archive, other, store.describe, lambda done, total: None, store.log)
    with closing(open_index(other)) as index:
        assert recovered(store, index).filled is None and uids(index) == {"1.2.3.4.1"}
    with pytest.raises(WrongIndex):
        recovered(store, store.index)


def test_is_written_only_where_it_says_something_else(store, monkeypatch):
    note_index(store.archive, store.index, store.log)
    monkeypatch.setattr(store.archive, "note_index", lambda record: pytest.fail("again"))
    note_index(store.archive, store.index, store.log)


def test_who_does_not_serve_it_takes_a_fresh_one_only_where_the_archive_s_was_lost(store, tmp_path):
    check_index(store.archive, store.index, serves=False)
    note_index(store.archive, store.index, store.log)
    with closing(open_index(f"sqlite://{tmp_path}/new.db")) as index, pytest.raises(WrongIndex):
        check_index(store.archive, index, serves=False)
    store.index.close()
    (store.path / "dicom-server.db").unlink()
    store.index = open_index(store.url)
    check_index(store.archive, store.index, serves=False)


@pytest.mark.parametrize("with_index", [True, False])
def test_what_is_restored_is_not_served_on_an_index_that_stayed_behind(store, other, tmp_path, with_index, caplog):
    store.index.mark_complete()
    store.archive.file_batch([store.receive("1.2.3.4.1", mover=False)])
    origin = StoreOrigin(store)
    if not with_index:
        origin.database_url = "memory:"
    (tmp_path / "target").mkdir()
    back_up(origin, str(tmp_path / "target"), lambda report: None)
    assert restore(str(tmp_path / "target"), str(tmp_path / "new"), lambda report: None).has_index == with_index
    again = type(store)(tmp_path / "new")
    try:
        again.describe = store.describe
        with closing(open_index(other)) as index, pytest.raises(WrongIndex, match=f"{tmp_path}/new/dicom-server.db"):
            recovered(again, index)
        recovered(again, again.index)
        assert uids(again.index) == {"1.2.3.4.1"} and "from now on" not in caplog.text
    finally:
        again.close()
