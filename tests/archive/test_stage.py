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
from dicomserver.archive.stage import assume_dear_pages
from dicomserver.archive.writer import DatasetWriter
from dicomserver.services.describe import WANTED
from dicomserver.wire.scanner import DatasetScanner
from tests.archive.test_writer import INSTANCE, META, SOP_CLASS, dataset, has_no_header, message, opened
from tests.bench.memory import own_memory
from tests.preloading import compiled

PAGE, KILOBYTE, MEGABYTE = 4096, 1 << 10, 1 << 20
DIRECT_FROM, LARGE, SMALL, MOST_LARGE = 128 * KILOBYTE, 2 * MEGABYTE, 256 * KILOBYTE, 32     # of stage.pyx
AROUND = 132 + len(META) + len(dataset(0))      # bytes of a file that are not pixels
# File lengths where something else begins: the way past the cache, a page, a second and a third window.
EDGES = [edge + more for edge in (DIRECT_FROM, DIRECT_FROM + PAGE, SMALL, LARGE, 2 * LARGE - PAGE)
         for more in (-2, 0, 2)]


@pytest.fixture(params=[0, 1000], ids=["pages cost little", "pages are dear"])
def files_past_cache(request) -> int:
    assume_dear_pages(request.param)
    yield request.param
    assume_dear_pages(0)


def begun(writer: DatasetWriter, data: bytes, fd: int) -> None:
    writer.receive(opened(message(data, 131072)), DatasetScanner(WANTED), fd, META, SOP_CLASS.encode(),
                   INSTANCE.encode())


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
    """An empty file where direct writes stay out of memory: /tmp may be memory (tmpfs), as in Debian 13."""
    with tempfile.TemporaryFile(dir="/var/tmp", buffering=0) as file, mmap.mmap(-1, MEGABYTE) as zeros:
        try:
            direct = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDWR | os.O_DIRECT)
        except OSError:
            pytest.skip("/var/tmp takes no direct writes")
        os.write(direct, zeros)
        os.close(direct)
        if resident(file.fileno()):
            pytest.skip("/var/tmp is no disk, or keeps direct writes in memory")
        file.truncate(0)
        yield file.fileno()


@pytest.mark.parametrize("length", EDGES)
def test_a_file_of_any_length(slot: int, length: int, files_past_cache: int) -> None:
    writer, data = DatasetWriter(), dataset(length - AROUND)
    begun(writer, data, slot)
    received = writer.seal(1, 1)
    whole = os.pread(slot, length + 1, 0)
    assert len(whole) == received.file_length == length and whole[received.dataset_offset:] == data
    assert read_header(slot).preamble.checksum == received.checksum


def written(fd: int, length: int) -> int:
    """-> what is in the page cache of a file of that length."""
    writer = DatasetWriter()
    begun(writer, dataset(length - AROUND), fd)
    writer.seal(1, 1)
    return resident(fd)


@pytest.mark.parametrize("length", [DIRECT_FROM, LARGE])
def test_a_file_of_middle_size_goes_past_the_page_cache_where_pages_are_dear(disk_file: int, length: int,
                                                                             files_past_cache: int) -> None:
    stays = written(disk_file, length)
    assert stays < length // 2 if files_past_cache else stays >= length


def test_a_small_file_stays_in_the_page_cache(disk_file: int, files_past_cache: int) -> None:
    assert written(disk_file, DIRECT_FROM - 2) >= DIRECT_FROM - 2


def test_a_large_file_goes_past_it(disk_file: int, files_past_cache: int) -> None:
    assert written(disk_file, 10 * LARGE) < MEGABYTE


def test_one_of_many_looks_what_a_page_costs_now(disk_file: int) -> None:
    assume_dear_pages(2)
    stay = []
    for _ in range(3):
        os.ftruncate(disk_file, 0)
        stay.append(written(disk_file, LARGE) >= LARGE)
    assert stay == [False, False, True]
    assume_dear_pages(0)


def test_nothing_of_an_earlier_file_comes_into_the_next(tmp_path: Path) -> None:
    writer = DatasetWriter()
    for number, pixels in enumerate([3_000_000, 1000, 200_000, 10, 131_000, 0, 2_500_000]):
        fd, given_up = (os.open(tmp_path / f"{number}{kind}", os.O_RDWR | os.O_CREAT) for kind in "ab")
        begun(writer, dataset(150_000), given_up)
        begun(writer, dataset(pixels), fd)
        offset = writer.seal(1, 1).dataset_offset
        assert os.pread(fd, 1 << 22, offset) == dataset(pixels)
        assert has_no_header(given_up)
        os.close(fd)
        os.close(given_up)


def memory() -> int:
    """Bytes that this process has for itself."""
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("AddressSanitizer keeps what is freed")
    return own_memory(os.getpid())


def test_many_at_once_take_little_memory(tmp_path: Path) -> None:
    """More than there are large stages for: each waits for its `seal`, as those of an asynchronous window do."""
    count = 80
    source, data = message(dataset(LARGE), 131072), dataset(LARGE)
    writers = [DatasetWriter() for _ in range(count)]
    files = [os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT) for number in range(count)]
    before = memory()
    for writer, fd in zip(writers, files, strict=True):
        writer.receive(opened(source), DatasetScanner(WANTED), fd, META, SOP_CLASS.encode(), INSTANCE.encode())
    assert memory() - before < MOST_LARGE * LARGE + (count - MOST_LARGE) * SMALL + 8 * MEGABYTE
    for writer, fd in zip(writers, files, strict=True):
        assert os.pread(fd, 1 << 22, writer.seal(1, 1).dataset_offset) == data
        os.close(fd)


def test_who_is_given_up_has_no_stage(slot: int) -> None:
    writers = [DatasetWriter() for _ in range(2 * MOST_LARGE)]
    before = memory()
    for writer in writers:
        begun(writer, dataset(LARGE), slot)
        writer.give_up()
        writer.give_up()
    assert memory() - before < 8 * MEGABYTE
    with pytest.raises(RuntimeError):
        writers[0].seal(1, 1)


RECEIVE = """
import os, sys
from dicomserver.archive.stage import assume_dear_pages
from tests.archive.test_writer import dataset, message, opened, receive
path, *sizes = sys.argv[1:]
for size in map(int, sizes):
    assume_dear_pages(size % 3)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        received = receive(opened(message(dataset(size), 131072)), fd, syncs_later="SYNCS_LATER" in os.environ)
        offset = received.dataset_offset
        assert os.pread(fd, size + 10000, offset) == dataset(size)
    except OSError as error:
        print(error.errno)
"""
PIXELS = 5 * MEGABYTE
SOUND = random.Random(PIXELS).randbytes(PIXELS)


def receive_traced(folder: Path, *options: str) -> tuple[str, list[str], bytes]:
    """-> what it printed, its calls that write, and the file."""
    folder.mkdir()
    done = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-P", folder / "slot",
         "-e", "trace=pwrite64,fcntl,fdatasync,sync_file_range", *options, "-o", folder / "trace",
         sys.executable, "-c", RECEIVE, folder / "slot", str(PIXELS)],
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


def test_the_disk_is_told_to_begin_before_the_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it refuses that the instance is refused; where there is no such call, or none for us, the sync does it."""
    monkeypatch.setenv("SYNCS_LATER", "1")
    for number, (inject, said, last) in enumerate([
            ([], "", ["sync_file_range", "fdatasync"]),
            *((["-e", f"inject=sync_file_range:error={no_call}"], "", ["sync_file_range", "fdatasync"])
              for no_call in ("ENOSYS", "EPERM", "EINVAL")),
            (["-e", "inject=sync_file_range:error=EIO"], f"{errno.EIO}\n", ["pwrite64", "sync_file_range"]),
            (["-e", "inject=pwrite64:error=EIO:when=5"], f"{errno.EIO}\n", ["pwrite64", "pwrite64"]),
            (["-e", "inject=fdatasync:error=EIO"], f"{errno.EIO}\n", ["sync_file_range", "fdatasync"])]):
        printed, calls, whole = receive_traced(tmp_path / str(number), *inject)
        assert printed == said
        assert [call.split()[1].partition("(")[0] for call in calls][-2:] == last
        assert said or whole.endswith(SOUND)


@pytest.mark.parametrize("refused", ["fcntl:error=EINVAL", "pwrite64:error=EINVAL:when=1",
                                     "pwrite64:error=EINVAL:when=3"])
def test_a_file_system_that_does_not_write_past_its_cache(tmp_path: Path, refused: str) -> None:
    printed, calls, whole = receive_traced(tmp_path / "slot", "-e", f"inject={refused}")
    assert printed == "" and any("INJECTED" in call for call in calls)
    assert whole.startswith(b"DCMSRV") and whole.endswith(SOUND)


@pytest.mark.parametrize("answer, raised", [("error=EINVAL", errno.EINVAL), ("retval=0", errno.EIO)])
def test_one_that_writes_nothing_is_not_asked_for_ever(tmp_path: Path, answer: str, raised: int) -> None:
    printed, calls, _ = receive_traced(tmp_path / "slot", "-e", f"inject=pwrite64:{answer}")
    assert printed == f"{raised}\n" and len(calls) < 10


def test_writes_that_are_cut_short_or_interrupted(tmp_path: Path) -> None:
    library = compiled(Path(__file__).with_name("short_writes.c"), tmp_path)
    sizes = [*range(100, 120_000, 9000), *range(131_000, 2_200_000, 90_000), PIXELS, PIXELS + 2]
    done = subprocess.run([sys.executable, "-c", RECEIVE, tmp_path / "slot", *map(str, sizes)], capture_output=True,
                          text=True, timeout=120,
                          env=os.environ | {"LD_PRELOAD": f"{os.environ.get('LD_PRELOAD', '')} {library}"})
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
