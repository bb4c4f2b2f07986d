"""Several servers on one data directory: each node has slots, a count of its starts and a lock of its own.

    <data>/nodes/<number>/lock           flock; held while the node runs, or while another one adopts its intake
    <data>/nodes/<number>/starts         how often it was started; a part of its slots' numbers
    <data>/nodes/<number>/intake/        its slots
    <data>/nodes/leader                  JSON, {"term": n, "node": number}: who led last

The place of a server that is alone is the data directory itself, under the number 0.
"""
from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dicomserver.archive.durable import (FILE_MODE, Folder, open_or_make, read_file, replace_file, status_of)
from dicomserver.archive.errors import ArchiveDamaged, ArchiveLocked

ALONE = 0
LARGEST_NODE = 127
PATIENCE_SECONDS = 10.0     # in which whoever adopts a node's intake gives its lock back
RETRY_SECONDS = 0.05
_COUNTER_BITS = 32
_NODE_BIT = 56
_START_MASK = (1 << _NODE_BIT - _COUNTER_BITS) - 1
_FOLDER = "nodes"
_LEADER = "leader"


def node_of(slot: int) -> int:
    """Whose slot it is."""
    return slot >> _NODE_BIT


def start_of(slot: int) -> int:
    """During which start of its node the slot was made."""
    return slot >> _COUNTER_BITS & _START_MASK


def home_path(node: int) -> str:
    """A node's folder, relative to the data directory."""
    return f"{_FOLDER}/{node}" if node else "."


def intake_path(node: int) -> str:
    """Where a node's slots are, relative to the data directory."""
    return f"{home_path(node)}/intake" if node else "intake"


class Home:
    """What a server has for itself in the folder `folder`: its count of starts, and so its slots' numbers."""

    def __init__(self, folder: Folder, node: int, path: str) -> None:
        """path: for errors."""
        self.folder = folder
        self._node = node
        self._path = path

    def read_starts(self) -> int:
        """Raises ArchiveDamaged: beginning again would give slots the numbers of earlier ones, and a row could point at
        another's bytes."""
        try:
            text = read_file(self.folder, "starts", 64)
        except FileNotFoundError:
            raise ArchiveDamaged(f"{self._path}/starts is missing") from None
        if not text.strip().isdigit():
            raise ArchiveDamaged(f"{self._path}/starts cannot be understood")
        return int(text)

    def write_starts(self, start: int) -> None:
        """Durable, and with it every earlier change of a name in the folder. Raises ArchiveDamaged, OSError."""
        if start > _START_MASK:
            raise ArchiveDamaged(f"{self._path}/starts is too large")
        replace_file(self.folder, "starts", b"%d\n" % start)

    def first_number(self, start: int) -> int:
        """The first slot number of a start."""
        return self._node << _NODE_BIT | start << _COUNTER_BITS | 1


class Intakes:
    """The intakes of all nodes, opened when they are asked for. Thread-safe. root, own: somebody else closes them."""

    def __init__(self, root: Folder, node: int, own: Folder) -> None:
        self._root = root
        self._node = node
        self._own = own
        self._others: dict[int, Folder] = {}
        self._lock = threading.Lock()
        # While a server is alone no node comes.
        self._numbers = numbers_in(root) if node == ALONE else None

    def of(self, slot: int) -> Folder:
        """The intake in which a slot of that number is, if it is still there."""
        node = node_of(slot)
        return self._own if node == self._node else self.of_node(node)

    def of_node(self, node: int) -> Folder:
        """Where there is no such node: our own intake, in which no slot of its is."""
        if node == self._node:
            return self._own
        with self._lock:
            folder = self._others.get(node)
            if folder is None:
                try:
                    folder = self._others[node] = Folder(intake_path(node), self._root)
                except FileNotFoundError:
                    return self._own
            return folder

    def numbers(self) -> list[int]:
        """Of all nodes that there are, our own first."""
        nodes = numbers_in(self._root) if self._numbers is None else self._numbers
        return [self._node, *(number for number in (ALONE, *nodes) if number != self._node)]

    def all(self) -> list[Folder]:
        """Of all of them."""
        return list(dict.fromkeys(map(self.of_node, self.numbers())))

    def close(self) -> None:
        """Closes those that were opened here."""
        with self._lock:
            for folder in self._others.values():
                folder.close()
            self._others.clear()


class Nodes:
    """The folder nodes/ as one of the nodes has it open."""

    def __init__(self, root: Folder, node: int, path: str) -> None:
        """Takes the node's lock. Raises ArchiveLocked, OSError."""
        self._root = root
        self._node = node
        self.path = f"{path}/{home_path(node)}"
        self._lock = -1
        self.folder, _ = open_or_make(_FOLDER, root)
        try:
            self.home, _ = open_or_make(str(node), self.folder)
        except BaseException:
            self.folder.close()
            raise
        try:
            self._lock = self._locked()
            self._settle()
        except BaseException:
            self.close()
            raise

    def _locked(self) -> int:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            fd = _try_lock(self.home)
            if fd is not None:
                return fd
            if time.monotonic() > deadline:
                raise ArchiveLocked(self.path, None)
            time.sleep(RETRY_SECONDS)

    def _settle(self) -> None:
        if status_of("starts", self.home) is None and status_of("intake", self.home) is None:
            replace_file(self.home, "starts", b"0\n")
        # Its name is durable when the start is counted.
        open_or_make("intake", self.home)[0].close()
        # An earlier start may have made them and ended before it synced; a slot must not go with its folder.
        self.folder.sync()
        self._root.sync()

    def others(self) -> list[int]:
        """The numbers of all places but ours, that of a server alone among them."""
        return [number for number in (ALONE, *numbers_in(self._root)) if number != self._node]

    @contextmanager
    def locking(self, number: int) -> Iterator[bool]:
        """Within, no server of that number starts; False: one runs, or somebody else keeps it from starting."""
        if number == ALONE:
            yield True      # we share the root's lock
            return
        with Folder(str(number), self.folder) as home:
            fd = _try_lock(home)
        try:
            yield fd is not None
        finally:
            if fd is not None:
                os.close(fd)

    def starts_of(self, number: int) -> bytes:
        """What its count of starts says; b"": nothing."""
        try:
            if number == ALONE:
                return read_file(self._root, "starts", 64)
            with Folder(str(number), self.folder) as home:
                return read_file(home, "starts", 64)
        except FileNotFoundError:
            return b""

    # -- who leads

    def begin_term(self, at_least: int) -> int:
        """Writes down, durably, that we lead; -> the number of the term, larger than any before. Raises OSError."""
        term = max(self._leader()[0], at_least) + 1
        replace_file(self.folder, _LEADER, json.dumps({"term": term, "node": self._node}).encode() + b"\n")
        return term

    def leader(self) -> int:
        """Who led last; 0: nobody has. Raises OSError."""
        return self._leader()[1]

    def _leader(self) -> tuple[int, int]:
        try:
            said = json.loads(read_file(self.folder, _LEADER, 4096))
            return int(said["term"]), int(said["node"])
        except FileNotFoundError:
            return 0, 0
        except (ValueError, TypeError, KeyError):
            raise ArchiveDamaged(f"{_FOLDER}/{_LEADER} in the data directory cannot be understood") from None

    def close(self) -> None:
        """Gives the lock back. Safe to call twice."""
        self.home.close()
        self.folder.close()
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def numbers_in(root: Folder) -> list[int]:
    """Of all nodes that have used a data directory; none where it is a single server's."""
    try:
        with Folder(_FOLDER, root) as folder:
            names = os.listdir(folder.fd)
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal() and 0 < int(name) <= LARGEST_NODE)


# -- the lock of the data directory

def lock_alone(root: Folder, path: str) -> int:
    """For one server alone; -> what holds it. Raises ArchiveLocked, OSError."""
    fd = _opened_lock(root)
    try:
        if not _take(fd, fcntl.LOCK_EX):
            raise ArchiveLocked(path, _owner(fd))
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def lock_shared(root: Folder, path: str, prepare: Callable[[], None]) -> int:
    """For one of several nodes; -> what holds it. prepare: called while nobody else has the directory; whoever is not
    the first finds it done. Raises ArchiveLocked, OSError, and what `prepare` raises."""
    fd = _opened_lock(root)
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while True:
            if _take(fd, fcntl.LOCK_EX):
                os.ftruncate(fd, 0)
                prepare()
            # Others may come in between: what was prepared is there all the same.
            if _take(fd, fcntl.LOCK_SH):
                return fd
            if time.monotonic() > deadline:
                raise ArchiveLocked(path, _owner(fd))
            time.sleep(RETRY_SECONDS)
    except BaseException:
        os.close(fd)
        raise


def _owner(fd: int) -> int | None:
    """The number of the process that has it for itself, if it says so."""
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _opened_lock(folder: Folder) -> int:
    return os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=folder.fd)


def _take(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_lock(home: Folder) -> int | None:
    fd = _opened_lock(home)
    try:
        if _take(fd, fcntl.LOCK_EX):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None
