import errno
import itertools
import os
import resource

import pytest

from dicomserver.archive.errors import ArchiveUnusable, CopyFailed, NotABackup
from dicomserver.server import backup, restore
from dicomserver.server.deletion import Asked
from tests.server.backing_up import backed_up, flip, snapshot, started
from tests.server.deleting import at_once


@pytest.fixture(params=["sqlite", "memory"])
def store(request, tmp_path, store):
    """Three instances, one of them in the intake only, and other files."""
    if request.param == "memory":
        store.close()
        store.url = "memory:"
        store.open()
    for number in (1, 2):
        store.receive(f"1.2.3.4.{number}", b"pixels %d" % number)
    store.mover.start()
    assert store.mover.flush()
    store.receive("1.2.3.4.3", b"pixels 3")
    (store.path / "keep").write_text("this study")
    (store.path / "trash" / "1").mkdir(parents=True)
    (store.path / "trash" / "1" / "file.dcm").write_bytes(b"thrown away")
    return store


@pytest.fixture
def target(tmp_path):
    return tmp_path / "target"


@pytest.fixture
def reopened(tmp_path, store):
    """Restores the backup and opens it as a server does; -> what is in it."""
    numbers = itertools.count()
    opened = []

    def restored(target, url="", **options):
        path = tmp_path / f"restored-{next(numbers)}"
        report = restore.restore(str(target), str(path), lambda report: None, **options)
        assert report.damaged == []
        kept = store.path, store.url
        again = type(store).__new__(type(store))
        again.describe = store.describe
        type(store).__init__(again, path, url)
        opened.append(again)
        assert (store.path, store.url) == kept
        return again

    yield restored
    for one in opened:
        one.close()


def contents(store):
    """Of all instances, wherever they are."""
    found = {}
    for row in store.index.select():
        fd = store.archive.open_instance(row.slot, row.study_instance_uid, row.series_instance_uid,
                                         row.sop_instance_uid)
        with open(fd, "rb") as file:
            found[row.sop_instance_uid] = file.read()
    return found


def delete(store, uid):
    assert at_once(store, store.mover).delete(Asked(instance=uid)) == 1


@pytest.mark.parametrize("url", ["", "memory:"])
def test_all_of_it_comes_back(store, target, reopened, url):
    report = backed_up(store, target)
    assert (report.number, report.total, report.instances, report.copied, report.damaged) == (1, 3, 3, 3, [])
    assert report.octets == report.copied_octets == sum(map(len, contents(store).values()))
    assert report.other_files == 5      # format, starts, identity, and the two above
    again = reopened(target, url)
    assert started(again) == contents(store) and len(contents(store)) == 3
    assert (again.path / "keep").read_text() == "this study"
    assert (again.path / "trash" / "1" / "file.dcm").read_bytes() == b"thrown away"
    assert again.archive.identity() == store.archive.identity()
    assert again.receive("1.2.3.4.9").slot >> 32 > store.receive("1.2.3.4.9").slot >> 32


def test_only_what_is_new_is_copied(store, target, monkeypatch):
    backed_up(store, target)
    first = snapshot(target)
    opened = []
    open_instance = backup.BackupSource.open_instance
    monkeypatch.setattr(backup.BackupSource, "open_instance",
                        lambda self, row: opened.append(row.sop_instance_uid) or open_instance(self, row))
    open_file = backup.BackupSource.open_file
    monkeypatch.setattr(backup.BackupSource, "open_file",
                        lambda self, path: opened.append(path) or open_file(self, path))
    assert store.mover.flush()      # that an instance was moved does not make it new
    report = backed_up(store, target)
    assert (report.number, report.instances, report.copied, report.copied_octets, opened) == (2, 3, 0, 0, [])
    store.receive("1.2.3.4.4", b"pixels 4")
    (store.path / "keep").write_text("that study")
    report = backed_up(store, target)
    assert (report.instances, report.copied, opened) == (4, 1, ["1.2.3.4.4", "keep"])
    later = snapshot(target)
    assert {name: later[name] for name in first} == first


def test_what_is_deleted_goes_from_the_folder_with_the_last_backup_that_has_it(store, target, reopened):
    backed_up(store, target, kept=2)
    delete(store, "1.2.3.4.1")
    report = backed_up(store, target, kept=2)
    assert (report.instances, report.copied, report.removed) == (2, 0, 0)
    assert sorted(started(reopened(target))) == ["1.2.3.4.2", "1.2.3.4.3"]
    assert sorted(started(reopened(target, number=1))) == ["1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"]
    assert backed_up(store, target, kept=2).removed == 1
    assert len(list(target.glob("instances/*/*"))) == 2
    assert sorted(started(reopened(target, number=2))) == ["1.2.3.4.2", "1.2.3.4.3"]
    with pytest.raises(NotABackup, match="it has 2, 3"):
        reopened(target, number=1)


def test_an_instance_that_is_stored_again_is_another_file(store, target, reopened):
    backed_up(store, target)
    delete(store, "1.2.3.4.1")
    store.receive("1.2.3.4.1", b"others 1")     # as long as before
    assert backed_up(store, target).copied == 1
    old, new = started(reopened(target, number=1)), started(reopened(target))
    assert old["1.2.3.4.1"] != new["1.2.3.4.1"] == contents(store)["1.2.3.4.1"]


def test_what_is_deleted_meanwhile_is_no_fault(store, target, reopened, monkeypatch):
    """Its row is in the copy of the index."""
    once = [True]

    def delete_one(report):
        if report.total and once:
            once.pop()
            delete(store, "1.2.3.4.3")

    monkeypatch.setattr(backup, "FILES_AT_ONCE", 1)
    report = backed_up(store, target, delete_one)
    assert (report.total, report.instances, report.damaged, once) == (3, 2, [], [])
    assert sorted(started(reopened(target))) == ["1.2.3.4.1", "1.2.3.4.2"]
    assert restore.drill(str(target), lambda report: None).damaged == []


def test_what_comes_meanwhile_is_for_the_next_one(store, target, reopened):
    once = [True]

    def store_one(report):
        if report.total and once:
            once.pop()
            store.receive("1.2.3.4.9", b"late")
            assert store.mover.flush()

    assert backed_up(store, target, store_one).instances == 3
    assert sorted(started(reopened(target, "memory:"))) == ["1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.3"]
    assert backed_up(store, target).instances == 4


def test_a_deletion_that_has_begun_is_finished_where_it_is_restored(store, target, reopened):
    """The rows are gone, the files are not, when the backup is made."""
    (row,) = (row for row in store.index.select() if row.sop_instance_uid == "1.2.3.4.1")
    store.archive.begin_delete([row])
    store.index.remove([row.sop_instance_uid], [row.slot])
    os.utime(store.final_path("1.2.3.4.1"))
    report = backed_up(store, target)
    assert report.instances == 2
    for url in ("", "memory:"):
        again = reopened(target, url)
        assert sorted(started(again)) == ["1.2.3.4.2", "1.2.3.4.3"]
        assert not again.final_path("1.2.3.4.1").exists()


def test_files_that_no_row_knows_are_files(store, target, monkeypatch):
    stray = store.path / "1.2.3" / "1.2.3.4" / "1.2.3.4.77.dcm"
    stray.write_bytes(b"from somewhere")
    monkeypatch.setattr(backup.time, "time_ns", lambda: 1 << 62)    # it is not new
    backed_up(store, target)
    new = target.parent / "new"
    restore.restore(str(target), str(new), lambda report: None)
    assert (new / "1.2.3" / "1.2.3.4" / "1.2.3.4.77.dcm").read_bytes() == b"from somewhere"


def test_a_file_that_is_damaged_in_the_archive_is_told_and_left_out(store, target, reopened):
    flip(store.final_path("1.2.3.4.1"))
    store.final_path("1.2.3.4.2").unlink()
    report = backed_up(store, target)
    assert report.damaged == [("1.2.3/1.2.3.4/1.2.3.4.1.dcm", "the dataset's checksum does not hold"),
                              ("1.2.3/1.2.3.4/1.2.3.4.2.dcm", "its file is missing")]
    assert (report.instances, report.copied) == (1, 1)
    drilled = restore.drill(str(target), lambda report: None)
    assert (drilled.instances, drilled.absent, drilled.damaged) == (1, 2, [])     # it is not silent about them
    assert list(started(reopened(target))) == ["1.2.3.4.3"]


def test_the_good_copy_outlives_the_damage(store, target, reopened):
    before = contents(store)
    backed_up(store, target)
    flip(store.final_path("1.2.3.4.1"))
    assert backed_up(store, target).instances == 3
    assert started(reopened(target)) == before


def test_a_copy_that_went_bad_is_made_anew_when_it_is_reread(store, target, reopened):
    backed_up(store, target)
    for path in [*target.glob("instances/*/*"), *target.glob("files/*")]:
        flip(path)
    assert backed_up(store, target).copied == 0
    assert restore.drill(str(target), lambda report: None).damaged != []
    report = backed_up(store, target, reread=True)
    assert (report.instances, report.copied) == (3, 3)
    assert restore.drill(str(target), lambda report: None).damaged == []
    assert started(reopened(target)) == contents(store)


def test_a_copy_that_is_missing_or_cut_is_made_anew_always(store, target):
    backed_up(store, target)
    first, second, third = sorted(target.glob("instances/*/*"))
    first.unlink()
    os.truncate(second, 10)
    assert backed_up(store, target).copied == 2
    assert restore.drill(str(target), lambda report: None).damaged == []


class Killed(BaseException):
    """The process ends here."""


class Death:
    """Lets `moment` calls of a function of os happen, and dies at the next."""

    def __init__(self, monkeypatch, name, moment):
        self._monkeypatch = monkeypatch
        self._name = name
        self._real = getattr(os, name)
        self._left = moment
        self.came = False

    def __call__(self, *args, **keywords):
        if not self._left:
            self.came = True
            raise Killed
        self._left -= 1
        return self._real(*args, **keywords)

    def __enter__(self):
        self._monkeypatch.setattr(os, self._name, self)
        return self

    def __exit__(self, kind, error, where):
        self._monkeypatch.setattr(os, self._name, self._real)
        return kind is Killed


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["rename", "fsync", "write", "unlink", "mkdir"])
def test_the_first_backup_cut_at_any_moment_is_none_or_whole(store, tmp_path, name, monkeypatch):
    for moment in itertools.count():
        target = tmp_path / f"target-{moment}"
        with Death(monkeypatch, name, moment) as death:
            backed_up(store, target)
        try:
            report = restore.drill(str(target), lambda report: None)
        except NotABackup:
            assert death.came
        else:
            assert (report.instances, report.damaged) == (3, [])
        if not death.came:
            break
        assert backed_up(store, target).instances == 3
        assert restore.drill(str(target), lambda report: None).damaged == []
    assert moment > (0 if name == "unlink" else 3)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["rename", "fsync", "write", "unlink"])
def test_cut_at_any_moment_the_earlier_backup_is_good_and_the_next_one_goes_on(store, target, name, monkeypatch):
    """At each of these system calls in turn."""
    backed_up(store, target, kept=1)
    delete(store, "1.2.3.4.1")
    for moment in itertools.count():
        for number in (1, 2):
            store.receive(f"1.2.4.{moment}.{number}", b"new", "1.2.4", f"1.2.4.{moment}")
        with Death(monkeypatch, name, moment) as death:
            backed_up(store, target, kept=1)
        report = restore.drill(str(target), lambda report: None)
        assert report.damaged == [] and report.instances >= 3
        if not death.came:
            break
    assert moment > 2
    assert report.instances == len(list(target.glob("instances/*/*"))) == 2 + 2 * (moment + 1)
    assert list((target / "incoming").iterdir()) == []


def test_a_full_disk_is_told_and_the_earlier_backup_stays(store, target, reopened):
    before = contents(store)
    backed_up(store, target)
    store.receive("1.2.3.4.8", bytes(300_000))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, limit[1]))
    try:
        with pytest.raises(CopyFailed) as failed:
            backed_up(store, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert failed.value.errno == errno.EFBIG
    assert restore.drill(str(target), lambda report: None).damaged == []
    assert started(reopened(target)) == before
    assert backed_up(store, target).copied == 1


def test_where_a_backup_must_not_be(store, tmp_path):
    for target in (store.path, store.path / "backup", tmp_path):
        with pytest.raises(NotABackup, match="must not be in"):
            backed_up(store, target)
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.odt").touch()
    with pytest.raises(NotABackup, match="not empty"):
        backed_up(store, other)
    assert [path.name for path in other.iterdir()] == ["letter.odt"]


def test_another_archives_folder(store, target):
    backed_up(store, target)
    (store.path / "identity").write_text("0" * 32)
    with pytest.raises(NotABackup, match="another archive"):
        backed_up(store, target)


def test_one_at_a_time(store, target):
    def again(report):
        with pytest.raises(ArchiveUnusable, match="under way"):
            backed_up(store, target)
    assert backed_up(store, target, again).instances == 3


def test_a_file_that_changes_while_it_is_read(store, target, monkeypatch):
    """Each time other bytes of the same length."""
    turns = itertools.count()
    digest_of = backup.digest_of

    def changing(fd, length):
        digest = digest_of(fd, length)
        if os.readlink(f"/proc/self/fd/{fd}").endswith("/keep"):
            (store.path / "keep").write_text(f"{next(turns):010d}")
        return digest

    monkeypatch.setattr(backup, "digest_of", changing)
    report = backed_up(store, target)
    assert report.damaged == [("keep", "it changes while it is read")] and next(turns) == 3


def test_progress_may_end_it(store, target):
    def stop(report):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        backed_up(store, target, stop)
    assert backed_up(store, target).number == 1
