"""Files at final names that no row knows: copied in by hand, or left where the index came from an older copy."""
from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing, QuarantineFailed
from dicomserver.archive.quarantine import Kind
from dicomserver.archive.recovery import Found, Verdict
from dicomserver.index import Index, Instance
from dicomserver.server.rebuild import Describe, describe_found


@dataclass(slots=True)
class StraysReport:
    """Files that no row knew, by what became of them."""

    indexed: int = 0
    quarantined: int = 0    # damaged, or the UID is another file's
    foreign: int = 0        # not ours; left alone


class Strays:
    """Beside a running server. Nothing that was deleted comes back: files under a tombstone are not seen at all."""

    def __init__(self, archive: Archive, index: Index, describe: Describe, log: logging.Logger) -> None:
        self._archive = archive
        self._index = index
        self._describe = describe
        self._log = log

    def settle(self, on_read: Callable[[int], None]) -> StraysReport:
        """Walks through all folders, where it opens only files without a row.

        on_read: told for each file how many bytes of it were read; may wait, and what it raises ends it. Raises
        ArchiveError, IndexFault.
        """
        report = StraysReport()

        def is_known(*uids: str) -> bool:
            on_read(0)
            return self._has_row(*uids)
        for found in self._archive.walk_unknown(is_known):
            if found.verdict is Verdict.FOREIGN:
                report.foreign += 1
                self._log.debug("%s is not of this server: %s", found.name, found.reason)
            elif fault := self._fault(found):
                report.quarantined += self._set_aside(found, fault)
            else:
                report.indexed += 1
                self._log.debug("indexed %s", found.sop_instance_uid)
            on_read(found.file_length)
        return report

    def _has_row(self, study: str, series: str, sop_instance: str) -> bool:
        stored = self._index.find(sop_instance)
        return stored is not None and (stored.study_instance_uid, stored.series_instance_uid) == (study, series)

    def _fault(self, found: Found) -> str:
        """Why it cannot be indexed; "": it is."""
        if found.verdict is not Verdict.WHOLE:
            return found.reason
        try:
            instance = describe_found(self._archive, found, self._describe)
        except InstanceDamaged as damage:
            return str(damage)
        if (instance.study_instance_uid, instance.series_instance_uid) != (
                found.study_instance_uid, found.series_instance_uid):
            return "it lies in the folder of another study or series"
        there = self._index.add(instance)
        if there is None:
            self._take_back_if_deleted(instance)
        elif not self._has_row(found.study_instance_uid, found.series_instance_uid, found.sop_instance_uid):
            return "another file has its SOP Instance UID"
        return ""

    def _take_back_if_deleted(self, instance: Instance) -> None:
        """A deletion that was under way when the file was found has not seen the new row, and its end no tombstone
        tells: but then the file has gone. One that begins from now on sees the row."""
        try:
            if not self._archive.is_being_deleted(instance.slot):
                os.close(self._archive.open_instance(instance.slot, instance.study_instance_uid,
                                                     instance.series_instance_uid, instance.sop_instance_uid))
                return
        except InstanceMissing:
            self._log.debug("%s was deleted meanwhile", instance.sop_instance_uid)
        self._index.remove([instance.sop_instance_uid], [instance.slot])

    def _set_aside(self, found: Found, reason: str) -> bool:
        try:
            name = self._archive.set_aside_stray(found, f"a file that no row of the index knows: {reason}", {
                "kind": Kind.STRAY, "study_instance_uid": found.study_instance_uid,
                "series_instance_uid": found.series_instance_uid, "sop_instance_uid": found.sop_instance_uid})
        except QuarantineFailed as error:
            self._log.error("a file that no row of the index knows should be set aside (%s), but: %s", reason, error)
            return False
        if name is None:
            return False
        self._log.error("a file that no row of the index knows is quarantine/%s now: %s", name, reason)
        return True
