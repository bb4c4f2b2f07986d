"""The retention rule: which studies are too old, or have to make room, and their deletion. Off unless it is set.

A study is as old as its last image, by the time of its arrival: a study date may be wrong or missing, and what was
imported from an old archive would go at once. The oldest goes first.
"""
from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dicomserver.archive.archive import Archive
from dicomserver.index import Index
from dicomserver.index.entry import StudyAge
from dicomserver.server.deletion import Asked, Deleter
from dicomserver.server.settings import RetentionSettings
from dicomserver.server.trash import TrashKeeper

_DAY = 86400


@dataclass(frozen=True, slots=True)
class Candidate:
    """A study that would be deleted now. why: "age" or "room"."""

    study: StudyAge
    why: str


class Retention:
    """settings: may be replaced at any time."""

    def __init__(self, archive: Archive, index: Index, deleter: Deleter, trash: TrashKeeper,
                 settings: RetentionSettings, log: logging.Logger) -> None:
        self._archive = archive
        self._index = index
        self._deleter = deleter
        self._trash = trash
        self._log = log
        self.settings = settings

    def candidates(self) -> Iterator[Candidate]:
        """What would be deleted now, the oldest first; nothing is. Raises IndexFault, ArchiveError, OSError."""
        rule, now = self.settings, time.time()
        if not rule.days and not rule.free_percent:
            return
        studies = self._index.ages()
        untouchable = now - rule.minimum_days * _DAY
        if not studies or _seconds(studies[-1]) < untouchable:
            # Nothing has come for so long: nobody uses this archive, or the clock is wrong.
            return
        limit = min(untouchable, now - rule.days * _DAY) if rule.days else 0.0
        wanted = self._bytes_wanted(rule.free_percent)
        for study in studies:
            if _seconds(study) >= untouchable:
                return
            if study.study_instance_uid in self._archive.kept:
                continue
            if _seconds(study) < limit:
                yield Candidate(study, "age")
            elif wanted > 0:
                yield Candidate(study, "room")
            else:
                return
            wanted -= study.octets

    def keep_house(self, keep_going: Callable[[], bool] = lambda: True) -> None:
        """Deletes them; keep_going is asked before each. Raises as `candidates` does, and DeletionStopped."""
        studies = instances = 0
        for candidate in self.candidates():
            if not keep_going():
                break
            study = candidate.study
            if deleted := self._deleter.delete(Asked(study=study.study_instance_uid),
                                               still=lambda study=study: not self._has_changed(study)):
                instances += deleted
                studies += 1
                self._log.debug("the retention rule (%s) deleted the study %s", candidate.why, study.study_instance_uid)
        if studies:
            self._log.info("the retention rule deleted %d studies, %d instances", studies, instances)

    def _bytes_wanted(self, percent: int) -> int:
        """How much has to go so that so much is free. What lies in the trash is as good as gone: it goes by itself, and
        without it each pass would delete as much again."""
        if not percent:
            return 0
        in_trash = sum(deletion.octets for deletion in self._trash.deletions())
        return self._archive.total_space() * percent // 100 - self._archive.free_space() - in_trash

    def _has_changed(self, study: StudyAge) -> bool:
        """Whether an image came, or somebody said that it is to be kept, since the candidates were looked up."""
        if study.study_instance_uid in self._archive.kept:
            return True
        return any(row.received_at > study.last_received_at
                   for row in self._index.select(study=study.study_instance_uid))


def _seconds(study: StudyAge) -> float:
    return study.last_received_at / 1_000_000
