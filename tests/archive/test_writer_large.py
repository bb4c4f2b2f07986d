"""What the streaming writer does with files that are too large for the page cache."""
from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.preamble import read_header
from dicomserver.archive.writer import DatasetWriter
from dicomserver.services.describe import WANTED
from dicomserver.wire.scanner import DatasetScanner
from tests.archive.test_writer import INSTANCE, META, SOP_CLASS, dataset, message, opened, receive

MEGABYTE = 1 << 20
LARGE, SMALL = 80 * MEGABYTE, 20 * MEGABYTE
WINDOWS = 32 * MEGABYTE     # the most of a large file that is in memory while it comes in


def resident(fd: int) -> int:
    """The bytes of a file that are in the page cache."""
    length = os.fstat(fd).st_size
    pages = -(-length // mmap.PAGESIZE)
    seen = (ctypes.c_ubyte * pages)()
    with mmap.mmap(fd, length, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        held = ctypes.c_char.from_buffer(mapped)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mincore(ctypes.byref(held), ctypes.c_size_t(length), seen) == 0, os.strerror(ctypes.get_errno())
        del held
    return sum(page & 1 for page in seen) * mmap.PAGESIZE


@pytest.fixture
def disk_file() -> Iterator[int]:
    """An empty file where files are more than pages: /tmp may be memory (tmpfs), as in Debian 13."""
    with tempfile.TemporaryFile(dir="/var/tmp", buffering=0) as file:
        file.write(bytes(MEGABYTE))
        os.fsync(file.fileno())
        assert resident(file.fileno()) == MEGABYTE
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if resident(file.fileno()):
            pytest.skip("/var/tmp is no disk")
        file.truncate(0)
        yield file.fileno()


def test_a_large_file_takes_little_of_the_page_cache(disk_file: int) -> None:
    data = dataset(LARGE)
    writer = DatasetWriter()
    writer.receive(opened(message(data, 131072)), DatasetScanner(WANTED), disk_file, META, SOP_CLASS.encode(),
                   INSTANCE.encode())
    assert 0 < resident(disk_file) <= WINDOWS
    received = writer.seal(1, 1)
    writer.sync()
    assert resident(disk_file) < MEGABYTE
    whole = os.pread(disk_file, received.file_length + 1, 0)
    assert whole[received.dataset_offset:] == data
    assert read_header(disk_file).preamble.checksum == received.checksum == xxh3_64(data)


def test_a_smaller_one_stays_there_for_who_asks_for_it_next(disk_file: int) -> None:
    receive(opened(message(dataset(SMALL), 131072)), disk_file)
    assert resident(disk_file) >= SMALL


RECEIVE = """
import os, sys
from tests.archive.test_writer import dataset, message, opened, receive
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_EXCL)
try:
    receive(opened(message(dataset(int(sys.argv[2])), 131072)), fd)
except OSError as error:
    print(error.errno)
"""


def receive_traced(folder: Path, *options: str) -> tuple[str, list[str], bytes]:
    """-> what it printed, the calls that begin with the disk or wait for it, and the file."""
    folder.mkdir()
    done = subprocess.run(
        ["strace", "-f", "-e", "trace=sync_file_range", *options, "-o", folder / "trace",
         sys.executable, "-c", RECEIVE, folder / "slot", str(LARGE)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    calls = [line for line in (folder / "trace").read_text().splitlines() if "sync_file_range(" in line]
    return done.stdout, calls, (folder / "slot").read_bytes()


def test_an_error_of_the_disk_is_not_lost_before_the_sync(tmp_path: Path) -> None:
    """The kernel tells an error once, and to whoever asks first."""
    printed, calls, whole = receive_traced(tmp_path / "sound")
    pixels = random.Random(LARGE).randbytes(LARGE)
    assert printed == "" and whole.endswith(pixels) and whole.startswith(b"DCMSRV")
    waits = ["WAIT_BEFORE" in call for call in calls]
    assert waits.count(True) >= 2 and not waits[-1]
    for number in {1, 2, waits.index(True) + 1, len(calls)}:
        printed, calls, whole = receive_traced(tmp_path / str(number),
                                               "-e", f"inject=sync_file_range:error=EIO:when={number}")
        assert "INJECTED" in calls[number - 1]
        assert printed == f"{errno.EIO}\n"


@pytest.mark.parametrize("name", ["ENOSYS", "EINVAL", "ESPIPE"])
def test_a_file_system_that_is_not_told_to_begin(tmp_path: Path, name: str) -> None:
    printed, calls, whole = receive_traced(tmp_path / "slot", "-e", f"inject=sync_file_range:error={name}")
    assert printed == "" and calls and all("INJECTED" in call for call in calls)
    assert whole.startswith(b"DCMSRV") and whole.endswith(random.Random(LARGE).randbytes(LARGE))
