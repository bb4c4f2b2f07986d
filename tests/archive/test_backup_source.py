from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.backup_source import BackupSource
from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.errors import ArchiveUnusable, InstanceMissing
from dicomserver.archive.manifest import ListedInstance
from tests.archive.files import SERIES, STUDY, lay_in, store, stored

LATER = 1 << 62


def listed(uid: str, series: str = SERIES) -> ListedInstance:
    return ListedInstance(1, 2, 3, STUDY, series, uid)


def found(archive: Archive, without: tuple[str, ...] = (), find: Callable[[str], ListedInstance | None] = listed,
          begun: int = LATER) -> list[str]:
    with BackupSource(archive.path) as source:
        return [path for path, _ in source.other_files(without, find, begun)]


def test_opens_an_instance_wherever_it_is(archive: Archive) -> None:
    waiting = store(archive, "1.1")
    entry = ListedInstance(waiting.slot, xxh3_64(b"pixels"), waiting.file_length, STUDY, SERIES, "1.1")
    with BackupSource(archive.path) as source:
        for _ in range(2):
            fd = source.open_instance(entry)
            entry.check(fd)
            os.close(fd)
            archive.file_batch([waiting])
        deletion = archive.begin_delete([stored(waiting)])
        deletion.finish()
        with pytest.raises(InstanceMissing):
            source.open_instance(entry)


def test_everything_by_a_rule(archive: Archive, data: Path) -> None:
    archive.file_batch([store(archive, "1.1")])
    archive.begin_delete([])
    store(archive, "1.2")
    (data / "trash" / "1" / "2").mkdir(parents=True)
    lay_in(data, "1.3")
    for name in ("trash/1/2/1.1.dcm", "index.db", "index.db-wal", "keep", "note.json.new", f"{STUDY}/notes.txt",
                 f"{STUDY}/{SERIES}/thumbs.db", "quarantine/a.dcm"):
        (data / name).touch()
    (data / "link").symlink_to("keep")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(data / "x.sock"))
        assert found(archive, ("index.db", "index.db-wal")) == [
            "tombstones/0000000000000001.json", "trash/1/2/1.1.dcm", f"{STUDY}/{SERIES}/thumbs.db",
            f"{STUDY}/notes.txt", "format", "keep", "quarantine/a.dcm", "starts"]


def test_a_file_without_a_row_is_one_of_the_others_unless_it_is_new(archive: Archive) -> None:
    archive.file_batch([store(archive, "1.1")])
    path = f"{STUDY}/{SERIES}/1.1.dcm"
    assert path not in found(archive)
    assert path in found(archive, find=lambda uid: None)
    assert path in found(archive, find=lambda uid: listed(uid, "9.9"))      # one more of that UID, somewhere else
    assert path not in found(archive, find=lambda uid: None, begun=time.time_ns() - 1_000_000_000)


def test_what_goes_away_meanwhile(archive: Archive, data: Path) -> None:
    (data / "a").mkdir()
    (data / "a" / "b").touch()
    (data / "c").touch()
    archive.last_room.keep()    # not this one
    with BackupSource(archive.path) as source:
        files = source.other_files((), listed, LATER)
        assert next(files)[0] == "a/b"
        (data / "a" / "b").unlink()
        (data / "c").unlink()
        assert [path for path, _ in files] == ["format", "starts"]
        with pytest.raises(FileNotFoundError):
            source.open_file("a/b")


def test_reads_the_others(archive: Archive, data: Path) -> None:
    (data / "a").mkdir()
    (data / "a" / "b").write_text("text")
    with BackupSource(archive.path) as source:
        fd = source.open_file("a/b")
        assert os.read(fd, 10) == b"text"
        os.close(fd)


def test_one_backup_at_a_time(archive: Archive) -> None:
    archive.identity()
    with BackupSource(archive.path) as one, BackupSource(archive.path) as other:
        with one.locked(), pytest.raises(ArchiveUnusable, match="another backup"), other.locked():
            pass
        with other.locked():
            pass


def test_what_is_no_data_directory(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ArchiveUnusable, match="cannot be used"):
            BackupSource(str(path))
