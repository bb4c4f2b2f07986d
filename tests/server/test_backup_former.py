"""What a new backup does with the earlier ones in its folder."""
import errno

import pytest

from dicomserver.archive.backup_folder import BackupFolder
from dicomserver.server import restore
from dicomserver.server.deletion import Asked
from tests.server.backing_up import backed_up, flip
from tests.server.deleting import at_once


@pytest.fixture
def target(tmp_path, store):
    """Where three instances will be backed up."""
    for number in (1, 2, 3):
        store.receive(f"1.2.3.4.{number}", b"pixels %d" % number)
    store.mover.start()
    return tmp_path / "target"


def test_earlier_files_that_cannot_be_removed(store, target, monkeypatch):
    def broken(folder, listed):
        raise OSError(errno.EIO, "")

    backed_up(store, target)
    monkeypatch.setattr(BackupFolder, "_remove_instances", broken)
    report = backed_up(store, target, kept=1)
    assert report.left_behind == "removing former backups: Input/output error" and report.instances == 3
    assert restore.drill(str(target), lambda report: None, 2).damaged == []


def test_an_earlier_list_that_is_damaged(store, target):
    backed_up(store, target)
    flip(target / "backups" / "00000001.jsonl", 40)
    at_once(store, store.mover).delete(Asked(instance="1.2.3.4.1"))
    report = backed_up(store, target)
    assert report.left_behind and (report.instances, report.removed) == (2, 0)
    assert len(list(target.glob("instances/*/*"))) == 3
    report = backed_up(store, target, kept=2)
    assert not report.left_behind and report.removed == 1
    assert restore.drill(str(target), lambda report: None).damaged == []
