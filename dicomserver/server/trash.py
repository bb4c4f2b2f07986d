"""The trash: what was deleted comes back on request, or goes for good when its time is over.

An undeletion marks its files in the trash's record first. Then each gets a name in the intake, and its row: from there
on it goes the way of an instance that was just received, also after a crash. The name comes first, so that whoever
finds the row can open the file: without it an instance would be missing for all others.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dicomserver.archive.archive import Archive
from dicomserver.archive.claims import ClaimTaken
from dicomserver.archive.errors import ArchiveError, InstanceDamaged, InstanceMissing
from dicomserver.archive.filing import Waiting
from dicomserver.archive.recovery import Found
from dicomserver.archive.trash import Record, State, Trashed
from dicomserver.index import Index, IndexFault, Instance, OutcomeUnknown, Stored
from dicomserver.server.mover import Mover
from dicomserver.server.rebuild import Describe, describe_found

AT_ONCE = 200       # files that are brought back together: they count as waiting for the mover
Choice = Callable[[Record, Trashed], bool]


class UndeletionStopped(Exception):
    """Not everything came back; the text says why and how far it came. The rest follows by itself later."""


@dataclass(slots=True)
class Undeleted:
    """How far an undeletion has come. stays: files that stay in the trash."""

    total: int = 0
    restored: int = 0
    stays: int = 0


@dataclass(slots=True)
class DeletionInTrash:
    """One deletion, as a list shows it. deleted_at and until: seconds since the epoch."""

    deletion: str
    asked: str
    deleted_at: int
    until: int
    studies: int
    instances: int
    octets: int


class TrashKeeper:
    """lock: whoever deletes, undeletes or empties holds it, one at a time; `settle` and `forget` want it held."""

    def __init__(self, archive: Archive, index: Index, mover: Mover, describe: Describe, seconds: float,
                 log: logging.Logger) -> None:
        """seconds: how long files stay; 0: nothing new goes into the trash."""
        self._archive = archive
        self._index = index
        self._mover = mover
        self._describe = describe
        self._log = log
        self.seconds = seconds
        self.lock = threading.Lock()
        self._unsettled = True      # there may be marked files

    def deletions(self) -> Iterator[DeletionInTrash]:
        """What lies in the trash, the newest first. Raises ArchiveError."""
        listed: DeletionInTrash | None = None
        studies: set[str] = set()
        for record in self._archive.trash.records():
            label = record.label
            if listed is None or listed.deletion != label.deletion:
                if listed is not None:
                    yield listed
                until = label.deleted_at + int(self.seconds)
                listed = DeletionInTrash(label.deletion, label.asked, label.deleted_at, until, 0, 0, 0)
                studies = set()
            studies.update(file.study_instance_uid for file in record.files)
            listed.studies = len(studies)
            listed.instances += len(record.files)
            listed.octets += sum(file.file_length for file in record.files)
        if listed is not None:
            yield listed

    def settle(self) -> None:
        """Ends what was interrupted. Raises ArchiveError, IndexFault."""
        if not self._unsettled:
            return
        for record in self._archive.trash.records():
            for files in _batches(_in_state(record, State.RETURNS)):
                record = self._bring_back(record, files, self._tell)[0]
            if goes := _in_state(record, State.GOES):
                self._archive.trash.remove(record, goes)
        self._unsettled = False

    def take_over(self) -> None:
        """Another one may have marked files: `settle` looks. `lock` is held."""
        self._unsettled = True

    def undelete(self, chosen: Choice, on_progress: Callable[[Undeleted], None] = lambda so_far: None,
                 on_stays: Callable[[str, str], None] = lambda uid, why: None) -> Undeleted:
        """Brings back what is chosen, what was deleted last first.

        on_progress: now and then; what it raises ends it between two batches. on_stays: told the SOP Instance UID of
        each that stays in the trash, and why. Raises UndeletionStopped.
        """
        so_far = Undeleted()
        with self.lock:
            try:
                self.settle()
                so_far.total = sum(len(_those(record, chosen)) for record in self._archive.trash.records())
                for record in self._archive.trash.records():
                    for files in _batches(_those(record, chosen)):
                        record = self._undelete(record, files, so_far, on_stays)
                        on_progress(so_far)
            except (ArchiveError, IndexFault) as error:
                self._log.error("an undeletion stopped after %d instances: %s", so_far.restored, error)
                raise UndeletionStopped(f"{error}; {so_far.restored} instances were brought back before") from error
        self._log.info("%d instances were brought back from the trash, %d stay there", so_far.restored, so_far.stays)
        return so_far

    def forget(self, chosen: Choice) -> int:
        """-> how many files were removed from the trash for good, durably. Raises ArchiveError, IndexFault."""
        self.settle()
        removed = 0
        for record in self._archive.trash.records():
            removed += self._forget(record, _those(record, chosen))
        return removed

    def keep_house(self, keep_going: Callable[[], bool] = lambda: True) -> None:
        """Ends what was interrupted, and removes what has lain there long enough, as long as it may go on; others get
        their turn in between. Raises ArchiveError, IndexFault."""
        removed = 0
        records = self._archive.trash.records()
        while keep_going():
            with self.lock:
                self.settle()
                record = next(records, None)    # read under the lock: nobody changes it meanwhile
                if record is None:
                    break
                if record.label.deleted_at <= time.time() - self.seconds:
                    with self._archive.last_room.given_up():
                        removed += self._forget(record, record.files)
        if removed:
            self._log.info("%d deleted instances were removed from the trash for good", removed)
        if unreadable := self._archive.trash.unreadable():
            self._log.error("%d records of the trash cannot be understood; their files stay there", unreadable)

    def _forget(self, record: Record, files: Sequence[Trashed]) -> int:
        if files:
            self._unsettled = True
            record = self._archive.trash.mark(record, files, State.GOES)
            self._archive.trash.remove(record, files)
            self._unsettled = False
        return len(files)

    def _undelete(self, record: Record, files: Sequence[Trashed], so_far: Undeleted,
                  on_stays: Callable[[str, str], None]) -> Record:
        # A deletion that failed half-way would take them away again.
        held = [file for file in files if self._archive.is_being_deleted(file.slot)]
        for file in held:
            on_stays(file.sop_instance_uid, "its deletion is not finished yet")
        files = [file for file in files if file not in held]
        self._unsettled = True
        record = self._archive.trash.mark(record, files, State.RETURNS)
        record, restored = self._bring_back(record, files, on_stays)
        self._unsettled = False
        so_far.restored += restored
        so_far.stays += len(held) + len(files) - restored
        return record

    def _bring_back(self, record: Record, files: Sequence[Trashed],
                    on_stays: Callable[[str, str], None]) -> tuple[Record, int]:
        """-> what is left of the record, and how many files came back. They are marked."""
        stays: list[Trashed] = []
        waiting: list[tuple[Trashed, Found]] = []
        for file in files:
            try:
                found = self._take_back(file)
            except _Stays as reason:
                stays.append(file)
                on_stays(file.sop_instance_uid, str(reason))
                continue
            if found is not None:
                waiting.append((file, found))
        self._archive.trash.sync_back()
        for file, found in waiting:
            self._archive.adopt(found)
            self._mover.add(Waiting(file.slot, file.study_instance_uid, file.series_instance_uid,
                                    file.sop_instance_uid, file.file_length))
        record = self._archive.trash.remove(record, [file for file in files if file not in stays])
        if stays:
            record = self._archive.trash.mark(record, stays, State.STAYS)
        self._mover.flush()
        return record, len(files) - len(stays)

    def _take_back(self, file: Trashed) -> Found | None:
        """The file, in the intake and with its row; None if it is back already. Raises _Stays."""
        try:
            found = self._archive.trash.examine(file)
            instance = describe_found(self._archive, found, self._describe)
        except (InstanceMissing, InstanceDamaged) as fault:
            stored = self._index.find(file.sop_instance_uid)
            if isinstance(fault, InstanceMissing) and stored is not None and stored.slot == file.slot:
                return None     # all but its entry went before a crash
            self._log.error("a file in the trash is damaged or missing: %s", fault)
            raise _Stays(str(fault)) from fault
        try:
            with self._archive.claims.held(file.sop_instance_uid):
                there = self._put_back(file, instance)
        except ClaimTaken as reason:
            raise _Stays(str(reason)) from None
        if there is None:
            return found
        if self._archive.is_being_deleted(there.slot):
            raise _Stays("the instance that was stored anew is being deleted")
        try:
            if self._archive.is_same(found, there):
                return None
        except (ArchiveError, OSError) as error:
            raise _Stays("the instance was stored anew, and that one cannot be read") from error
        raise _Stays("the instance was stored anew meanwhile, with other content")

    def _put_back(self, file: Trashed, instance: Instance) -> Stored | None:
        """Into the intake and the index; else -> what is stored. The claim is ours: of two that were received under one
        UID the next start would take this one, the older, although the other may have been acknowledged."""
        there = self._index.find(file.sop_instance_uid)
        if there is None:
            self._link_back(file)
            there = self._add(file, instance)
        elif there.slot == file.slot:
            self._link_back(file)       # its row is of an attempt that failed
        if there is None or there.slot == file.slot:
            return None
        self._archive.trash.unlink_back(file)
        return there

    def _add(self, file: Trashed, instance: Instance) -> Stored | None:
        """Where that fails it is not in the intake, either: another one may be stored before it is tried again."""
        try:
            return self._index.add(instance)
        except OutcomeUnknown:
            raise       # its row is there, or comes when the database does
        except Exception:
            self._archive.trash.unlink_back(file)
            raise

    def _link_back(self, file: Trashed) -> None:
        try:
            self._archive.trash.link_back(file)
        except InstanceDamaged as reason:
            raise _Stays(str(reason)) from reason

    def _tell(self, uid: str, why: str) -> None:
        self._log.warning("an instance stays in the trash: %s", why)
        self._log.debug("the one that stays is %s", uid)


class _Stays(Exception):
    """Why a file does not come back."""


def choice(deletion: str | None = None, study: str | None = None, series: str | None = None,
           instance: str | None = None) -> Choice:
    """What has all that is given."""
    wanted = (deletion, study, series, instance)

    def is_chosen(record: Record, file: Trashed) -> bool:
        its = (record.label.deletion, file.study_instance_uid, file.series_instance_uid, file.sop_instance_uid)
        return all(one in (None, other) for one, other in zip(wanted, its, strict=True))
    return is_chosen


def _batches(files: Sequence[Trashed]) -> Iterator[Sequence[Trashed]]:
    return (files[at:at + AT_ONCE] for at in range(0, len(files), AT_ONCE))


def _those(record: Record, chosen: Choice) -> list[Trashed]:
    return [file for file in record.files if chosen(record, file)]


def _in_state(record: Record, state: State) -> list[Trashed]:
    return [file for file in record.files if file.state is state]
