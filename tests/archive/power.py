"""A power cut at any system call: the disk states that it can leave, each as a directory that can be opened again.

`Disk` stands between the archive and `os`. It notes what was synced, and raises PowerCut instead of the n-th call that
the test's own thread makes. The intake's thread is watched too, but never cut.
"""
from __future__ import annotations

import os
import stat
import threading
import weakref
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import pytest

_WATCHED = ("open", "link", "unlink", "mkdir", "rmdir", "rename", "fsync", "fdatasync", "write", "pwrite", "ftruncate")
_REAL = {name: getattr(os, name) for name in _WATCHED}


class PowerCut(BaseException):
    """Nothing after this call happened."""


class Survives(Enum):
    """Which changes of names that nobody synced reach the disk; unsynced bytes do so with KEPT only."""

    KEPT = "all (a SIGKILL, rather)"
    SYNCED = "none"
    REMOVALS = "removals, but no new name"
    ADDITIONS = "new names, but no removal"
    UNEVEN = "all in tombstones/, none elsewhere"


class Disk:
    """Watches everything below `root`. Use `watched` as the only way to get one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[tuple[str, str]] = []      # (call, path relative to root) of the test's thread
        self._cut_at: int | None = None
        self._thread = threading.get_ident()
        self._lock = threading.RLock()
        self._names: dict[int, dict[str, int]] = {}     # synced folders: inode -> name -> inode
        self._bytes: dict[int, bytes] = {}              # synced files
        self._held: list[int] = []                      # keeps inodes from being used again
        self.close = weakref.finalize(self, _close_all, self._held)
        self._replaced: set[str] = set()                # names that a rename put over others
        self._off = False

    def cut_at(self, call: int) -> None:
        """The call with this number from now on, 0 for the next, does not happen, nor does any after it."""
        self.calls.clear()
        self._cut_at = call

    def off(self) -> None:
        """Stops watching: what is called from now on happens, and counts as never synced."""
        with self._lock:
            self._off = True

    def state(self, survives: Survives, target: Path) -> Path:
        """A copy of the disk as a cut at this moment leaves it; only after `off`."""
        self._build(os.stat(self.root).st_ino, self.root, target, survives, {})
        return target

    def _build(self, inode: int, source: Path | None, target: Path, survives: Survives, done: dict[int, Path]) -> None:
        target.mkdir(0o700)
        rule = survives
        if survives is Survives.UNEVEN:
            rule = Survives.KEPT if target.name == "tombstones" else Survives.SYNCED
        now = _entries(source) if source else {}
        for name, inode in _surviving(now, self._names.get(inode, {}), rule, self._replaced).items():
            live = source / name if source and now.get(name) == inode else None
            path = target / name
            if inode in done:
                os.link(done[inode], path)
            elif inode in self._names or (live and stat.S_ISDIR(live.lstat().st_mode)):
                self._build(inode, live, path, survives, done)
            else:
                kept = live is not None and survives is Survives.KEPT
                path.write_bytes(live.read_bytes() if kept else self._bytes.get(inode, b""))
                done[inode] = path

    def seed(self) -> None:
        """All that is there already is durable."""
        for folder, _, files in os.walk(self.root):
            self._names[self._hold(folder)] = _entries(Path(folder))
            for name in files:
                path = Path(folder, name)
                self._bytes[self._hold(path)] = path.read_bytes()

    def _hold(self, path: str | Path, folder: int | None = None) -> int:
        """Keeps the inode from being used again; returns its number."""
        self._held.append(_REAL["open"](path, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder))
        return os.fstat(self._held[-1]).st_ino

    # -- between

    # what os.<name> does while watched
    def call(self, name: str, *arguments: object, **keywords: object) -> object:
        with self._lock:
            if self._off:
                return _REAL[name](*arguments, **keywords)
            if threading.get_ident() == self._thread:
                if self._cut_at is not None and len(self.calls) >= self._cut_at:
                    raise PowerCut(self.calls[-3:])
                self.calls.append((name, self._place(name, arguments, keywords)))
            result = _REAL[name](*arguments, **keywords)
            self._note(name, arguments, keywords, result)
            return result

    def _place(self, name: str, arguments: tuple, keywords: dict) -> str:
        if isinstance(arguments[0], int):
            path = Path(os.readlink(f"/proc/self/fd/{arguments[0]}"))
        else:
            folder = keywords.get("dst_dir_fd", keywords.get("dir_fd"))
            last = arguments[1] if name in ("link", "rename") else arguments[0]
            path = Path(os.readlink(f"/proc/self/fd/{folder}"), last) if folder is not None else Path(last)
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def _note(self, name: str, arguments: tuple, keywords: dict, result: object) -> None:
        if name in ("fsync", "fdatasync"):
            status = os.fstat(arguments[0])
            place = Path(f"/proc/self/fd/{arguments[0]}")
            if stat.S_ISDIR(status.st_mode):
                self._names[status.st_ino] = _entries(place)
            else:
                self._bytes[status.st_ino] = place.read_bytes()
        elif name == "rename":
            self._replaced.add(arguments[1])
        elif name == "mkdir" or (name == "open" and arguments[1] & os.O_CREAT):
            inode = self._hold(arguments[0], keywords.get("dir_fd"))
            if name == "mkdir":
                self._names.setdefault(inode, {})


def _close_all(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)


def _entries(folder: Path) -> dict[str, int]:
    with os.scandir(folder) as entries:
        return {entry.name: entry.inode() for entry in entries}


def _surviving(now: dict[str, int], synced: dict[str, int], survives: Survives,
               replaced: set[str]) -> dict[str, int]:
    if survives is Survives.KEPT:
        return now
    if survives is Survives.SYNCED:
        return synced
    if survives is Survives.ADDITIONS:
        return {**synced, **now}
    # A name that a rename gave to another file never was away.
    return {name: inode for name, inode in synced.items() if now.get(name) == inode or name in replaced}


def watch(monkeypatch: pytest.MonkeyPatch, root: Path) -> Disk:
    """Puts a Disk between `os` and everybody, until the test (or the patch's context) ends."""
    disk = Disk(root)
    if root.exists():
        disk.seed()

    def wrapper(name: str) -> Callable[..., object]:
        def watched(*arguments: object, **keywords: object) -> object:
            return disk.call(name, *arguments, **keywords)
        return watched

    for name in _WATCHED:
        monkeypatch.setattr(os, name, wrapper(name))
    return disk
