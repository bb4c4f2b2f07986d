"""What else lies in the two folders of a backup: an index at an unusual place, and what a killed one has left."""
import errno
import os

import pytest

from dicomserver.archive import copying
from dicomserver.archive.errors import CopyFailed
from dicomserver.server import restore
from tests.server.backing_up import backed_up, started


@pytest.fixture
def target(tmp_path):
    return tmp_path / "target"


@pytest.fixture
def store(store):
    for number in (1, 2, 3):
        store.receive(f"1.2.3.4.{number}", b"pixels %d" % number)
    return store


@pytest.mark.parametrize("folder", ["", "fast"])
def test_an_index_elsewhere_in_the_data_directory_is_copied_as_one_only(store, target, tmp_path, folder):
    store.close()
    (store.path / folder).mkdir(exist_ok=True)
    store.url = f"sqlite://{store.path / folder / 'other.db'}"
    store.open()
    assert len(started(store)) == 3
    assert backed_up(store, target).instances == 3
    restore.restore(str(target), str(tmp_path / "new"), lambda report: None)
    # What SQLite had in use is torn: a server must not find it.
    assert list((tmp_path / "new").rglob("other.db*")) == []
    assert (tmp_path / "new" / "dicom-server.db").exists()


def test_what_a_killed_backup_left_is_durable_before_it_is_listed(store, target, monkeypatch):
    with monkeypatch.context() as failing:
        failing.setattr(copying.Copies, "settle", lambda copies: (_ for _ in ()).throw(OSError(errno.EIO, "killed")))
        with pytest.raises(CopyFailed):
            backed_up(store, target)
    left = [path for path in target.glob("instances/*/*.dcm")]
    assert len(left) == 3
    synced = set()
    sync_names, name = copying.sync_names, copying.Copies.name

    def noted(folder):
        sync_names(folder)
        synced.add(os.fstat(folder.fd).st_ino)

    def checked(copies, part, place):
        if place.startswith("backups/"):
            for path in left:
                assert {folder.stat().st_ino for folder in (path.parent, target / "instances", target)} <= synced
            synced.add("listed")
        name(copies, part, place)

    monkeypatch.setattr(copying, "sync_names", noted)
    monkeypatch.setattr(copying.Copies, "name", checked)
    assert backed_up(store, target).copied == 0
    assert "listed" in synced
