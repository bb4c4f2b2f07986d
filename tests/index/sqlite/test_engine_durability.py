"""What the kernel is asked to do, and what is left when a process dies."""
from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from dicomserver.index import Index, open_index
from dicomserver.index.sqlite.engine import SqliteFile
from tests.index.samples import make, sizes
from tests.index.sqlite.traced import SECTIONS

CALL = re.compile(r"""
    ^\d+[ ]+ (\w+) \( (?: (?:AT_FDCWD[^,]*,[ ])? "(?P<name>[^"]*)" | \d+<(?P<file>[^>]*)> ) (?P<rest>.*)
    """, re.VERBOSE)


def command(module: str, url: str) -> list[str]:
    return [sys.executable, "-m", f"tests.index.sqlite.{module}", url]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """For each section what was synced, written, renamed and unlinked, as `sync index.db-wal` in order."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "archive").mkdir()
    subprocess.run(["strace", "-f", "-y", "-o", folder / "trace", "-e",
                    "trace=fsync,fdatasync,sync_file_range,msync,pwrite64,write,rename,unlink,ftruncate",
                    *command("traced", f"sqlite://{folder}/archive/index.db")],
                   check=True, capture_output=True)
    found: dict[str, list[str]] = {}
    section: list[str] = []
    for line in (folder / "trace").read_text().splitlines():
        call = CALL.match(line)
        if call is None:
            continue
        name = Path(call["name"] or call["file"]).name
        if call[1] == "write" and (mark := re.match(r', "\[([a-z ]+)\]"', call["rest"])):
            section = found.setdefault(mark[1], [])
        elif call[1] in ("fsync", "fdatasync", "msync", "sync_file_range"):
            section.append(f"sync {name}")
        elif (call["name"] or call["file"]).startswith(str(folder / "archive")) and not name.endswith("-shm"):
            section.append(f"{call[1].removesuffix('64')} {name}")
    assert tuple(found) == SECTIONS
    return found


def syncs(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith("sync")]


@pytest.mark.parametrize("section", ["first", "adds", "adds again", "adds after checkpoint"])
def test_adding_and_finding_sync_nothing(trace: dict[str, list[str]], section: str) -> None:
    assert set(trace[section]) == {"pwrite index.db-wal"}


@pytest.mark.parametrize("section", ["durable", "durable after checkpoint"])
def test_making_durable_is_one_sync_of_the_log(trace: dict[str, list[str]], section: str) -> None:
    assert syncs(trace[section]) == ["sync index.db-wal"]
    assert trace[section][-1] == "sync index.db-wal"
    assert set(trace[section][:-1]) == {"pwrite index.db-wal"}


@pytest.mark.parametrize("section", ["remove", "complete"])
def test_what_is_durable_at_once_syncs_at_its_end(trace: dict[str, list[str]], section: str) -> None:
    assert syncs(trace[section]) == ["sync index.db-wal"]
    assert trace[section][-1] == "sync index.db-wal"


def test_a_checkpoint_syncs_log_then_file_then_the_new_logs_header(trace: dict[str, list[str]]) -> None:
    calls = trace["checkpoint"]
    assert syncs(calls) == ["sync index.db-wal", "sync index.db", "sync index.db-wal"]
    log, file = calls.index("sync index.db-wal"), calls.index("sync index.db")
    assert set(calls[:log]) <= {"pwrite index.db-wal"}
    assert "pwrite index.db" in set(calls[log + 1:file]) <= {"pwrite index.db", "ftruncate index.db"}
    assert calls[file + 1:file + 3] == ["pwrite index.db-wal", "sync index.db-wal"]
    assert set(calls[file + 3:]) == {"pwrite index.db-wal"}


def test_a_new_index_is_durable_before_it_is_used(trace: dict[str, list[str]]) -> None:
    calls = trace["open"]
    last_write = max(at for at, call in enumerate(calls) if call == "pwrite index.db")
    assert "sync index.db" in calls[last_write:]
    assert "sync archive" in calls[last_write:]
    assert "sync index.db-wal" in calls[last_write:]  # the new log's header


def test_closing_leaves_the_file_synced(trace: dict[str, list[str]]) -> None:
    calls = trace["close"]
    assert calls[:3] == ["pwrite index.db-wal", "pwrite index.db-wal", "sync index.db-wal"]
    last_write = max(at for at, call in enumerate(calls) if call == "pwrite index.db")
    assert "sync index.db" in calls[last_write:]
    assert calls[-1] == "unlink index.db-wal"


def test_a_rebuilt_index_is_synced_before_it_takes_the_name(trace: dict[str, list[str]]) -> None:
    calls = trace["rebuild"]
    last_write = max(at for at, call in enumerate(calls) if call == "pwrite index.db.new")
    renamed = calls.index("rename index.db.new")
    assert "sync index.db.new" in calls[last_write:renamed]
    assert calls[renamed - 1] == "sync archive"  # the old log is gone for good
    assert calls[renamed + 1:] == ["sync archive"]


def test_a_finished_copy_is_synced(trace: dict[str, list[str]]) -> None:
    calls = trace["copy"]
    last_write = max(at for at, call in enumerate(calls) if call == "pwrite copy.db")
    assert "sync copy.db" in calls[last_write:]
    assert "sync archive" in calls[:last_write] and "sync copy.db-wal" in calls[:last_write]


@pytest.mark.parametrize("lines", [1, 400, 3000])
def test_a_killed_process_loses_nothing_that_it_said(tmp_path: Path, lines: int) -> None:
    url = f"sqlite://{tmp_path}/index.db"
    process = subprocess.Popen(command("adding", url), stdout=subprocess.PIPE)
    said = [process.stdout.readline() for _ in range(lines)]
    process.kill()
    said += process.stdout.readlines()
    process.wait()
    index = open_index(url)
    assert len(said) >= lines
    for uid in said:
        if uid.endswith(b"\n"):
            assert index.find(uid.decode().strip()) is not None
    rows = list(index.select())
    assert index.counts().instances == len(rows) == sum(one[2] for one in sizes(index))
    assert len({row.sop_instance_uid for row in rows}) == len(rows)
    index.add(make(1, study="after.the.crash"))
    index.close()
    assert apsw.Connection(str(tmp_path / "index.db")).execute("PRAGMA integrity_check").get == "ok"


def test_what_was_made_durable_survives_the_loss_of_all_that_was_written_later(tmp_path: Path) -> None:
    """The disk as it was at the sync, without the shared memory, which no crash leaves."""
    index = Index(SqliteFile(tmp_path / "index.db"))
    index.add_many(make(number) for number in range(1, 100))
    index.make_durable()
    (tmp_path / "after").mkdir()
    for name in ("index.db", "index.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / "after" / name)
    index.add(make(100))
    index.close()
    survived = open_index(f"sqlite://{tmp_path}/after/index.db")
    assert survived.counts().instances == 99
    survived.close()


def test_a_torn_end_of_the_log_is_as_if_it_was_never_written(tmp_path: Path) -> None:
    index = Index(SqliteFile(tmp_path / "index.db"))
    index.add(make(1))
    index.make_durable()
    kept = (tmp_path / "index.db-wal").stat().st_size
    index.add(make(2))
    file, log = (tmp_path / "index.db").read_bytes(), (tmp_path / "index.db-wal").read_bytes()
    index.close()
    for number, torn in enumerate((log[:-1], log[:-4096], log[:kept] + bytes(len(log) - kept),
                                   log[:kept] + b"\xff" * (len(log) - kept), log[:kept])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "index.db").write_bytes(file)
        (folder / "index.db-wal").write_bytes(torn)
        survived = open_index(f"sqlite://{folder}/index.db")
        assert [stored.slot for stored in survived.select()] == [1]
        assert sizes(survived) == [("1.2.3", 1, 1)]
        survived.close()


@pytest.mark.parametrize(("fault", "says", "afterwards"), [
    ("fdatasync:error=EIO",
     "SyncFailed SQLite: SQLITE_IOERR_FSYNC", "IndexUnavailable a sync of the index failed"),
    ("pwrite64:error=EIO",
     "IndexUnavailable SQLite: SQLITE_IOERR_WRITE", "IndexUnavailable SQLite: SQLITE_IOERR_WRITE"),
    ("pwrite64:error=ENOSPC", "IndexFull SQLite: SQLITE_FULL", "IndexFull SQLite: SQLITE_FULL"),
])
def test_faults_of_the_disk_come_out_as_ours(tmp_path: Path, fault: str, says: str, afterwards: str) -> None:
    url = f"sqlite://{tmp_path}/index.db"
    open_index(url).close()
    done = subprocess.run(
        ["strace", "-o", tmp_path / "trace", "-e", "trace=fdatasync,pwrite64",
         "-e", f"inject={fault}:when=200+", *command("failing", url)], capture_output=True, text=True)
    added, fault_said, then, found = done.stdout.splitlines()
    assert (fault_said, found) == (says, "1")
    assert then.startswith(afterwards)
    assert "(INJECTED)" in (tmp_path / "trace").read_text()
    index = open_index(url)
    assert {stored.slot for stored in index.select()} >= set(range(1, int(added) + 1))
    assert sizes(index) == [("1.2.3", 1, index.counts().instances)]
    index.close()
