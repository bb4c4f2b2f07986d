"""Deleting: a durable tombstone first, then the index's rows (the caller's), then the files; with a label they are in
the trash before they lose their names, without one they go for good.

    deletion = archive.begin_delete(rows, label)
    index.remove(...)               # durable when it returns
    deletion.finish()

A crash anywhere between leaves a tombstone, and the next start finishes: `interrupted_deletions`.
"""
from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Protocol

from dicomserver.archive.durable import OPEN_FILE, Folder, is_folder, status_of, unlink_if_there
from dicomserver.archive.errors import DeletionFailed, InstanceDamaged, translated
from dicomserver.archive.folders import Folders, Series
from dicomserver.archive.layout import DataDirectory, checked_uid, instance_name, slot_name
from dicomserver.archive.preamble import read_header
from dicomserver.archive.quarantine import Quarantine
from dicomserver.archive.tombstones import Label, Tombstone, Tombstones
from dicomserver.archive.trash import Trash


class StoredFile(Protocol):
    """What identifies a stored file; the index's rows do."""

    slot: int
    checksum: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


class Deletion:
    """A deletion that has begun: its tombstone is durable, its files are still there."""

    def __init__(self, deletions: Deletions, record: str, files: Sequence[Tombstone], label: Label | None) -> None:
        self._deletions = deletions
        self._record = record
        self._label = label
        self.files = files

    def finish(self) -> list[Tombstone]:
        """Removes the files and empty folders, durably, then the tombstone; -> those in whose place a folder lies,
        which is left there. Raises DeletionFailed, TrashFailed and QuarantineFailed; calling it again is safe."""
        return self._deletions.finish(self._record, self.files, self._label)


class Deletions:
    """Begins and finishes deletions; `lock` keeps the mover out of folders that go away."""

    def __init__(self, directory: DataDirectory, folders: Folders, quarantine: Quarantine,
                 tombstones: Tombstones, trash: Trash, lock: threading.Lock,
                 slots_gone: Callable[[Iterable[int]], None]) -> None:
        self._root = directory.root
        self._intakes = directory.intakes
        self._folders = folders
        self._quarantine = quarantine
        self._tombstones = tombstones
        self._trash = trash
        self._lock = lock
        self._slots_gone = slots_gone

    def begin(self, files: Iterable[StoredFile], label: Label | None) -> Deletion:
        """Makes the tombstone durable. Raises DeletionFailed, InvalidUid; then nothing has begun, unless
        `Tombstones.cover` says so."""
        stones = [Tombstone(file.slot, file.checksum, checked_uid(file.study_instance_uid),
                            checked_uid(file.series_instance_uid), checked_uid(file.sop_instance_uid))
                  for file in files]
        with translated(DeletionFailed, "beginning a deletion"):
            return Deletion(self, self._tombstones.write(stones, label, self._sync_intakes), stones, label)

    def _sync_intakes(self) -> None:
        """A slot that left the intake because it lost against one of these must not return, neither in its place nor
        before what is stored next. Who removes one afterwards is told of the deletion (services/store.py)."""
        for intake in self._intakes.all():
            intake.sync()

    def interrupted(self) -> list[Deletion]:
        """Deletions that an earlier process began and did not finish."""
        return [Deletion(self, record, *left) for record, left in self._tombstones.of_others().items()]

    def finish(self, record: str, files: Sequence[Tombstone], label: Label | None) -> list[Tombstone]:
        """What Deletion.finish does."""
        blocked: list[Tombstone] = []
        by_series: dict[Series, list[Tombstone]] = {}
        for file in files:
            by_series.setdefault((file.study_instance_uid, file.series_instance_uid), []).append(file)
        with self._lock, translated(DeletionFailed, "deleting instances"):
            if not self._tombstones.lies_there(record):
                # Done, and by another node maybe: since then they may have been brought back.
                self._tombstones.forget(record, files)
                return blocked
            if label is not None:
                for series, several in by_series.items():
                    self._link_to_trash(series, several, label)
                self._trash.close_record(label, files)
            for series, several in by_series.items():
                blocked += self._remove_from(series, several)
            for file in files:
                if self._waits(file):
                    unlink_if_there(slot_name(file.slot), self._intakes.of(file.slot))
            for intake in {self._intakes.of(file.slot) for file in files}:
                intake.sync()
            self._tombstones.drop(record, files)
        self._slots_gone(file.slot for file in files)
        return blocked

    def _link_to_trash(self, series: Series, files: list[Tombstone], label: Label) -> None:
        for file in files:
            if self._waits(file):
                self._trash.link(self._intakes.of(file.slot), slot_name(file.slot), label, file)
        with ExitStack() as opened:
            _, folder = self._open(series, opened)
            for file in files if folder is not None else ():
                name = instance_name(file.sop_instance_uid)
                try:
                    if self._is(file, folder, name):
                        self._trash.link(folder, name, label, file)
                except InstanceDamaged:
                    continue    # it will be set aside, or left where it is a folder

    def _remove_from(self, series: Series, files: list[Tombstone]) -> list[Tombstone]:
        """-> those in whose place a folder lies."""
        with ExitStack() as opened:
            study, folder = self._open(series, opened)
            if folder is None:
                return []
            blocked = [file for file in files if not self._remove(folder, file)]
            folder.sync()
            if _rmdir_if_empty(series[1], study):
                self._folders.forget(series)
                _rmdir_if_empty(series[0], self._root)
        return blocked

    def _open(self, series: Series, opened: ExitStack) -> tuple[Folder, Folder] | tuple[None, None]:
        """The folders of the study and the series; `opened` closes them."""
        study_uid, series_uid = map(checked_uid, series)
        try:
            study = opened.enter_context(Folder(study_uid, self._root))
            return study, opened.enter_context(Folder(series_uid, study))
        except FileNotFoundError:
            return None, None

    def _remove(self, folder: Folder, file: Tombstone) -> bool:
        """False: a folder has its name. Whoever made it knows what is in there, so it stays."""
        name = instance_name(file.sop_instance_uid)
        try:
            if self._is(file, folder, name):
                os.unlink(name, dir_fd=folder.fd)
        except InstanceDamaged as damage:
            if is_folder(name, folder):
                return False
            # It does not say whether it is the one: out of the way, but not lost.
            self._quarantine.set_aside(folder, name, f"found while it was to be deleted: {damage}", {
                "study_instance_uid": file.study_instance_uid,
                "series_instance_uid": file.series_instance_uid,
                "sop_instance_uid": file.sop_instance_uid})
        return True

    def _waits(self, file: Tombstone) -> bool:
        """Whether it is still in its slot. A file from another archive may have the number of somebody else's; one
        whose header does not say is left to the next start."""
        try:
            return self._is(file, self._intakes.of(file.slot), slot_name(file.slot))
        except InstanceDamaged:
            return False

    @staticmethod
    def _is(file: Tombstone, folder: Folder, name: str) -> bool:
        """Whether it is there and has that name. Raises InstanceDamaged where its header does not say, or no file has
        the name."""
        status = status_of(name, folder)
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise InstanceDamaged("it is no file")
        try:
            fd = os.open(name, OPEN_FILE, dir_fd=folder.fd)
        except FileNotFoundError:
            return False
        try:
            preamble = read_header(fd).preamble
            return (preamble.slot, preamble.checksum) == (file.slot, file.checksum)
        finally:
            os.close(fd)


def _rmdir_if_empty(name: str, parent: Folder) -> bool:
    try:
        os.rmdir(name, dir_fd=parent.fd)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True
