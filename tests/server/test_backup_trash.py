"""What lies in the trash when a backup is made can be brought back after a restore; marks to keep are there, too."""
import os
import time

from dicomserver.server.deletion import Asked, Deleter
from dicomserver.server.restore import restore
from dicomserver.server.trash import TrashKeeper, choice
from tests.server.backing_up import backed_up, started


def keeper(store) -> TrashKeeper:
    return TrashKeeper(store.archive, store.index, store.mover, store.describe, 60, store.log)


def test_undelete_after_a_restore(store, tmp_path):
    for number in (1, 2):
        store.receive(f"1.2.3.4.{number}", b"pixels %d" % number)
    store.mover.start()
    assert store.mover.flush()
    deleted = store.final_path("1.2.3.4.2").read_bytes()
    assert Deleter(store.archive, store.index, store.mover, keeper(store), store.log).delete(
        Asked(instance="1.2.3.4.2")) == 1
    store.archive.kept.set("1.2.3", True)
    assert backed_up(store, tmp_path / "target").damaged == []
    assert restore(str(tmp_path / "target"), str(tmp_path / "new"), lambda report: None).damaged == []
    again = type(store)(tmp_path / "new")
    again.describe = store.describe
    try:
        assert list(started(again)) == ["1.2.3.4.1"]
        assert keeper(again).undelete(choice(instance="1.2.3.4.2")).restored == 1
        assert again.final_path("1.2.3.4.2").read_bytes() == deleted
        assert "1.2.3" in again.archive.kept
    finally:
        again.close()


def test_what_comes_back_while_a_backup_is_made_is_in_it(store, tmp_path):
    for number in (1, 2):
        store.receive(f"1.2.3.4.{number}", b"pixels %d" % number)
    store.mover.start()
    assert store.mover.flush()
    path = store.final_path("1.2.3.4.2")
    os.utime(path, (time.time() - 60,) * 2)     # it was received a minute ago
    content = path.read_bytes()
    assert Deleter(store.archive, store.index, store.mover, keeper(store), store.log).delete(
        Asked(instance="1.2.3.4.2")) == 1
    restored = []

    def undelete(report):
        if not restored:    # the index's copy has no row of it
            restored.append(keeper(store).undelete(choice(instance="1.2.3.4.2")).restored)

    report = backed_up(store, tmp_path / "target", undelete)
    assert (restored, report.instances) == ([1], 1)
    assert restore(str(tmp_path / "target"), str(tmp_path / "new"), lambda report: None).damaged == []
    assert (tmp_path / "new" / path.relative_to(store.path)).read_bytes() == content
