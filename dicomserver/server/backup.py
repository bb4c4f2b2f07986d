"""A backup: a copy of the index as it is at one moment, then the files of its rows, then all other files.

Whatever was acknowledged before has its row in the copy. The backup's list is written last: before it stands under its
name nothing has changed for those who restore, and a backup that was cut short is gone on with by the next one.
"""
from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from dicomserver.archive.backup_folder import BackupFolder, are_apart
from dicomserver.archive.backup_source import BackupSource
from dicomserver.archive.copying import FILES_AT_ONCE, Copies, Copy, fault_of
from dicomserver.archive.durable import OPEN_FILE
from dicomserver.archive.errors import (BackupDamaged, CopyFailed, InstanceDamaged, InstanceMissing, NotABackup,
                                        translated, unreadable_is_damaged)
from dicomserver.archive.manifest import AbsentInstance, ListedFile, ListedInstance, Manifest, ManifestWriter, digest_of
from dicomserver.index import IndexFull, copy_index, files_of, open_copy
from dicomserver.server.backup_origins import Origin, listed
from dicomserver.server.settings import INDEX_NAME

OCTETS_AT_ONCE = 64 << 20
KEPT = 7
_MANIFEST, _INDEX = "manifest.part", "index.part"
_TRIES = 3      # of a file that changes while it is read


@dataclass(slots=True)
class BackupReport:
    """instances, octets: of the whole backup; copied ones are new in it and verified. damaged: what could not be copied
    because the archive itself has no good file, by path, and why. removed: instances that no kept backup has.
    left_behind: why what no kept backup has could not be removed, "" if it was; this backup is complete all the same.
    """

    number: int = 0
    total: int = 0
    instances: int = 0
    octets: int = 0
    copied: int = 0
    copied_octets: int = 0
    other_files: int = 0
    removed: int = 0
    left_behind: str = ""
    damaged: list[tuple[str, str]] = field(default_factory=list)


Progress = Callable[[BackupReport], None]


def back_up(origin: Origin, target: str, progress: Progress, *, kept: int = KEPT, reread: bool = False) -> BackupReport:
    """Makes the next backup in the folder `target`, and forgets all but the newest `kept`.

    progress: told now and then; what it raises ends the backup. reread: what is there already is read as well, and
    copied anew if it is damaged. Raises NotABackup, CopyFailed, BackupDamaged, ArchiveUnusable, IndexFault, and what
    `origin` raises.
    """
    if not are_apart(target, origin.data_directory):
        raise NotABackup("the backup must not be in the data directory, nor the data directory in the backup")
    with ExitStack() as opened:
        folder = opened.enter_context(BackupFolder(target))
        source = opened.enter_context(BackupSource(origin.data_directory))
        opened.enter_context(source.locked())
        folder.claim(origin.identity)
        copies = Copies(folder.root)
        opened.callback(copies.close)
        return _Backup(origin, folder, source, copies, progress, reread).run(kept)


class _Backup:
    def __init__(self, origin: Origin, folder: BackupFolder, source: BackupSource, copies: Copies,
                 progress: Progress, reread: bool) -> None:
        self._origin = origin
        self._folder = folder
        self._source = source
        self._copies = copies
        self._progress = progress
        self._reread = reread
        self._report = BackupReport()

    def run(self, kept: int) -> BackupReport:
        report, folder = self._report, self._folder
        former = folder.numbers()
        report.number = former[-1] + 1 if former else 1
        begun = time.time_ns()
        with translated(CopyFailed, "writing the backup"):
            self._manifest = ManifestWriter(self._copies.incoming, _MANIFEST,
                                            datetime.now(UTC).isoformat(timespec="seconds"))
        try:
            self._copy_all(begun, self._files_of(former))
            with translated(CopyFailed, "writing the backup"):
                self._manifest.seal()
        finally:
            self._manifest.close()
        self._publish()
        try:
            report.removed = folder.keep_only((*former, report.number)[-kept:])
        except (BackupDamaged, CopyFailed) as error:
            report.left_behind = str(error)
        return report

    def _publish(self) -> None:
        """The moment in which the backup is complete."""
        with translated(CopyFailed, "writing the backup"):
            fd = os.open(_MANIFEST, OPEN_FILE, dir_fd=self._copies.incoming.fd)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                Manifest(self._copies.incoming, _MANIFEST)      # is what is on the disk what was written?
            finally:
                os.close(fd)
            self._copies.name(_MANIFEST, self._folder.place_of(self._report.number))
            self._copies.settle()

    def _files_of(self, former: list[int]) -> dict[str, ListedFile]:
        """The other files of the last backup; none if its list is damaged, for they are just a matter of time."""
        if not former:
            return {}
        try:
            return {entry.path: entry for entry in self._folder.manifest(former[-1]).entries()
                    if isinstance(entry, ListedFile)}
        except BackupDamaged:
            return {}

    def _copy_all(self, begun: int, former: dict[str, ListedFile]) -> None:
        part = Path(self._folder.path) / "incoming" / _INDEX
        if self._copy_index(part):
            entry = self._index_entry()
            index = open_copy(part)
            try:
                self._report.total = index.counts().instances
                self._copy_instances(map(listed, index.select()))
                self._copy_other_files(begun, former, lambda uid: (row := index.find(uid)) and listed(row))
            finally:
                index.close()
            with translated(CopyFailed, "writing the backup"):
                self._copies.name(_INDEX, entry.place)
                self._copies.settle()
                self._manifest.add(entry)
        else:
            rows = {row.sop_instance_uid: row for row in self._origin.rows()}
            self._report.total = len(rows)
            self._copy_instances(iter(rows.values()))
            self._copy_other_files(begun, former, rows.get)

    def _copy_index(self, part: Path) -> bool:
        try:
            return copy_index(self._origin.database_url, part, self._may_go_on)
        except IndexFull:
            raise CopyFailed("copying the index", errno.ENOSPC) from None

    def _may_go_on(self) -> None:
        self._origin.check()
        self._progress(self._report)

    def _index_entry(self) -> ListedFile:
        """Durable, and on the disk what SQLite has written."""
        with translated(CopyFailed, "copying the index"):
            fd = os.open(_INDEX, os.O_RDWR | OPEN_FILE, dir_fd=self._copies.incoming.fd)
            try:
                length = os.fstat(fd).st_size
                entry = ListedFile(INDEX_NAME, length, digest_of(fd, length), 0)
                os.fsync(fd)
                if fault_of(fd, entry.check):
                    raise CopyFailed("copying the index", errno.EIO)
                return entry
            finally:
                os.close(fd)

    def _copy_instances(self, rows: Iterator[ListedInstance]) -> None:
        while batch := list(islice(rows, FILES_AT_ONCE)):
            faults = self._copied([row for row in batch if not self._is_there(row)])
            with translated(CopyFailed, "writing the backup"):
                for row in batch:
                    self._list(row, faults.get(row.place))
            self._progress(self._report)

    def _copied(self, rows: list[ListedInstance]) -> dict[str, str]:
        """-> what is wrong with those that could not be copied, by their places."""
        faults: dict[str, str] = {}
        while rows:
            with ExitStack() as opened:
                copies = list(self._opened(rows, faults, opened))
                faults |= self._copies.copy(copies)
            lengths = [one.length for one in copies if one.place not in faults]
            self._report.copied += len(lengths)
            self._report.copied_octets += sum(lengths)
            self._progress(self._report)
        return faults

    def _opened(self, rows: list[ListedInstance], faults: dict[str, str], opened: ExitStack) -> Iterator[Copy]:
        """Takes as many rows as are copied at once, and opens their files."""
        octets = 0
        while rows and octets < OCTETS_AT_ONCE:
            row = rows.pop(0)
            try:
                with unreadable_is_damaged():
                    fd = self._source.open_instance(row)
            except InstanceMissing:
                faults[row.place] = "its file is missing"
            except InstanceDamaged as damage:
                faults[row.place] = str(damage)
            else:
                opened.callback(os.close, fd)
                octets += row.length
                yield Copy(fd, row.length, row.place, row.check)

    def _list(self, row: ListedInstance, fault: str | None) -> None:
        if fault is None:
            self._manifest.add(row)
            self._report.instances += 1
            self._report.octets += row.length
            return
        self._manifest.add(AbsentInstance(row.slot, row.sop_instance_uid))
        if self._origin.is_stored(row):
            self._report.damaged.append((row.path, fault))

    def _is_there(self, entry: ListedInstance | ListedFile) -> bool:
        with translated(CopyFailed, "reading the backup"):
            if not self._folder.holds(entry.place, entry.length) or (self._reread and self._is_damaged(entry)):
                return False
        self._copies.rely_on(entry.place)
        return True

    def _is_damaged(self, entry: ListedInstance | ListedFile) -> bool:
        fd = os.open(entry.place, OPEN_FILE, dir_fd=self._folder.root.fd)
        try:
            return bool(fault_of(fd, entry.check))
        finally:
            os.close(fd)

    def _copy_other_files(self, begun: int, former: dict[str, ListedFile],
                          find: Callable[[str], ListedInstance | None]) -> None:
        # A restored index lies in the data directory: no other may, nor a former one's log.
        of_index = {path.name for path in files_of(f"sqlite:///{INDEX_NAME}")}
        of_index |= {os.path.relpath(os.path.join(os.path.realpath(path.parent), path.name),
                                     os.path.realpath(self._origin.data_directory))
                     for path in files_of(self._origin.database_url)}
        for path, status in self._source.other_files(of_index, find, begun):
            before = former.get(path)
            is_same = before is not None and (before.length, before.modified) == (status.st_size, status.st_mtime_ns)
            entry = before if is_same and self._is_there(before) else self._copied_file(path)
            if entry is not None:
                with translated(CopyFailed, "writing the backup"):
                    self._manifest.add(entry)
                self._report.other_files += 1

    def _copied_file(self, path: str) -> ListedFile | None:
        """None: it has gone meanwhile, or cannot be copied."""
        for _ in range(_TRIES):
            try:
                with unreadable_is_damaged():
                    fd = self._source.open_file(path)
            except FileNotFoundError:
                return None
            try:
                with unreadable_is_damaged():
                    status = os.fstat(fd)
                    entry = ListedFile(path, status.st_size, digest_of(fd, status.st_size), status.st_mtime_ns)
                if self._is_there(entry) or not self._copies.copy([Copy(fd, entry.length, entry.place, entry.check)]):
                    return entry
            except InstanceDamaged as damage:
                self._report.damaged.append((path, str(damage)))
                return None
            finally:
                os.close(fd)
        self._report.damaged.append((path, "it changes while it is read"))
        return None