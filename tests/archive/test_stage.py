"""What goes past the page cache and what does not; files of every length, and disks that say no."""
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

from dicomserver.archive.preamble import read_header
from dicomserver.archive.writer import DatasetWriter
from dicomserver.services.describe import WANTED
from dicomserver.wire.scanner import DatasetScanner
from tests.archive.test_writer import INSTANCE, META, SOP_CLASS, dataset, has_no_header, message, opened

PAGE, KILOBYTE, MEGABYTE = mmap.PAGESIZE, 1 << 10, 1 << 20
DIRECT_FROM, LARGE, SMALL, MOST_LARGE = 128 * KILOBYTE, 2 * MEGABYTE, 256 * KILOBYTE, 8      # of stage.pyx
AROUND = 132 + len(META) + len(dataset(0))      # bytes of a file that are not pixels
# File lengths where something else begins: the way past the cache, a page, a second and a third window.
EDGES = [edge + more for edge in (DIRECT_FROM, DIRECT_FROM + PAGE, LARGE, 2 * LARGE - PAGE) for more in (-2, 0, 2)]


def begun(writer: DatasetWriter, data: bytes, fd: int) -> None:
    writer.receive(opened(message(data, 131072)), DatasetScanner(WANTED), fd, META, SOP_CLASS.encode(),
                   INSTANCE.encode())


def resident(fd: int) -> int:
    """The bytes of a file that are in the page cache."""
    length = os.fstat(fd).st_size
    pages = -(-length // PAGE)
    seen = (ctypes.c_ubyte * pages)()
    with mmap.mmap(fd, length, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        held = ctypes.c_char.from_buffer(mapped)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mincore(ctypes.byref(held), ctypes.c_size_t(length), seen) == 0, os.strerror(ctypes.get_errno())
        del held
    return sum(page & 1 for page in seen) * PAGE


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


@pytest.mark.parametrize("past_cache", [True, False])
@pytest.mark.parametrize("length", EDGES)
def test_a_file_of_any_length(disk_file: int, length: int, past_cache: bool) -> None:
    writer, data = DatasetWriter(past_cache=past_cache), dataset(length - AROUND)
    begun(writer, data, disk_file)
    received = writer.seal(1, 1)
    whole = os.pread(disk_file, length + 1, 0)
    assert len(whole) == received.file_length == length and whole[received.dataset_offset:] == data
    assert read_header(disk_file).preamble.checksum == received.checksum


@pytest.mark.parametrize("length", [DIRECT_FROM, 10 * LARGE])
def test_most_goes_past_the_page_cache(disk_file: int, length: int) -> None:
    writer = DatasetWriter()
    begun(writer, dataset(length - AROUND + 2), disk_file)
    writer.seal(1, 1)
    assert resident(disk_file) == 2 * PAGE      # the first and the last, which is no whole one


@pytest.mark.parametrize("past_cache, length", [(True, DIRECT_FROM - 2), (False, LARGE), (False, 10 * LARGE)])
def test_what_stays_in_the_page_cache(disk_file: int, past_cache: bool, length: int) -> None:
    writer = DatasetWriter(past_cache=past_cache)
    begun(writer, dataset(length - AROUND), disk_file)
    writer.complete()
    assert resident(disk_file) >= length


def test_nothing_of_an_earlier_file_comes_into_the_next(tmp_path: Path) -> None:
    writer = DatasetWriter()
    for number, pixels in enumerate([3_000_000, 1000, 200_000, 10, 131_000, 0, 2_500_000]):
        fd, given_up = (os.open(tmp_path / f"{number}{kind}", os.O_RDWR | os.O_CREAT) for kind in "ab")
        begun(writer, dataset(150_000), given_up)
        begun(writer, dataset(pixels), fd)
        offset = writer.seal(1, 1).dataset_offset
        assert os.pread(fd, 1 << 22, offset) == dataset(pixels)
        assert has_no_header(given_up)
        os.close(fd), os.close(given_up)


def own_memory() -> int:
    """Bytes of this process that are no file's."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) << 10


def test_many_at_once_take_little_memory(tmp_path: Path) -> None:
    """More than there are large stages for: each waits for its `seal`, as those of an asynchronous window do."""
    count = 40
    source, data = message(dataset(LARGE), 131072), dataset(LARGE)
    writers = [DatasetWriter() for _ in range(count)]
    files = [os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT) for number in range(count)]
    before = own_memory()
    for writer, fd in zip(writers, files, strict=True):
        writer.receive(opened(source), DatasetScanner(WANTED), fd, META, SOP_CLASS.encode(), INSTANCE.encode())
    assert own_memory() - before < MOST_LARGE * LARGE + (count - MOST_LARGE) * SMALL + 8 * MEGABYTE
    for writer, fd in zip(writers, files, strict=True):
        assert os.pread(fd, 1 << 22, writer.seal(1, 1).dataset_offset) == data
        os.close(fd)


RECEIVE = """
import os, sys
from tests.archive.test_writer import dataset, message, opened, receive
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_EXCL)
try:
    receive(opened(message(dataset(int(sys.argv[2])), 131072)), fd)
except OSError as error:
    print(error.errno)
"""
PIXELS = 5 * MEGABYTE
SOUND = random.Random(PIXELS).randbytes(PIXELS)


def receive_traced(folder: Path, *options: str) -> tuple[str, list[str], bytes]:
    """-> what it printed, its calls that write, and the file."""
    folder.mkdir()
    done = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-P", folder / "slot", "-e", "trace=pwrite64,fcntl,fdatasync", *options,
         "-o", folder / "trace", sys.executable, "-c", RECEIVE, folder / "slot", str(PIXELS)],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    calls = [line for line in (folder / "trace").read_text().splitlines() if "(" in line and "+++" not in line]
    return done.stdout, calls, (folder / "slot").read_bytes()


def test_an_error_of_the_disk_refuses_the_instance(tmp_path: Path) -> None:
    printed, calls, whole = receive_traced(tmp_path / "sound")
    assert printed == "" and whole.startswith(b"DCMSRV") and whole.endswith(SOUND)
    names = [call.split()[1].partition("(")[0] for call in calls]
    assert [name for name in names if name != "fcntl"] == ["pwrite64"] * 5 + ["fdatasync"]
    assert ", 4096, 0)" in calls[-2], "the preamble's page is not the last that is written"
    for number in range(1, 6):
        printed, _, whole = receive_traced(tmp_path / str(number), "-e", f"inject=pwrite64:error=EIO:when={number}")
        assert printed == f"{errno.EIO}\n" and not whole.startswith(b"DCMSRV")
    printed, _, _ = receive_traced(tmp_path / "sync", "-e", "inject=fdatasync:error=EIO")
    assert printed == f"{errno.EIO}\n"


@pytest.mark.parametrize("refused", ["fcntl:error=EINVAL", "pwrite64:error=EINVAL:when=1",
                                     "pwrite64:error=EINVAL:when=3", "pwrite64:error=EINTR:when=1..3"])
def test_a_file_system_that_does_not_write_past_its_cache(tmp_path: Path, refused: str) -> None:
    printed, calls, whole = receive_traced(tmp_path / "slot", "-e", f"inject={refused}")
    assert printed == "" and any("INJECTED" in call for call in calls)
    assert whole.startswith(b"DCMSRV") and whole.endswith(SOUND)


def test_one_that_refuses_in_any_way_is_not_asked_for_ever(tmp_path: Path) -> None:
    printed, calls, _ = receive_traced(tmp_path / "slot", "-e", "inject=pwrite64:error=EINVAL")
    assert printed == f"{errno.EINVAL}\n" and len(calls) < 10
