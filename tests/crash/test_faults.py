"""The real server on a disk that fails: nothing acknowledged is lost, it says no, and works again by itself."""
from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dicomserver.archive.space import LAST_ROOM, LAST_ROOM_FILE
from tests.crash.client import Client
from tests.crash.faults import Faults
from tests.crash.recording import wait_until
from tests.crash.recovering import recover_twice
from tests.crash.requesting import Home
from tests.crash.running import Running
from tests.crash.tally import IS_LONG, Tally
from tests.crash.traffic import sample

NO_ROOM, BROKEN = errno.ENOSPC, errno.EIO
SLOTS, WAL, FILED = "intake/*", "dicom-server.db-wal", "1.*/*/*.dcm"

# (call, errno, files): one at a time. See shim.c.
RULES = [
    ("write", NO_ROOM, SLOTS), ("write", BROKEN, SLOTS), ("sync", NO_ROOM, SLOTS), ("sync", BROKEN, SLOTS),
    ("create", NO_ROOM, SLOTS), ("sync", BROKEN, "intake"), ("create", errno.EMFILE, SLOTS),
    ("write", NO_ROOM, WAL), ("write", BROKEN, WAL), ("sync", NO_ROOM, WAL), ("sync", BROKEN, WAL),
    ("link", NO_ROOM, FILED), ("link", BROKEN, FILED), ("mkdir", NO_ROOM, "1.*"), ("mkdir", BROKEN, "1.*/*"),
    ("sync", BROKEN, "1.*/*"), ("sync", NO_ROOM, "1.*"), ("unlink", BROKEN, SLOTS),
    ("rename", NO_ROOM, "quarantine/*"), ("write", NO_ROOM, "quarantine/*"), ("link", BROKEN, "quarantine/*"),
    ("sync", BROKEN, "quarantine/*"),
]
SAMPLE = [("write", NO_ROOM, WAL)]
# Faults that no instance notices but one that is set aside, and that one is refused anyway.
HARMLESS = {rule for rule in RULES if "quarantine" in rule[2]}
# After a sync of its log, or of a folder, that failed neither is trusted any more, whatever the next one says.
UNTIL_THE_NEXT_START = {rule for rule in RULES if rule[0] == "sync" and rule[2] in (WAL, "intake", "1.*", "1.*/*")}
# The next start does not come about, and says why.
NO_START = [("sync", BROKEN, "dicom-server.db"), ("write", NO_ROOM, "dicom-server.db"), ("write", NO_ROOM, WAL),
            ("write", NO_ROOM, "starts.new"), ("sync", BROKEN, "starts.new"), ("sync", BROKEN, "intake"),
            ("rename", BROKEN, "starts"), ("sync", BROKEN, SLOTS)]
LIMITS = [resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE]
JUMPS = [-630_720_000, 315_360_000]     # seconds
SAYS = {BROKEN: ("Input/output error", "SQLITE_IOERR"), NO_ROOM: ("No space left", "SQLITE_FULL")}
OUT_OF_RESOURCES, RESOURCE_LIMITATION = 0xA700, 0x0213
FAULTS = "faults injected into the running server"


def endure(client: Client, begin: Callable[[], object], end: Callable[[], object], most: int = 40) -> list[int]:
    """Stores before, in and after a fault, and asks; -> the statuses of those in it. most: so many, or until one is
    refused."""
    assert [client.store(sample(number, 1)) for number in range(3)] == [0, 0, 0]
    begin()
    # New studies and an old one; until what was made ahead is used up; another version of what is stored.
    statuses = []
    while len(statuses) < most and (len(statuses) < 40 or not any(statuses)):
        number = 100 + len(statuses)
        statuses.append(client.store(sample(number, 1 + number % 4, octets=30_000)))
    assert client.store(sample(0, 1, version=1)) != 0
    wait_until(client.mover_has_tried)
    client.finds_and_gets_all()
    statuses += [client.store(sample(60 + number, 5, octets=30_000)) for number in range(3)]
    client.finds_and_gets_all()
    end()
    wait_until(lambda: client.store(sample(70, 6)) == 0)
    assert [client.store(sample(80 + number, 7)) for number in range(3)] == [0, 0, 0]
    wait_until(client.all_is_filed)
    client.finds_and_gets_all()
    return statuses


def nothing_is_lost(client: Client, data: Path, home: Home, tally: Tally, row: str = FAULTS) -> None:
    """Once the server is gone."""
    look = recover_twice(data, home)
    problems = look.problems + client.broken(look.instances, look.reports)
    tally.add(row, 1, bool(problems))
    assert problems == []


@pytest.mark.parametrize("rule", RULES if IS_LONG else SAMPLE, ids=lambda rule: "{0}-{1}-{2}".format(*rule))
def test_a_call_that_fails(scratch: Path, home: Home, tally: Tally, rule: tuple[str, int, str]) -> None:
    data, faults = scratch / "data", Faults(scratch)
    call, number, pattern = rule
    with Running(data, environment=faults.environment) as server:
        client = Client(server)

        def end() -> None:
            faults.clear()
            if rule in UNTIL_THE_NEXT_START:
                assert client.store(sample(90, 6)) == OUT_OF_RESOURCES
                server.kill_and_start()

        statuses = endure(client, lambda: faults.set((call, number, data / pattern)), end,
                          40 if rule in HARMLESS else 2000)
        server.kill()
    assert any(statuses) != (rule in HARMLESS)
    nothing_is_lost(client, data, home, tally)


@pytest.mark.parametrize("rule", NO_START if IS_LONG else NO_START[:1], ids=lambda rule: "{0}-{1}-{2}".format(*rule))
def test_a_start_that_fails(scratch: Path, home: Home, tally: Tally, rule: tuple[str, int, str]) -> None:
    data, faults = scratch / "data", Faults(scratch)
    with Running(data) as server:
        client = Client(server)
        assert [client.store(sample(number)) for number in range(3)] == [0, 0, 0]
        server.kill()
    call, number, pattern = rule
    faults.set((call, number, data / pattern))
    with pytest.raises(AssertionError, match="did not start") as failed:
        Running(data, environment=faults.environment)
    assert any(words in str(failed.value) for words in SAYS[number])
    nothing_is_lost(client, data, home, tally)


@pytest.mark.parametrize("limit", LIMITS if IS_LONG else LIMITS[:1])
def test_a_limit_of_the_process(scratch: Path, home: Home, tally: Tally, limit: int) -> None:
    data = scratch / "data"
    with Running(data) as server:
        client = Client(server)
        before = resource.prlimit(server.pid, limit)
        most = 20_000 if limit == resource.RLIMIT_FSIZE else len(os.listdir(f"/proc/{server.pid}/fd")) + 2
        statuses = endure(client, lambda: resource.prlimit(server.pid, limit, (most, before[1])),
                          lambda: resource.prlimit(server.pid, limit, before))
        server.kill()
    assert limit == resource.RLIMIT_NOFILE or any(statuses)
    nothing_is_lost(client, data, home, tally)


@pytest.mark.parametrize("seconds", JUMPS if IS_LONG else JUMPS[:1])
def test_a_clock_that_jumps(scratch: Path, home: Home, tally: Tally, seconds: int) -> None:
    """By ten years forth, or twenty back, and then to where it was."""
    data, faults = scratch / "data", Faults(scratch)
    with Running(data, environment=faults.environment) as server:
        client = Client(server)
        statuses = endure(client, lambda: faults.set(("clock", seconds, "*")), faults.clear)
        server.kill()
    assert not any(statuses)
    nothing_is_lost(client, data, home, tally)


def test_the_reserve(scratch: Path, home: Home, tally: Tally) -> None:
    """With only the reserve left all works but storing."""
    data, faults = scratch / "data", Faults(scratch)
    kept, unwanted = [sample(number) for number in range(3)], sample(9)
    with Running(data, environment=faults.environment | home.environment) as server:
        client = Client(server)
        assert [client.store(one) for one in (*kept, unwanted)] == [0] * 4
        faults.set(("space", NO_ROOM, data))
        # What is known of the disk may be a second old.
        wait_until(lambda: client.store(sample(20)) != 0)
        assert [client.store(sample(30 + number)) for number in range(3)] == [OUT_OF_RESOURCES] * 3
        assert client.commit(1, kept) == RESOURCE_LIMITATION
        client.finds_and_gets_all()
        client.delete(unwanted)
        client.finds_and_gets_all()
        faults.clear()
        wait_until(lambda: client.store(sample(40)) == 0)
        assert client.commit(2, kept) == 0
        client.finds_and_gets_all()
        server.kill()
    nothing_is_lost(client, data, home, tally)


def test_a_large_image_leaves_the_reserve(scratch: Path, home: Home, tally: Tally) -> None:
    with small_disk(scratch) as disk:
        if isinstance(disk, _Pretended):
            pytest.skip("nothing may be mounted here")
        with Running(disk.data, environment=disk.environment | {"DICOM_SERVER_RESERVE_MEGABYTES": "4"}) as server:
            client = Client(server)
            assert client.store(sample(0, octets=3_000_000)) == 0
            assert client.store(sample(1, octets=8_000_000)) == OUT_OF_RESOURCES
            free = os.statvfs(disk.data)
            assert free.f_bavail * free.f_frsize > 4 << 20
            assert client.store(sample(2)) == 0
            client.finds_and_gets_all()
            server.kill()
        nothing_is_lost(client, disk.data, home, tally)


def test_a_full_disk(scratch: Path, home: Home, tally: Tally) -> None:
    with small_disk(scratch) as disk:
        environment = disk.environment | {"DICOM_SERVER_RESERVE_MEGABYTES": "0"}
        with Running(disk.data, environment=environment) as server:
            client = Client(server)
            first = sample(0)
            assert client.store(first) == 0
            disk.fill()
            number = 1
            while client.store(sample(number, number % 3, octets=100_000)) == 0:
                number += 1
            client.finds_and_gets_all()
            client.delete(first)
            assert client.store(sample(1000, 4, octets=8_000_000)) != 0
            client.finds_and_gets_all()
            disk.empty()
            wait_until(lambda: client.store(sample(2000, 5)) == 0)
            wait_until(client.all_is_filed)
            client.finds_and_gets_all()
            server.kill()
        nothing_is_lost(client, disk.data, home, tally)


def test_a_disk_that_is_full_to_its_last_byte(scratch: Path, home: Home, tally: Tally) -> None:
    """It takes a deletion for good, twice: what the first one gave up for it was made anew."""
    with ext4(scratch) as point:
        data, ballast = point / "data", point / "ballast"
        with Running(data, environment={"DICOM_SERVER_RESERVE_MEGABYTES": "0"}) as server:
            client = Client(server)
            samples = [sample(number, octets=6_000_000) for number in range(3)]
            assert [client.store(one) for one in samples] == [0] * 3
            wait_until(client.all_is_filed)
            for one, left in zip(samples, (2, 1)):
                wait_until(lambda: (data / LAST_ROOM_FILE).exists()
                           and (data / LAST_ROOM_FILE).stat().st_blocks * 512 >= LAST_ROOM)
                fill_to_the_last_byte(ballast)
                client.delete(one, "--now")
                assert len(list(data.glob(FILED))) == left
            ballast.unlink()
            wait_until(lambda: client.store(sample(10)) == 0)
            wait_until(client.all_is_filed)
            client.finds_and_gets_all()
            server.kill()
        nothing_is_lost(client, data, home, tally)


def fill_to_the_last_byte(ballast: Path) -> None:
    fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        for step in (1 << 20, 4096, 1024):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(fd, os.fstat(fd).st_size, step)
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def ext4(folder: Path) -> Iterator[Path]:
    """A real file system of 48 MiB."""
    image, point = folder / "image", folder / "disk"
    point.mkdir()
    image.touch()
    os.truncate(image, 48 << 20)
    for command in (["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(point)]):
        try:
            subprocess.run(command, check=True, capture_output=True,
                           env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("nothing may be mounted here")
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], check=True)


class _Mounted:
    """A file system in memory; full, but for a little, with a file of ours."""

    def __init__(self, folder: Path) -> None:
        self.data, self.environment = folder / "data", {}
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        free = os.statvfs(self._ballast.parent)
        self._ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - 1_000_000))

    def empty(self) -> None:
        self._ballast.unlink()


class _Pretended:
    """Where nothing may be mounted: every call that needs room fails."""

    def __init__(self, folder: Path) -> None:
        self.data, self._faults = folder / "data", Faults(folder)
        self.environment = self._faults.environment

    def fill(self) -> None:
        files = [self.data / pattern for pattern in ("*", "*/*", "*/*/*")]
        self._faults.set(*((call, NO_ROOM, file) for call in ("write", "mkdir", "link") for file in files))

    def empty(self) -> None:
        self._faults.clear()


@contextmanager
def small_disk(folder: Path) -> Iterator[_Mounted | _Pretended]:
    """Of 12 MiB."""
    point = folder / "disk"
    point.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(point)]
    if subprocess.run(mount, capture_output=True).returncode:
        yield _Pretended(folder)
        return
    try:
        yield _Mounted(point)
    finally:
        subprocess.run(["umount", str(point)], check=True)


# (call, files, what is asked for): the server is killed in it.
DEATHS = [
    ("write", WAL, "store"),            # between the slot's sync and the commit of its row
    ("write", SLOTS, "store"),
    ("sync", WAL, "store"),             # before the rows are durable
    ("mkdir", "1.*", "store"),
    ("link", FILED, "store"),
    ("sync", "1.*/*", "store"),         # between the links and their sync
    ("unlink", SLOTS, "store"),         # between link and unlink
    ("write", "commitments/*", "commit"),
    ("rename", "commitments/*", "commit"),
    ("sync", "commitments", "commit"),
    ("sync", "tombstones", "delete"),
    ("unlink", FILED, "delete"),
    ("unlink", "tombstones/*.json", "delete"),
]
SOME_DEATHS = [DEATHS[0]]


@pytest.mark.parametrize("death", DEATHS if IS_LONG else SOME_DEATHS, ids=" ".join)
def test_death_at_a_call(scratch: Path, home: Home, tally: Tally, death: tuple[str, str, str]) -> None:
    data, faults = scratch / "data", Faults(scratch)
    call, pattern, deed = death
    with Running(data, environment=faults.environment | home.environment) as server:
        client = Client(server)
        assert [client.store(sample(number, 1)) for number in range(3)] == [0, 0, 0]
        wait_until(client.all_is_filed)
        faults.set((call, "die", data / pattern))
        if deed == "delete":
            client.delete(sample(1, 1))
        elif deed == "commit":
            client.commit(1, [sample(2, 1)])
        else:
            client.store(sample(10, 2))
        server.wait_until_dead()
    nothing_is_lost(client, data, home, tally, "deaths at a chosen system call")
