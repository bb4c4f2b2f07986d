"""Deleted instances that can still be brought back: files in trash/, and records of which deletion put them there.

    trash/<term>-<number>.<part>.json                    a record: when, what was asked for, and its files
    trash/<term>-<number>.<part>-<slot>-<checksum>.dcm   a file of it: a second name that outlives the first

The slot's number alone does not tell files apart: what somebody has copied in from another archive has the same ones.
And what he has copied in from here may be deleted again: each deletion has a file of its own.
A record is durable before a file loses the name that it had, and is the intention, too: what is to come back or to go
for good is marked in it first, so that the next start ends what was interrupted. Files go before their entries.
"""
from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from dicomserver.archive.durable import OPEN_FILE, Folder, read_file, replace_file, status_of, unlink_if_there
from dicomserver.archive.errors import (ArchiveDamaged, InstanceDamaged, InstanceMissing, TrashFailed, translated,
                                        unreadable_is_damaged)
from dicomserver.archive.layout import SUFFIX, DataDirectory, slot_name
from dicomserver.archive.preamble import check_whole, read_header
from dicomserver.archive.recovery import Found, Verdict
from dicomserver.archive.tombstones import Label, Tombstone

_RECORD = re.compile(r"(\d+)-(\d+)\.(\d+)\.json\Z", re.ASCII)
_NO_LIMIT = 1 << 62


class State(StrEnum):
    """What becomes of a file in the trash."""

    STAYS = "stays"
    RETURNS = "returns"     # is being brought back
    GOES = "goes"           # is being removed for good


@dataclass(slots=True, frozen=True)
class Trashed:
    """One file in the trash."""

    slot: int
    checksum: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    file_length: int
    name: str       # in trash/
    state: State = State.STAYS


@dataclass(slots=True, frozen=True)
class Record:
    """A deletion, or a part of a large one."""

    label: Label
    files: tuple[Trashed, ...]


class Trash:
    """The folder trash/. Thread-safe; where the disk fails, a method raises TrashFailed and may be called again."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self._folder = directory.trash
        self._lock = threading.Lock()
        self._term = 0
        self._deletions = 0
        if not directory.is_shared:
            self.take_over(directory.opened_start)

    @property
    def last_term(self) -> int:
        """The largest in a name of a record; 0: there are none."""
        return max((int(_RECORD.match(name)[1]) for name in self._names()), default=0)

    def take_over(self, term: int) -> None:
        """From now on nobody but us changes it. term: larger than that of whoever had it before."""
        with self._lock, translated(TrashFailed, "reading the trash"):
            self._term = max(term, self.last_term + 1)
            self._deletions = 0
            for name in os.listdir(self._folder.fd):
                if name.endswith(".new"):
                    unlink_if_there(name, self._folder)     # a record that a power cut left half written

    # -- filling it; what dicomserver.archive.deletion does

    def labels(self, asked: str) -> Callable[[], Label]:
        """Gives the labels of a new deletion, one for each of its parts. asked: for what, in words without names."""
        with self._lock:
            self._deletions += 1
            deletion = f"{self._term}-{self._deletions}"
        now, parts = int(time.time()), iter(range(1, 1 << 62))
        return lambda: Label(f"{deletion}.{next(parts)}", now, asked)

    def link(self, folder: Folder, name: str, label: Label, file: Tombstone) -> None:
        """Gives a file its name in here, if it has none yet; durable only after `close_record`."""
        try:
            os.link(name, _file_name(label, file), src_dir_fd=folder.fd, dst_dir_fd=self._folder.fd,
                    follow_symlinks=False)
        except (FileExistsError, FileNotFoundError):
            return      # done before a crash, or it has another name

    def keep(self, folder: Folder, name: str, label: Label, file: Tombstone) -> None:
        """The same, durably, for a file that loses the name that it had before its deletion comes to `close_record`."""
        self.link(folder, name, label, file)
        self._folder.sync()

    def close_record(self, label: Label, files: Sequence[Tombstone]) -> None:
        """Makes the record durable, of those files that are here, and their names with it."""
        there: list[Trashed] = []
        for file in files:
            name = _file_name(label, file)
            status = status_of(name, self._folder)
            if status is not None:
                there.append(Trashed(file.slot, file.checksum, file.study_instance_uid, file.series_instance_uid,
                                     file.sop_instance_uid, status.st_size, name))
        if there:
            self._write(Record(label, tuple(there)))

    # -- looking into it

    def records(self) -> Iterator[Record]:
        """All of them, the newest first, read one by one; what cannot be understood is left out, see `unreadable`."""
        for name in self._names():
            try:
                record = self._read(name)
            except ArchiveDamaged:
                continue
            if record is not None:
                yield record

    def unreadable(self) -> int:
        """How many records cannot be understood. Their files stay as they are."""
        found = 0
        for name in self._names():
            try:
                self._read(name)
            except ArchiveDamaged:
                found += 1
        return found

    def examine(self, file: Trashed) -> Found:
        """The file, read to its end and whole. Raises InstanceMissing, InstanceDamaged, TrashFailed."""
        with translated(TrashFailed, "reading a file in the trash"), unreadable_is_damaged():
            try:
                fd = os.open(file.name, OPEN_FILE, dir_fd=self._folder.fd)
            except FileNotFoundError:
                raise InstanceMissing("it is not in the trash") from None
            try:
                header = read_header(fd)
                if (header.preamble.slot, header.preamble.checksum) != (file.slot, file.checksum):
                    raise InstanceDamaged("it is not the file that was deleted")
                check_whole(fd, header.preamble)
            finally:
                os.close(fd)
        return Found(f"trash/{file.name}", Verdict.WHOLE, file.slot, header, file_length=header.preamble.file_length)

    # -- emptying it

    def mark(self, record: Record, files: Iterable[Trashed], state: State) -> Record:
        """Makes an intention durable; -> the record as it is now."""
        names = {file.name for file in files}
        marked = replace(record, files=tuple(replace(file, state=state) if file.name in names else file
                                             for file in record.files))
        self._write(marked)
        return marked

    def link_back(self, file: Trashed) -> None:
        """Puts a file into the intake as if it had just been received, durably after `sync_back`; here it stays.

        Raises InstanceDamaged where its slot's number is, or will be, another file's; TrashFailed.
        """
        if not self._directory.has_had(file.slot):
            raise InstanceDamaged("another server has received it")
        intake = self._directory.intakes.of(file.slot)
        with translated(TrashFailed, "bringing a file back"):
            try:
                os.link(file.name, slot_name(file.slot), src_dir_fd=self._folder.fd, dst_dir_fd=intake.fd,
                        follow_symlinks=False)
            except FileExistsError:
                if not self._is_back(file):     # else done before a crash
                    raise InstanceDamaged("another file is in the slot that it was received in") from None

    def unlink_back(self, file: Trashed) -> None:
        """Undoes `link_back`, where that was done, durably; here the file stays."""
        intake = self._directory.intakes.of(file.slot)
        with translated(TrashFailed, "leaving a file in the trash"):
            if self._is_back(file):
                unlink_if_there(slot_name(file.slot), intake)
                # Else it would come back before what is stored under its UID: its slot is the older one.
                intake.sync()

    def _is_back(self, file: Trashed) -> bool:
        here = status_of(file.name, self._folder)
        there = status_of(slot_name(file.slot), self._directory.intakes.of(file.slot))
        return here is not None and there is not None and os.path.samestat(here, there)

    def sync_back(self) -> None:
        """Makes durable what `link_back` did."""
        with translated(TrashFailed, "bringing files back"):
            for intake in self._directory.intakes.all():
                intake.sync()

    def remove(self, record: Record, files: Iterable[Trashed]) -> Record:
        """Removes files, then their entries, durably; -> what is left of the record, which goes with its last one."""
        names = {file.name for file in files}
        with translated(TrashFailed, "removing files from the trash"):
            for name in names:
                unlink_if_there(name, self._folder)
            self._folder.sync()
        left = replace(record, files=tuple(file for file in record.files if file.name not in names))
        if left.files:
            self._write(left)
        else:
            with translated(TrashFailed, "removing a record of the trash"):
                unlink_if_there(_record_name(record.label), self._folder)
                self._folder.sync()
        return left

    # -- records

    def _write(self, record: Record) -> None:
        content = asdict(record.label) | {"files": [asdict(file) for file in record.files]}
        with translated(TrashFailed, "writing a record of the trash"):
            replace_file(self._folder, _record_name(record.label), json.dumps(content).encode() + b"\n")

    def _read(self, name: str) -> Record | None:
        """None: it has gone since. Raises ArchiveDamaged."""
        with translated(TrashFailed, "reading a record of the trash"):
            try:
                text = read_file(self._folder, name, _NO_LIMIT)
            except FileNotFoundError:
                return None
        try:
            content = json.loads(text)
            files = tuple(Trashed(**{**entry, "state": State(entry["state"])}) for entry in content.pop("files"))
            if any("/" in file.name for file in files):
                raise ValueError("not the name of a file in here")
            return Record(Label(**content), files)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ArchiveDamaged(f"the record {name} of the trash cannot be understood") from None

    def _names(self) -> list[str]:
        """Of the records, the newest first."""
        with translated(TrashFailed, "reading the trash"):
            found = [match for name in os.listdir(self._folder.fd) if (match := _RECORD.match(name))]
        return [match[0] for match in sorted(found, key=lambda match: tuple(map(int, match.groups())), reverse=True)]


def _file_name(label: Label, file: Tombstone) -> str:
    return f"{label.record}-{slot_name(file.slot)}-{file.checksum:016x}{SUFFIX}"


def _record_name(label: Label) -> str:
    return label.record + ".json"
