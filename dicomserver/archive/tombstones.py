"""Durable records of deletions that have begun: what must not come back, whatever a power cut leaves behind.

A tombstone names files, not instances: slot numbers never come twice, so the same instance stored again
is not affected. One JSON file per deletion: the list of files, or an object with a label, if they go to the trash.
Of several nodes the one that leads writes them, and the others look for them whenever they want to know.
"""
from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from dicomserver.archive.durable import Folder, read_file, replace_file, status_of, unlink_if_there
from dicomserver.archive.errors import ArchiveDamaged

_SUFFIX = ".json"
_NO_LIMIT = 1 << 62
_TERM_BIT = 32


@dataclass(slots=True, frozen=True)
class Tombstone:
    """The identity of one stored file."""

    slot: int
    checksum: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(slots=True, frozen=True)
class Label:
    """Of files that go to the trash. record: its name there; deleted_at: seconds since the epoch; asked: for what."""

    record: str
    deleted_at: int
    asked: str

    @property
    def deletion(self) -> str:
        """All records of one deletion have it."""
        return self.record.partition(".")[0]


class Tombstones:
    """The folder tombstones/, and what lies in it by slot number. Thread-safe.

    is_shared: other processes may write and drop them, too. left_behind: what others wrote, by its name.
    """

    def __init__(self, folder: Folder, *, is_shared: bool = False) -> None:
        """Reads what an earlier process left. Raises ArchiveDamaged."""
        self._folder = folder
        self._is_shared = is_shared
        self._lock = threading.Lock()
        self._slots: dict[int, int] = {}        # slot -> dataset checksum
        self._own: dict[str, tuple[list[Tombstone], Label | None]] = {}
        self.left_behind: dict[str, tuple[list[Tombstone], Label | None]] = {}
        self._next = 1
        if not is_shared:
            self._remove_unfinished()
        self._look()
        for name in self.left_behind:
            self._next = int(name[: -len(_SUFFIX)]) + 1

    def take_over(self, term: int) -> None:
        """From now on nobody but us writes them; what we wrote in an earlier term is left behind, too. term: never the
        same again. Raises ArchiveDamaged, OSError."""
        with self._lock:
            self._remove_unfinished()
            self._own.clear()
            self._slots.clear()
            self.left_behind.clear()
            self._look()
            self._next = max(self._next, term << _TERM_BIT | 1)

    def _remove_unfinished(self) -> None:
        for name in os.listdir(self._folder.fd):
            if name.endswith(".new"):
                unlink_if_there(name, self._folder)

    def _look(self) -> None:
        there = {name for name in os.listdir(self._folder.fd)
                 if name.endswith(_SUFFIX) and name[: -len(_SUFFIX)].isdigit()}
        for name in self.left_behind.keys() - there:
            self._forget(name, self.left_behind[name][0])
        for name in self._own.keys() - there:
            self._forget(name, self._own[name][0])
        for name in sorted(there - self.left_behind.keys() - self._own.keys()):
            try:
                self.left_behind[name] = self._read(name)
            except FileNotFoundError:
                continue    # dropped in this moment

    def of_others(self) -> dict[str, tuple[list[Tombstone], Label | None]]:
        """`left_behind`, as it is now."""
        self._current()
        with self._lock:
            return dict(self.left_behind)

    def lies_there(self, name: str) -> bool:
        """Whether a record is still there: else whoever took over has finished it. Raises OSError."""
        return status_of(name, self._folder) is not None

    def _read(self, name: str) -> tuple[list[Tombstone], Label | None]:
        try:
            content = json.loads(read_file(self._folder, name, _NO_LIMIT))
            label = Label(**content["label"]) if isinstance(content, dict) else None
            stones = [Tombstone(**entry) for entry in (content if label is None else content["files"])]
        except (ValueError, TypeError, KeyError):
            raise ArchiveDamaged(f"the tombstone {name} cannot be understood") from None
        self._slots.update((stone.slot, stone.checksum) for stone in stones)
        return stones, label

    def write(self, stones: Iterable[Tombstone], label: Label | None = None,
              prepare: Callable[[], None] = lambda: None) -> str:
        """Makes the record durable and returns its name. Raises OSError; then nothing was recorded, unless `cover` says
        so: a record that may be durable stays, nothing is promised on account of its files, and the next start ends it.

        prepare: called when whoever asks `cover` is told of these files already, and before they can go; where there
        are other processes, which see only what is written, once more.
        """
        stones = list(stones)
        with self._lock:
            name = f"{self._next:016d}{_SUFFIX}"
            self._next += 1
            entries = [{field: getattr(stone, field) for field in Tombstone.__slots__} for stone in stones]
            content = entries if label is None else {"label": asdict(label), "files": entries}
            new = {stone.slot: stone.checksum for stone in stones if stone.slot not in self._slots}
            self._slots.update(new)
            try:
                prepare()
                replace_file(self._folder, name, json.dumps(content).encode())
                if self._is_shared:
                    prepare()
            except OSError:
                if self.lies_there(name):
                    self._own[name] = stones, label
                    raise
                for slot in new:
                    del self._slots[slot]
                unlink_if_there(name + ".new", self._folder)
                raise
            self._own[name] = stones, label
        return name

    def drop(self, name: str, stones: Iterable[Tombstone]) -> None:
        """The deletion is durable, and so is this: a record that returned would delete what came out of the trash."""
        with self._lock:
            unlink_if_there(name, self._folder)
            self._folder.sync()
        self.forget(name, stones)

    def forget(self, name: str, stones: Iterable[Tombstone]) -> None:
        """The record has gone already."""
        with self._lock:
            self._forget(name, stones)

    def _forget(self, name: str, stones: Iterable[Tombstone]) -> None:
        self.left_behind.pop(name, None)
        self._own.pop(name, None)
        for stone in stones:
            self._slots.pop(stone.slot, None)

    def cover(self, slot: int, checksum: int) -> bool:
        """True when this file's deletion has begun and is not finished."""
        return self._current().get(slot) == checksum

    def labelled(self, slot: int, checksum: int) -> list[tuple[Label, Tombstone]]:
        """Under which labels a file that is being deleted is to go to the trash; none: it goes for good."""
        with self._lock:
            records = [*self.left_behind.values(), *self._own.values()]
        return [(label, stone) for stones, label in records if label is not None
                for stone in stones if (stone.slot, stone.checksum) == (slot, checksum)]

    def cover_slot(self, slot: int) -> bool:
        """The same for a slot whose content is not known."""
        return slot in self._current()

    def _current(self) -> dict[int, int]:
        if self._is_shared:
            with self._lock:
                self._look()
        return self._slots
