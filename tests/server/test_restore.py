import dataclasses
import os
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.backup_folder import MARK
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import ArchiveDamaged, ArchiveUnusable, BackupDamaged, CopyFailed, NotABackup
from dicomserver.archive.manifest import ListedFile, Manifest, ManifestWriter, digest_of
from dicomserver.index import IndexTooNew, Instance
from dicomserver.server import restore as module
from dicomserver.server.restore import drill, restore
from tests.index.sqlite.migrations.version_1 import make_version_1
from tests.server.backing_up import backed_up, flip, snapshot, started


@pytest.fixture
def target(tmp_path, store):
    """A backup of three instances, one of them in the intake only."""
    for number in (1, 2, 3):
        store.receive(f"1.2.3.4.{number}", b"pixels %d" % number)
        if number == 2:
            store.mover.start()
            assert store.mover.flush()
    (store.path / "quarantine" / "a.json").write_text("{}")
    backed_up(store, tmp_path / "target")
    return tmp_path / "target"


@pytest.fixture
def new(tmp_path):
    return tmp_path / "new"


@pytest.fixture
def reopened(store):
    opened = []

    def reopen(path):
        again = type(store)(path)
        again.describe = store.describe
        opened.append(again)
        return again

    yield reopen
    for one in opened:
        one.close()


def nothing(report):
    """No progress."""


def test_the_drill_leaves_nothing(store, target, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr(module.tempfile, "tempdir", None)
    (tmp_path / "scratch").mkdir()
    before, descriptors = snapshot(tmp_path), len(os.listdir("/proc/self/fd"))
    seen = []
    report = drill(str(target), lambda report: seen.append(list((tmp_path / "scratch").iterdir())))
    assert (report.total, report.instances, report.other_files, report.has_index, report.damaged) == (
        3, 3, 4, True, [])
    assert seen and all(seen) and snapshot(tmp_path) == before and list((tmp_path / "scratch").iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_every_file_of_a_backup_counts(target, tmp_path):
    """One bit of each, one after the other."""
    files = [path for path in target.rglob("*") if path.is_file()]
    assert len(files) == 2 + 3 + 5
    for path in files:
        whole = path.read_bytes()
        flip(path, len(whole) // 2)
        if path.parent.name == "backups":
            with pytest.raises(BackupDamaged):
                drill(str(target), nothing)
        elif path.parent != target:     # in the mark it may be a letter of the explanation
            report = drill(str(target), nothing)
            assert len(report.damaged) == 1, path
        path.write_bytes(whole)
    assert drill(str(target), nothing).damaged == []


def test_damaged_and_missing_files_are_told_and_left_out(store, target, new, reopened):
    first, second, _ = sorted(target.glob("instances/*/*"))
    flip(first)
    second.unlink()
    (files,) = [path for path in target.glob("files/*") if path.read_bytes() == b"{}"]
    flip(files)
    expected = [("1.2.3/1.2.3.4/1.2.3.4.1.dcm", "the dataset's checksum does not hold"),
                ("1.2.3/1.2.3.4/1.2.3.4.2.dcm", "it is missing in the backup"),
                ("quarantine/a.json", "its digest does not hold")]
    assert drill(str(target), nothing).damaged == expected
    report = restore(str(target), str(new), nothing)
    assert report.damaged == expected and (report.instances, report.has_index) == (1, True)
    again = reopened(new)
    assert list(started(again)) == ["1.2.3.4.3"]
    assert again.receive("1.2.3.4.1")       # and can be stored anew


def test_what_the_server_keeps_about_itself_may_be_damaged(target, new, reopened):
    """format, starts, identity: the images count."""
    for path in target.glob("files/*"):
        if path.stat().st_size < 100:
            flip(path, 0)
    report = restore(str(target), str(new), nothing)
    assert sorted(path for path, _ in report.damaged) == ["format", "identity", "quarantine/a.json", "starts"]
    again = reopened(new)
    assert len(started(again)) == 3
    newest = max(row.slot for row in again.index.select())
    assert again.receive("1.2.3.4.9").slot > newest


def index_of(target):
    """The copy of the index in a backup."""
    (path,) = [path for path in target.glob("files/*") if path.read_bytes().startswith(b"SQLite format 3")]
    return path


def put_index(target, content):
    """Another index, as if it had been backed up."""
    index_of(target).unlink()
    with Folder(str(target / "backups")) as folder:
        entries = list(Manifest(folder, "00000001.jsonl").entries())
        (target / "new").write_bytes(content)
        with open(target / "new", "rb") as file:
            entry = ListedFile("dicom-server.db", len(content), digest_of(file.fileno(), len(content)), 0)
        os.rename(target / "new", target / entry.place)
        os.unlink("00000001.jsonl", dir_fd=folder.fd)
        writer = ManifestWriter(folder, "00000001.jsonl", "now")
        for one in entries:
            writer.add(entry if isinstance(one, ListedFile) and one.path == entry.path else one)
        writer.seal()


@pytest.mark.parametrize("harm, why", [
    (lambda path: flip(path, 5000), "digest"), (Path.unlink, "missing")])
def test_without_its_index_the_server_makes_one(target, new, reopened, harm, why):
    harm(index_of(target))
    for report in (drill(str(target), nothing), restore(str(target), str(new), nothing)):
        assert [path for path, _ in report.damaged] == ["dicom-server.db"] and why in report.damaged[0][1]
        assert (report.instances, report.has_index) == (3, False)
    assert not list(new.glob("dicom-server.db*"))
    assert len(started(reopened(new))) == 3


@pytest.mark.parametrize("rows", [2, 4])
def test_an_index_of_other_rows_than_files(store, target, new, reopened, rows, tmp_path):
    if rows == 2:
        store.index.remove(["1.2.3.4.1"], [next(store.index.select()).slot])
    else:
        store.receive("1.2.3.4.4")
    store.index.close()
    put_index(target, (store.path / "dicom-server.db").read_bytes())
    store.reopen()
    assert drill(str(target), nothing).damaged == [("dicom-server.db", "it does not fit the files")]
    assert not restore(str(target), str(new), nothing).has_index
    assert len(started(reopened(new))) == 3


def test_an_index_of_an_older_version(store, target, new, reopened, tmp_path):
    rows = [Instance(**dataclasses.asdict(row), source_ae="A", receiving_ae="B", character_set=b"", patient=b"",
                     study=b"", series=b"", instance=b"") for row in store.index.select()]
    make_version_1(tmp_path / "old.db", rows)
    put_index(target, (tmp_path / "old.db").read_bytes())
    assert drill(str(target), nothing).damaged == []
    assert restore(str(target), str(new), nothing).has_index
    assert len(started(reopened(new))) == 3


def test_an_index_of_a_newer_version_is_refused(target, new):
    octets = bytearray(index_of(target).read_bytes())
    octets[60:64] = (99).to_bytes(4, "big")     # user_version
    put_index(target, bytes(octets))
    for attempt in (lambda: drill(str(target), nothing), lambda: restore(str(target), str(new), nothing)):
        with pytest.raises(IndexTooNew):
            attempt()
    with pytest.raises(ArchiveDamaged, match="restore again"):
        Archive(new)


def test_the_backup_is_good_without_its_mark(target, new):
    (target / MARK).write_bytes(b"")
    assert restore(str(target), str(new), nothing).instances == 3


def test_a_folder_that_is_not_empty(target, new):
    new.mkdir()
    (new / "lost+found").mkdir()
    (new / "letter.odt").touch()
    with pytest.raises(ArchiveUnusable, match="not empty"):
        restore(str(target), str(new), nothing)
    assert sorted(path.name for path in new.iterdir()) == ["letter.odt", "lost+found"]
    (new / "letter.odt").unlink()
    assert restore(str(target), str(new), nothing).instances == 3


def test_a_folder_in_the_backup_or_around_it(target, tmp_path):
    for place in (target, target / "new", tmp_path):
        with pytest.raises(NotABackup, match="must not be in"):
            restore(str(target), str(place), nothing)
    assert not (target / "new").exists()


def test_what_is_no_backup(target, new, tmp_path):
    (tmp_path / "empty").mkdir()
    for place, why in (("empty", "no complete"), ("none", "connected"), ("data", "no complete")):
        with pytest.raises(NotABackup, match=why):
            drill(str(tmp_path / place), nothing)
    (target / "backups" / "00000001.jsonl").unlink()
    with pytest.raises(NotABackup, match="no complete backup"):
        restore(str(target), str(new), nothing)
    assert not new.exists()


def test_another_backup_is_offered_when_one_is_damaged(store, target, new):
    backed_up(store, target)
    flip(target / "backups" / "00000002.jsonl", 50)
    with pytest.raises(BackupDamaged, match=r"backup 2; there is also backup 1 \(--backup\)"):
        restore(str(target), str(new), nothing)
    assert not new.exists()
    assert restore(str(target), str(new), nothing, 1).instances == 3


@pytest.mark.parametrize("name", ["rename", "fsync", "mkdir"])
def test_no_server_starts_on_what_was_cut_short(target, tmp_path, name, monkeypatch, reopened):
    """At each of these system calls in turn."""
    real = getattr(os, name)
    for moment in range(1000):
        new = tmp_path / f"new-{moment}"
        left = iter(range(moment))

        def cut(*args, left=left, **keywords):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return real(*args, **keywords)

        monkeypatch.setattr(os, name, cut)
        try:
            restore(str(target), str(new), nothing)
            break
        except KeyboardInterrupt:
            pass
        finally:
            monkeypatch.setattr(os, name, real)
        if (new / "format").exists() and b"unfinished" in (new / "format").read_bytes():
            with pytest.raises(ArchiveDamaged):
                Archive(new)
        else:       # nothing has been restored yet, or everything has
            assert not list(new.glob("1.2.3/*/*")) or len(started(reopened(new))) == 3
    assert moment > 2 and len(started(reopened(new))) == 3


def test_a_full_disk(target, new, monkeypatch):
    def write(fd, data):
        raise OSError(28, "")
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(CopyFailed) as failed:
        restore(str(target), str(new), nothing)
    assert failed.value.full


def test_files_are_for_the_owner_only(target, new):
    restore(str(target), str(new), nothing)
    assert {oct(path.stat().st_mode & 0o777) for path in new.rglob("*") if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in (new, *new.rglob("*")) if path.is_dir()} == {"0o700"}
