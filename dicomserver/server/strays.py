"""Files at final names that no row knows: copied in by hand, or left where the index came from an older copy."""
from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from dicomserver.archive.archive import Archive
from dicomserver.archive.claims import ClaimTaken
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing, QuarantineFailed
from dicomserver.archive.quarantine import Kind
from dicomserver.archive.recovery import Found, Verdict
from dicomserver.index import Index, IndexFault, Instance
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
            else:
                self._settle(found, report)
            on_read(found.file_length)
        return report

    def _has_row(self, study: str, series: str, sop_instance: str) -> bool:
        stored = self._index.find(sop_instance)
        return stored is not None and (stored.study_instance_uid, stored.series_instance_uid) == (study, series)

    def _settle(self, found: Found, report: StraysReport) -> None:
        try:
            if self._index_alone(found, self._described(found)):
                report.indexed += 1
                self._log.debug("indexed %s", found.sop_instance_uid)
        except InstanceDamaged as fault:
            report.quarantined += self._set_aside(found, str(fault))

    def _described(self, found: Found) -> Instance:
        """Its row. Raises InstanceDamaged where it cannot have one."""
        if found.verdict is not Verdict.WHOLE:
            raise InstanceDamaged(found.reason)
        instance = describe_found(self._archive, found, self._describe)
        if (instance.study_instance_uid, instance.series_instance_uid) != (
                found.study_instance_uid, found.series_instance_uid):
            raise InstanceDamaged("it lies in the folder of another study or series")
        return instance

    def _index_alone(self, found: Found, instance: Instance) -> bool:
        """Who receives the same instance answers on account of this row and this file: until both are durable nobody
        else has the UID. False: somebody has, for too long, or the file has gone; the next walk looks again.

        Raises InstanceDamaged where another file has it.
        """
        try:
            with self._archive.claims.held(instance.sop_instance_uid):
                return self._archive.make_found_durable(found) and self._index_durably(instance)
        except ClaimTaken:
            return False

    def _index_durably(self, instance: Instance) -> bool:
        uid = instance.sop_instance_uid
        if self._index.add(instance) is not None:
            if not self._has_row(instance.study_instance_uid, instance.series_instance_uid, uid):
                raise InstanceDamaged("another file has its SOP Instance UID")
            return False
        try:
            self._index.make_durable()
        except IndexFault:
            self._index.remove([uid], [instance.slot])      # else the next walk takes it for durable
            raise
        self._take_back_if_deleted(instance)
        return True

    def _take_back_if_deleted(self, instance: Instance) -> None:
        """A deletion that was under way when the file was found has not seen the new row, and its end no tombstone
        tells: but then the file has gone. One that begins from now on sees the row."""
        try:
            if not self._archive.is_being_deleted(instance.slot):
                os.close(self._archive.open_instance(instance.slot, instance.study_instance_uid,
                                                     instance.series_instance_uid, instance.sop_instance_uid))
                return
        except (InstanceMissing, InstanceDamaged) as error:
            self._log.debug("%s was deleted or changed meanwhile: %s", instance.sop_instance_uid, error)
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
