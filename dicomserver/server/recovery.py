"""At start: what an earlier process left behind becomes what it should have become.

Of several nodes, the one that leads does the same for one that has died.
"""
from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dicomserver.archive.archive import Archive
from dicomserver.archive.deletion import Deletion
from dicomserver.archive.errors import ArchiveError, InstanceDamaged, QuarantineFailed
from dicomserver.archive.filing import Waiting
from dicomserver.archive.quarantine import Kind
from dicomserver.archive.recovery import Found, Verdict
from dicomserver.index import Index, Instance, Stored
from dicomserver.server.archive_index import check_index, note_index
from dicomserver.server.deletion import tell_blocked
from dicomserver.server.mover import Mover
from dicomserver.server.rebuild import Describe, FillReport, Progress, describe_found, fill_fresh


@dataclass(slots=True)
class RecoveryReport:
    """Slots of the intake by what became of them, and what else was done."""

    deletions: int = 0      # begun by an earlier process, finished now
    filled: FillReport | None = None
    waiting: int = 0        # in the index already; only to be filed
    indexed: int = 0        # whole, but the index did not have it (any more)
    dropped: int = 0        # the same bytes are stored under another slot
    removed: int = 0        # never acknowledged
    quarantined: int = 0    # damaged, or other bytes under a UID that is stored
    foreign: int = 0        # not ours; left alone

    def text(self) -> str:
        """One line for the log."""
        return (f"{self.waiting + self.indexed} instances waited in the intake, {self.indexed} of them not "
                f"indexed; {self.removed} unfinished ones removed, {self.dropped} doubles dropped, "
                f"{self.quarantined} set aside, {self.foreign} foreign files; "
                f"{self.deletions} deletions finished")


def recover(archive: Archive, index: Index, mover: Mover, describe: Describe, progress: Progress,
            log: logging.Logger) -> RecoveryReport:
    """Deletions first (nothing deleted comes back), then the filed instances if the index is fresh, then the
    intake. Before all of it: is this the archive's index?

    A crash in the middle changes nothing of it. Nobody else uses the archive meanwhile. Raises WrongIndex,
    ArchiveError, IndexFault, OSError, and what `progress` raises.
    """
    check_index(archive, index)
    recovery = _Recovery(archive, index, mover, describe, progress, log)
    recovery.finish_deletions(archive.interrupted_deletions())
    recovery.fill()
    note_index(archive, index, log)
    for node in archive.intake_numbers():
        recovery.settle_intake(node)
    return recovery.report()


def recover_node(archive: Archive, index: Index, mover: Mover, describe: Describe, progress: Progress,
                 log: logging.Logger, node: int) -> RecoveryReport:
    """What one of several nodes left behind, at its own start or, by another one, when it has died: deletions of what
    waits in its intake, and the rest of that. Raises as `recover` does."""
    recovery = _Recovery(archive, index, mover, describe, progress, log)
    recovery.finish_deletions(deletion for deletion in archive.interrupted_deletions()
                              if node in archive.nodes_with(deletion.files))
    recovery.settle_intake(node)
    return recovery.report(f" of node {node}" if node else "")


class _Recovery:
    def __init__(self, archive: Archive, index: Index, mover: Mover, describe: Describe, progress: Progress,
                 log: logging.Logger) -> None:
        self._archive = archive
        self._index = index
        self._mover = mover
        self._describe = describe
        self._progress = progress
        self._log = log
        self._report = RecoveryReport()

    def finish_deletions(self, deletions: Iterable[Deletion]) -> None:
        for deletion in deletions:
            files = deletion.files
            self._index.remove([file.sop_instance_uid for file in files], [file.slot for file in files])
            try:
                tell_blocked(deletion.finish(), self._log)
            except ArchiveError as error:
                # Its tombstone stays: what is left of it is not seen, and whoever keeps house tries again.
                self._log.error("a deletion that had stopped cannot be finished yet: %s", error)
            else:
                self._report.deletions += 1

    def fill(self) -> None:
        self._report.filled = fill_fresh(self._index, self._archive, self._describe, self._progress, self._log)

    def settle_intake(self, node: int) -> None:
        for done, found in enumerate(self._archive.examine_intake(self._rows_of, node), start=1):
            self._settle(found)
            self._progress(done, done)

    def _rows_of(self, slots: Collection[int]) -> dict[int, str]:
        def keep_going() -> bool:
            self._progress(0, 0)
            return True
        return self._index.uids_in_slots(slots, keep_going)

    def report(self, whose: str = "") -> RecoveryReport:
        report = self._report
        if report != RecoveryReport(filled=report.filled):
            level = logging.WARNING if report.quarantined or report.foreign else logging.INFO
            self._log.log(level, "recovery%s: %s", whose, report.text())
        return report

    def _settle(self, found: Found) -> None:
        match found.verdict:
            case Verdict.WHOLE:
                self._settle_whole(found)
            case Verdict.DAMAGED:
                self._set_aside(found, found.reason)
            case Verdict.REMOVED:
                self._report.removed += 1
            case Verdict.FOREIGN:
                self._report.foreign += 1
                self._log.warning("%s is left alone: %s", found.name, found.reason)

    def _settle_whole(self, found: Found) -> None:
        stored = self._index.find(found.header.meta.sop_instance_uid)
        if stored is None:
            try:
                instance = describe_found(self._archive, found, self._describe)
            except InstanceDamaged as damage:
                self._set_aside(found, str(damage))
                return
            stored = self._index.add(instance)
            if stored is None:
                self._report.indexed += 1
                self._file(found, instance)
                return
        if stored.slot == found.slot:
            self._report.waiting += 1
            self._file(found, stored)
        else:
            self._settle_double(found, stored)

    def _file(self, found: Found, row: Instance | Stored) -> None:
        self._archive.adopt(found)
        self._leave_quarantine(row)
        self._mover.add(Waiting(row.slot, row.study_instance_uid, row.series_instance_uid,
                                row.sop_instance_uid, row.file_length))

    def _settle_double(self, found: Found, stored: Stored) -> None:
        """It was being compared, or set aside, when the process ended: its sender has no success for this
        slot."""
        reason = "the SOP Instance UID is stored with other content"
        try:
            same = self._archive.is_same(found, stored)
        except (ArchiveError, OSError):
            # Then this one may be all that is left.
            same, reason = False, "what is stored under the SOP Instance UID cannot be read"
        if same:
            self._archive.discard(found.slot)
            self._report.dropped += 1
        else:
            self._set_aside(found, reason, kind=Kind.CONFLICT)
            self._leave_quarantine(stored)

    def _set_aside(self, found: Found, reason: str, kind: Kind = Kind.DAMAGED) -> None:
        details: dict[str, str | int] = {"kind": kind} | ({"slot": found.slot} if found.slot is not None else {})
        if found.header is not None:
            meta = found.header.meta
            details |= {"sop_instance_uid": meta.sop_instance_uid, "source_ae": meta.source_ae}
        elif found.row_uid is not None:
            details |= {"sop_instance_uid": found.row_uid}
        self._report.quarantined += 1
        try:
            if found.row_uid is not None:
                # First: once its row has gone, the next start may take the slot for one never acknowledged.
                self._archive.keep_aside(found, reason, details)
                self._remove_row(found)
            name = self._archive.set_aside(found, reason, details)
        except QuarantineFailed as error:
            # It stays where it is, and the next start finds it again.
            self._log.error("%s should be set aside (%s), but: %s", found.name, reason, error)
        else:
            self._log.warning("%s was set aside as quarantine/%s: %s", found.name, name, reason)

    def _remove_row(self, found: Found) -> None:
        """No query promises what cannot be served, and the instance can be sent again. After a crash before it, all is
        done once more."""
        self._index.remove([found.row_uid], [found.slot])
        self._log.error("an acknowledged instance was damaged in the intake and is lost: %s", found.reason)

    def _leave_quarantine(self, stored: Instance | Stored) -> None:
        """The process may have ended while a conflict was decided: what is stored lies there no longer."""
        try:
            self._archive.replacing.drop_second_name(stored)
        except QuarantineFailed as error:
            self._log.warning("a stored instance still lies in quarantine, too: %s", error)
