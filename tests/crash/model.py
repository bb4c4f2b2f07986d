"""A disk between two syncs: what is certainly on it, and what may be.

POSIX: of what was not synced any part may be there after a power cut, in any combination: each name that came or went,
each block that was written. ext4 as it is mounted by default (data=ordered): names and the like reach the disk in the
order in which they changed, through a journal; appended data in the order of the file; other blocks in any order.
"""
from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tests.crash.steps import Step, parent

BLOCK = 4096


class Rules(Enum):
    POSIX = "posix"
    EXT4 = "ext4"


class Fate(Enum):
    """How likely it is that unsynced data, new names and removals are on the disk; and that data is torn."""

    ALL_KEPT = (1.0, 1.0, 1.0, 0.0)
    ALL_LOST = (0.0, 0.0, 0.0, 0.0)
    ONLY_DATA = (1.0, 0.0, 0.0, 0.0)
    ONLY_NAMES = (0.0, 1.0, 1.0, 0.0)
    ONLY_REMOVALS = (0.0, 0.0, 1.0, 0.0)
    ONLY_NEW_NAMES = (0.0, 1.0, 0.0, 0.0)
    DATA_AND_REMOVALS = (1.0, 0.0, 1.0, 0.0)
    TORN = (1.0, 1.0, 1.0, 1.0)
    TORN_WITHOUT_NAMES = (1.0, 0.0, 0.0, 1.0)
    ANY = (0.5, 0.5, 0.5, 0.3)
    MOST = (0.9, 0.9, 0.9, 0.1)
    FEW = (0.1, 0.1, 0.1, 0.1)


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    # when, offset, data or None: truncated
    pending: list[tuple[int, int, bytes | None]] = field(default_factory=list)


@dataclass(slots=True)
class _Folder:
    durable: dict[str, int] = field(default_factory=dict)
    # when, name, inode or None: removed
    pending: list[tuple[int, str, int | None]] = field(default_factory=list)


@dataclass(slots=True)
class State:
    """One disk after one power cut. files: path -> inode; contents by inode."""

    folders: list[str]
    files: dict[str, int]
    contents: dict[int, bytes]

    def digest(self) -> bytes:
        """Equal for equal disks."""
        found = hashlib.sha256()
        for path in sorted(self.folders):
            found.update(b"/" + path.encode() + b"\0")
        for path, inode in sorted(self.files.items()):
            found.update(path.encode() + b"\0" + hashlib.sha256(self.contents[inode]).digest())
        return found.digest()

    def tree(self) -> dict[str, bytes]:
        """Path -> content, for those who need no disk."""
        return {path: self.contents[inode] for path, inode in self.files.items()}

    def write(self, target: Path) -> None:
        """Makes it a directory, with links where a file has two names."""
        for folder in ["", *sorted(self.folders)]:
            (target / folder).mkdir(0o700)
        first: dict[int, Path] = {}
        for path, inode in self.files.items():
            if inode in first:
                os.link(first[inode], target / path)
            else:
                first[inode] = target / path
                first[inode].write_bytes(self.contents[inode])
                first[inode].chmod(0o600)


class Disk:
    """Steps go in in the order of `moments`; states come out."""

    def __init__(self) -> None:
        self._nodes: dict[int, _File | _Folder] = {0: _Folder()}
        self._committed = -1        # ext4: all names that changed until then are on the disk
        self._inodes = {"": 0}      # path -> inode, as the running system sees it

    def apply(self, step: Step) -> None:
        """It is over."""
        match step.kind:
            case "create":
                self._nodes[step.inode] = _File()
                self._name(step.over, step.path, step.inode)
            case "mkdir":
                self._nodes[step.inode] = _Folder()
                self._name(step.over, step.path, step.inode)
            case "write":
                self._nodes[step.inode].pending.append((step.over, step.offset, step.data))
            case "truncate":
                self._nodes[step.inode].pending.append((step.over, step.offset, None))
            case "link":
                self._name(step.over, step.target, step.inode)
            case "rename":
                self._name(step.over, step.path, None)
                self._name(step.over, step.target, step.inode)
            case "unlink" | "rmdir":
                self._name(step.over, step.path, None)
            case "sync":
                self._sync(self._nodes[step.inode], step.begin)

    def _name(self, when: int, path: str, inode: int | None) -> None:
        folder = self._nodes[self._inodes[parent(path)]]
        folder.pending.append((when, path.rpartition("/")[2], inode))
        if inode is None:
            self._inodes.pop(path)
        else:
            self._inodes[path] = inode

    def _sync(self, node: _File | _Folder, begin: int) -> None:
        """Only what was over when it began is certain."""
        done = [change for change in node.pending if change[0] < begin]
        node.pending = [change for change in node.pending if change[0] >= begin]
        if isinstance(node, _Folder):
            _rename(node.durable, done)
            self._committed = max(self._committed, begin)
        else:
            length = len(node.durable)
            for _, offset, data in done:
                _write(node.durable, offset, data)
            if len(node.durable) != length:
                self._committed = max(self._committed, begin)   # the new length is in the journal

    def state(self, rules: Rules, fate: Fate, chance: random.Random) -> State:
        """One of the disks that a power cut may leave now."""
        return _Cut(self._nodes, self._committed, rules, fate, chance).state()


class _Cut:
    def __init__(self, nodes: dict[int, _File | _Folder], committed: int, rules: Rules, fate: Fate,
                 chance: random.Random) -> None:
        self._nodes, self._rules, self._chance = nodes, rules, chance
        self._data, self._additions, self._removals, self._torn = fate.value
        self._last_name = 1 << 62
        if rules is Rules.EXT4:
            later = sorted({when for node in nodes.values() if isinstance(node, _Folder) for when, _, _ in node.pending
                            if when >= committed})
            names = (self._additions + self._removals) / 2
            kept = len(later) if names == 1 else 0 if names == 0 else chance.randint(0, len(later))
            self._last_name = later[kept - 1] if kept else committed - 1
        self._state = State([], {}, {})

    def state(self) -> State:
        self._walk("", 0)
        return self._state

    def _walk(self, path: str, inode: int) -> None:
        folder = self._nodes[inode]
        entries = dict(folder.durable)
        _rename(entries, [change for change in folder.pending if self._keeps(change)])
        for name, inode in entries.items():
            below = f"{path}/{name}".lstrip("/")
            if isinstance(self._nodes[inode], _Folder):
                self._state.folders.append(below)
                self._walk(below, inode)
            else:
                self._state.files[below] = inode
                if inode not in self._state.contents:
                    self._state.contents[inode] = self._content(self._nodes[inode])

    def _keeps(self, change: tuple[int, str, int | None]) -> bool:
        when, _, inode = change
        if self._rules is Rules.EXT4:
            return when <= self._last_name
        return self._chance.random() < (self._removals if inode is None else self._additions)

    def _content(self, file: _File) -> bytes:
        content = bytearray(file.durable)
        tears = self._chance.random() < self._torn
        ended = False
        for _, offset, data in file.pending:
            appends = data is not None and offset + len(data) > len(content)
            if ended and appends or self._chance.random() >= self._data:
                # Under ext4 what is behind it is not there either.
                ended = ended or appends and self._rules is Rules.EXT4
            elif tears and data is not None and self._chance.random() < 0.5:
                self._tear(content, offset, data)
            else:
                _write(content, offset, data)
        return bytes(content)

    def _tear(self, content: bytearray, offset: int, data: bytes) -> None:
        in_order = self._rules is Rules.EXT4 and offset + len(data) > len(content)
        for begin, block in _blocks(offset, data):
            if self._chance.random() < 0.5:
                _write(content, begin, block)
            elif in_order:
                return


def _blocks(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    end = offset + len(data)
    begin = offset
    while begin < end:
        until = min(end, (begin // BLOCK + 1) * BLOCK)
        yield begin, data[begin - offset:until - offset]
        begin = until


def _write(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(max(0, offset - len(content))))
    else:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset:offset + len(data)] = data


def _rename(entries: dict[str, int], changes: Iterable[tuple[int, str, int | None]]) -> None:
    for _, name, inode in changes:
        if inode is None:
            entries.pop(name, None)
        else:
            entries[name] = inode


def moments(steps: Iterable[Step]) -> list[tuple[int, bool, Step]]:
    """Begins (False) and ends (True) of steps in the order of time; steps that never ended have no end."""
    found = [(step.begin, False, step) for step in steps]
    found += [(step.end, True, step) for step in steps if step.end is not None]
    return sorted(found, key=lambda moment: moment[:2])
