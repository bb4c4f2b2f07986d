from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import ArchiveDamaged, ArchiveLocked, IntakeFull, IntakeRefused
from dicomserver.archive.intake import Limits
from tests.archive.files import SERIES, STUDY, intake_of, names, store, stored

ROOT = Path(__file__).resolve().parents[2]

STORE_AND_FILE = """
import os, sys
from dicomserver.archive.archive import Archive
from tests.archive.files import store, stored
with Archive(sys.argv[1]) as archive:
    batch = []
    for number in range(3):
        batch.append(store(archive, f"1.{number}"))
        os.write(1, b"acknowledged %016x\\n" % batch[-1].slot)
    archive.file_batch(batch)
"""

# In a bare chroot "/" is no mount point, and what is mounted may be seen outside: so it is unmounted at the end.
ON_A_SMALL_DISK = """
mount --make-rprivate / 2>/dev/null || true
mount -t tmpfs -o size=2m tmpfs "$1" || exit
trap 'umount "$1"' EXIT
"$2" -c "$3" "$1/data"
"""

# A disk of 2 MiB: it fills, instances are refused, what was acknowledged stays, and room makes it work again.
FILL_AND_FREE = """
import os, sys
from pathlib import Path
from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import FilingFailed
from tests.archive.files import store, write_instance
data = Path(sys.argv[1])
with Archive(data, reserve=0) as archive:
    batch = []
    try:
        while True:
            slot = archive.take()
            write_instance(slot, f"1.{len(batch)}", bytes(100_000))
            archive.discard(slot)
            batch.append(store(archive, f"1.{len(batch)}", bytes(100_000)))
    except OSError as error:
        print("refused:", error.strerror)
        archive.discard(slot)
    with open(data / "ballast", "wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError as error:
            print("nothing left:", error.strerror)
    for waiting in batch:
        os.close(archive.open_instance(waiting.slot, waiting.study_instance_uid, waiting.series_instance_uid,
                                       waiting.sop_instance_uid))
    try:
        archive.file_batch(batch)
    except FilingFailed as error:
        print("not filed, full:", error.full)
    (data / "ballast").unlink()
    archive.file_batch(batch)
    archive.file_batch([store(archive, "2.1", bytes(1000))])
    whole = [found for found in archive.walk_instances(whole=True) if found.verdict.name == "WHOLE"]
    print("all there:", len(batch) > 10 and len(whole) == len(batch) + 1)
"""


def test_the_order_of_system_calls(data: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    said = subprocess.run(["strace", "-f", "-y", "-s", "64", "-o", str(trace), "-e",
                           "trace=openat,fsync,fdatasync,linkat,unlinkat,write",
                           sys.executable, "-c", STORE_AND_FILE, str(data)],
                          cwd=ROOT, capture_output=True, text=True, check=True).stdout
    slots = re.findall("acknowledged (.{16})", said)
    assert len(slots) == 3
    lines = [line for line in trace.read_text().splitlines() if "resumed" not in line or "fsync" in line]

    def at(pattern: str, start: int = 0) -> int:
        return next(number for number in range(start, len(lines)) if re.search(pattern, lines[number]))

    for slot in slots:
        made = at(f'openat.*"{slot}".*O_EXCL')
        named = at("fsync.*/intake>|fsync resumed", made)
        synced = at(rf"fdatasync\(\d+<[^>]*/intake/{slot}>")
        acknowledged = at(rf"write\(1<.*acknowledged {slot}")
        linked = at(f'linkat.*"{slot}"')
        removed = at(f'unlinkat.*"{slot}"')
        assert made < named < synced < acknowledged < linked < removed
        folders = [at(rf"fsync\(\d+<{re.escape(str(path))}>", linked)
                   for path in (data / STUDY / SERIES, data / STUDY, data)]
        assert max(folders) < removed
        assert len([line for line in lines if f"/intake/{slot}>" in line and "fdatasync(" in line]) == 1


def test_a_full_disk(tmp_path: Path) -> None:
    """On a tmpfs of its own, mounted in a namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    flags = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    said = subprocess.run(["unshare", "--mount", "--propagation", "unchanged", *flags, "sh", "-c", ON_A_SMALL_DISK,
                           "sh", str(disk), sys.executable, FILL_AND_FREE],
                          cwd=ROOT, capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    assert lines[:2] == ["refused: No space left on device", "nothing left: No space left on device"]
    assert lines[2:-1] in ([], ["not filed, full: True"])       # whether a folder still fits is the kernel's business
    assert lines[-1] == "all there: True"


def test_only_the_reserve_is_left(data: Path) -> None:
    archive = Archive(data, reserve=1 << 62)
    with pytest.raises(IntakeFull, match="reserve"):
        archive.take()
    assert 0 < archive.free_space() < 1 << 62
    archive.close()


def test_one_at_a_time_and_again_after_closing(data: Path) -> None:
    archive = Archive(data)
    with pytest.raises(ArchiveLocked):
        Archive(data)
    archive.close()
    archive.close()
    Archive(data).close()
    assert names(data / "intake") == []


def test_an_archive_that_cannot_be_opened_leaks_nothing(data: Path) -> None:
    Archive(data).close()
    (data / "tombstones" / "0000000000000001.json").write_text("?")
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    with pytest.raises(ArchiveDamaged):
        Archive(data)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (before, threads)


def test_what_waits_is_found_and_filed_at_the_next_start(data: Path) -> None:
    archive = Archive(data)
    store(archive, "1.1")
    archive.close()
    archive = Archive(data, limits=Limits(slots=1, patience=0.01))
    found, = archive.examine_intake()
    archive.adopt(found)
    assert archive.waiting == (1, found.file_length)
    archive.discard(found.slot)
    assert archive.waiting == (0, 0)
    assert intake_of(archive) == []
    archive.close()


def test_a_mover_that_cannot_move(archive: Archive) -> None:
    archive.refuse("the disk is full")
    with pytest.raises(IntakeRefused):
        archive.take()
    archive.resume()
    archive.discard(archive.take())


def test_storing_moving_reading_and_deleting_at_once(archive: Archive, data: Path) -> None:
    inbox: queue.SimpleQueue = queue.SimpleQueue()
    errors: list[BaseException] = []

    def guarded(work) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)
        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def sender(number: int) -> None:
        for count in range(60):
            inbox.put(store(archive, f"{number}.{count}", series=f"2.{count % 5}"))

    def mover() -> None:
        while len(filed) < 240:
            batch = [inbox.get()]
            while not inbox.empty():
                batch.append(inbox.get())
            filed.extend(archive.file_batch(batch))

    filed: list = []
    senders = [guarded(lambda number=number: sender(number)) for number in range(4)]
    moving = guarded(mover)
    for thread in senders:
        thread.join()
    moving.join()
    assert errors == []
    assert len(filed) == 240
    archive.begin_delete([stored(outcome.waiting) for outcome in filed[::2]]).finish()
    left = {found.slot for found in archive.walk_instances(whole=True)}
    assert left == {outcome.waiting.slot for outcome in filed[1::2]}
    assert archive.waiting == (0, 0)


def test_a_scratch_file_may_not_touch_the_reserve(tmp_path: Path) -> None:
    with Archive(tmp_path / "data", reserve=1 << 20) as archive:
        fd, most = archive.open_scratch()
        try:
            assert most == archive.free_space() - (1 << 20)
            assert os.fstat(fd).st_dev == (tmp_path / "data").stat().st_dev and os.fstat(fd).st_size == 0
        finally:
            os.close(fd)
    with Archive(tmp_path / "data", reserve=1 << 60) as archive:
        fd, most = archive.open_scratch()
        os.close(fd)
        assert most == 0
