"""From slots to final names. The order is the promise: link, sync folders, and only then unlink the slots.

Never rename: a later sync of intake/ could make the removal durable before the new name is. Each step may be
repeated after a crash at any system call. The row must be durable before (index.make_durable).
"""
from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from dicomserver.archive.durable import OPEN_FILE, Folder, status_of, unlink_if_there
from dicomserver.archive.errors import ArchiveError, FilingFailed, translated
from dicomserver.archive.folders import MOST_OPEN, Folders, Series
from dicomserver.archive.layout import DataDirectory, checked_uid, instance_name, slot_name
from dicomserver.archive.preamble import Preamble, read_header
from dicomserver.archive.quarantine import Kind, Quarantine
from dicomserver.archive.reading import open_filed, same_bytes
from dicomserver.archive.tombstones import Tombstones
from dicomserver.archive.trash import Trash


@dataclass(slots=True, frozen=True)
class Waiting:
    """One acknowledged instance whose file is still only a slot."""

    slot: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    file_length: int


class Result(Enum):
    """How a slot's instance came to its final name."""

    FILED = "filed"
    ALREADY = "was there already, the same bytes"
    REPLACED = "another file, of no index row, had the name and was set aside"
    BLOCKED = "a folder has the name, or something else that of its folder: the instance stays in its slot"
    MISSING = "neither slot nor file is there: deleted meanwhile, or lost"


@dataclass(slots=True, frozen=True)
class Outcome:
    """What became of one Waiting; `set_aside` is the name in quarantine/ of what was in the way."""

    waiting: Waiting
    result: Result
    set_aside: str | None = None


class Filing:
    """Files batches; the archive's lock is held around every call."""

    def __init__(self, directory: DataDirectory, folders: Folders, quarantine: Quarantine,
                 tombstones: Tombstones, trash: Trash) -> None:
        self._root = directory.root
        self._intakes = directory.intakes
        self._is_shared = directory.is_shared
        self._folders = folders
        self._quarantine = quarantine
        self._tombstones = tombstones
        self._trash = trash

    def file_batch(self, batch: Sequence[Waiting]) -> list[Outcome]:
        """Raises FilingFailed, QuarantineFailed; then no slot is lost and the call may be repeated."""
        outcomes: list[Outcome] = []
        with translated(FilingFailed, "filing instances"):
            for group in _by_series(batch):
                outcomes += self._link_and_sync(group)
            self._folders.settle()
            for outcome in outcomes:
                if outcome.result is Result.BLOCKED:
                    continue
                unlink_if_there(slot_name(outcome.waiting.slot), self._intakes.of(outcome.waiting.slot))
        return outcomes

    def _link_and_sync(self, group: dict[Series, list[Waiting]]) -> list[Outcome]:
        # All links before the first sync: a journal then commits them together.
        outcomes = [self._link(waiting, series) for series, several in group.items() for waiting in several]
        for series in dict.fromkeys(_series_of(outcome.waiting) for outcome in outcomes
                                    if outcome.result not in (Result.MISSING, Result.BLOCKED)):
            self._folders.open(series).sync()
        return outcomes

    def _link(self, waiting: Waiting, series: Series) -> Outcome:
        name = instance_name(waiting.sop_instance_uid)
        slot, intake = slot_name(waiting.slot), self._intakes.of(waiting.slot)
        if status_of(slot, intake) is None:
            return self._miss(waiting, series, name)    # opening its folder would make it anew
        try:
            folder = self._folders.open(series)
        except NotADirectoryError:      # links to folders, too
            return Outcome(waiting, Result.BLOCKED)
        try:
            _link(intake, slot, folder, name)
        except FileExistsError:
            return self._meet(waiting, series, folder, name)
        except FileNotFoundError:
            return self._miss(waiting, series, name)
        return Outcome(waiting, Result.FILED)

    def _miss(self, waiting: Waiting, series: Series, name: str) -> Outcome:
        slot, intake = slot_name(waiting.slot), self._intakes.of(waiting.slot)
        if status_of(slot, intake) is not None:
            # Somebody removed the folder under our descriptor.
            self._folders.forget(series)
            _link(intake, slot, self._folders.open(series), name)
            return Outcome(waiting, Result.FILED)
        filed = self._slot_filed(series, name) == waiting.slot
        return Outcome(waiting, Result.ALREADY if filed else Result.MISSING)

    def _meet(self, waiting: Waiting, series: Series, folder: Folder, name: str) -> Outcome:
        slot, intake = slot_name(waiting.slot), self._intakes.of(waiting.slot)
        ours, there = status_of(slot, intake), status_of(name, folder)
        if ours is None or there is None:
            return self._miss(waiting, series, name)
        if os.path.samestat(ours, there):
            # A name of a pass that failed, or of an earlier process, which may have been told that its sync had failed:
            # the kernel may take the folder for clean. It is made anew.
            os.unlink(name, dir_fd=folder.fd)
            _link(intake, slot, folder, name)
            return Outcome(waiting, Result.ALREADY)
        if stat.S_ISREG(there.st_mode):
            if ours.st_size == there.st_size and _same_and_durable(intake, slot, folder, name):
                return Outcome(waiting, Result.ALREADY)
            if (going := self._being_deleted(folder, name)) is not None:
                if self._is_shared:
                    # By another process, which would remove ours for the other. Soon there is none.
                    raise OSError(errno.EBUSY, "its name is that of a file that is being deleted")
                self._keep_for_trash(folder, name, going)
                os.unlink(name, dir_fd=folder.fd)
                _link(intake, slot, folder, name)
                return Outcome(waiting, Result.FILED)
        if (going := self._being_deleted(intake, slot)) is not None:
            # Its deletion has stopped, and the one there came afterwards: that one stays.
            self._keep_for_trash(intake, slot, going)
            return Outcome(waiting, Result.MISSING)
        if stat.S_ISDIR(there.st_mode):
            return Outcome(waiting, Result.BLOCKED)     # whoever made it knows what it is for
        reason = "it had the name of a stored instance, but no index row"
        set_aside = self._quarantine.set_aside(folder, name, reason, {
            "kind": Kind.STRAY,
            "study_instance_uid": waiting.study_instance_uid,
            "series_instance_uid": waiting.series_instance_uid,
            "sop_instance_uid": waiting.sop_instance_uid})
        _link(intake, slot, folder, name)
        return Outcome(waiting, Result.REPLACED, set_aside)

    def _slot_filed(self, series: Series, name: str) -> int | None:
        study_uid, series_uid = map(checked_uid, series)
        try:
            fd = open_filed(self._root, study_uid, series_uid, name)
        except NotADirectoryError:
            return None
        if fd is None:
            return None
        try:
            return read_header(fd).preamble.slot
        except (ArchiveError, IsADirectoryError):
            return None
        finally:
            os.close(fd)

    def _keep_for_trash(self, folder: Folder, name: str, going: Preamble) -> None:
        """Before a file loses a name that its deletion has not come to yet: what that wants in the trash is there."""
        for label, file in self._tombstones.labelled(going.slot, going.checksum):
            self._trash.keep(folder, name, label, file)

    def _being_deleted(self, folder: Folder, name: str) -> Preamble | None:
        fd = os.open(name, OPEN_FILE, dir_fd=folder.fd)
        try:
            preamble = read_header(fd).preamble
        except ArchiveError:
            return None
        finally:
            os.close(fd)
        return preamble if self._tombstones.cover(preamble.slot, preamble.checksum) else None


def _series_of(waiting: Waiting) -> Series:
    return waiting.study_instance_uid, waiting.series_instance_uid


def _by_series(batch: Sequence[Waiting]) -> Iterator[dict[Series, list[Waiting]]]:
    """The batch in parts that touch no more folders than may be open at once."""
    group: dict[Series, list[Waiting]] = {}
    for waiting in batch:
        series = _series_of(waiting)
        if series not in group and len(group) == MOST_OPEN:
            yield group
            group = {}
        group.setdefault(series, []).append(waiting)
    if group:
        yield group


def _link(source: Folder, source_name: str, target: Folder, target_name: str) -> None:
    os.link(source_name, target_name, src_dir_fd=source.fd, dst_dir_fd=target.fd, follow_symlinks=False)


def _same_and_durable(source: Folder, source_name: str, target: Folder, target_name: str) -> bool:
    ours = os.open(source_name, OPEN_FILE, dir_fd=source.fd)
    try:
        theirs = os.open(target_name, OPEN_FILE, dir_fd=target.fd)
        try:
            if not same_bytes(ours, 0, theirs, 0, os.fstat(ours).st_size):
                return False
            # Our slot goes away on its account.
            os.fdatasync(theirs)
            return True
        finally:
            os.close(theirs)
    finally:
        os.close(ours)
