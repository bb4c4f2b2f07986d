"""Deleting on request: a durable intention, then the rows, then the files; nothing deleted comes back by itself."""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from dicomserver.archive.archive import Archive
from dicomserver.archive.deletion import Deletion
from dicomserver.archive.errors import ArchiveError, StillWaiting
from dicomserver.archive.tombstones import Label, Tombstone
from dicomserver.archive.trash import Trashed
from dicomserver.index import Index, IndexFault, Instance, Stored
from dicomserver.server.mover import Mover, tell_obstacles
from dicomserver.server.trash import TrashKeeper

AT_ONCE = 1000      # instances of one tombstone
FILING_SECONDS = 10.0   # in which another node's mover files what waits for it


class DeletionStopped(Exception):
    """Not everything was deleted; the text says why and how far it came. Asking again goes on from there."""


class PatientUnclear(Exception):
    """A Patient ID alone does not say who is meant."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to delete: what has all the UIDs given, at least one; or all of a patient. issuer: "" where there is none,
    None: whichever."""

    study: str | None = None
    series: str | None = None
    instance: str | None = None
    patient: str | None = None
    issuer: str | None = None

    def __post_init__(self) -> None:
        if (self.study, self.series, self.instance, self.patient) == (None,) * 4:
            raise ValueError("which patient, study, series or instance?")

    def in_words(self) -> str:
        """Levels and UIDs; no Patient ID."""
        if self.patient is not None:
            return "a patient"
        levels = (("study", self.study), ("series", self.series), ("instance", self.instance))
        return " ".join(f"{level} {uid}" for level, uid in levels if uid)


class Counted(NamedTuple):
    """What a deletion would delete."""

    studies: int
    instances: int
    octets: int


class Deleter:
    """One deletion at a time; one that stopped in the middle is tried again with the next, and by `keep_house`.

    mover: None when no server runs (then nothing waits in the intake that is not there for recovery).
    """

    def __init__(self, archive: Archive, index: Index, mover: Mover | None, trash: TrashKeeper,
                 log: logging.Logger) -> None:
        self._archive = archive
        self._index = index
        self._mover = mover
        self._trash = trash
        self._log = log
        self._unfinished: list[Deletion] = []   # their tombstones are durable: there is no way back
        self._replacing: list[Deletion] = []    # theirs too, but what comes instead has no row: the next start does it

    @property
    def lock(self) -> threading.Lock:
        """Whoever holds it is the only one who deletes; it is taken before a claim."""
        return self._trash.lock

    def count(self, asked: Asked) -> Counted:
        """What `delete` would delete. Raises IndexFault, PatientUnclear."""
        studies: set[str] = set()
        instances = octets = 0
        for row in self._rows(asked, self._studies(asked)):
            studies.add(row.study_instance_uid)
            instances += 1
            octets += row.file_length
        return Counted(len(studies), instances, octets)

    def delete(self, asked: Asked, *, now: bool = False, progress: Callable[[int], None] = lambda done: None,
               still: Callable[[], bool] = lambda: True) -> int:
        """-> how many instances were deleted. They go to the trash.

        Those of them count whose deletion stopped earlier and came to its end only now.

        now: not to the trash; and what of them lies there already goes for good as well, and counts; of a patient it
        does only where some of the study is still stored: the trash does not know patients.
        progress: told how many are gone so far; what it raises ends the deletion between two batches.
        still: asked when a batch was looked up and nobody else deletes any more, before it goes; False ends it.
        Raises DeletionStopped, PatientUnclear.
        """
        done = 0
        is_for_good = now or not self._trash.seconds
        with self._trash.lock, self._archive.last_room.given_up() if is_for_good else nullcontext():
            try:
                self._trash.settle()
                studies = self._studies(asked)
                done, failure = self._finish_all(lambda file: _concerns(asked, studies, file))
                if now:
                    done += self._trash.forget(lambda record, file: _concerns(asked, studies, file))
                if done:
                    progress(done)
                rows = (row for row in self._rows(asked, studies) if not self._archive.is_being_deleted(row.slot))
                label = self._labels(asked, is_for_good)
                while (batch := list(islice(rows, AT_ONCE))) and still():
                    self._delete(batch, label())
                    done += len(batch)
                    progress(done)
                if failure is not None:
                    raise failure
            except (ArchiveError, IndexFault) as error:
                self._log.error("a deletion stopped after %d instances: %s", done, error)
                raise DeletionStopped(f"{error}; {done} instances were deleted before") from error
        self._log.info("%d instances were deleted", done)
        return done

    def replace(self, stored: Stored, newcomer: Instance, keep_aside: Callable[[], None]) -> bool:
        """Deletes what is stored, for good, in favour of another instance of its SOP Instance UID; a query finds one of
        the two at any time. newcomer: durable in its slot, for which the caller cares from then on. keep_aside: called
        when it is sure that what is stored is there. `lock` is held.

        False: it is not stored any more, or a third one is and stays. Raises IndexFault, and ArchiveError, if nothing
        has begun; else DeletionStopped, and the next start comes to its end.
        """
        there = self._index.find(stored.sop_instance_uid)
        if there is None or there.slot != stored.slot:
            return False
        self._await_filing([stored])
        keep_aside()
        with self._kept_from_the_mover([stored]):
            try:
                deletion = self._archive.begin_delete([stored])
            except ArchiveError as error:
                if self._archive.is_being_deleted(stored.slot):
                    raise DeletionStopped(str(error)) from error
                raise
            self._replacing.append(deletion)
            try:
                third = self._index.replace(stored.slot, newcomer)
            except IndexFault as error:
                raise DeletionStopped(str(error)) from error
        # An earlier one may be of the same file, which may come back one day.
        decided = [one for one in self._replacing if one.files[0].slot == stored.slot]
        self._replacing = [one for one in self._replacing if one not in decided]
        self._unfinished += decided
        _, failure = self._finish_all(lambda file: file.slot == stored.slot)
        if failure is not None:
            raise DeletionStopped(str(failure)) from failure
        return third is None

    def keep_house(self, keep_going: Callable[[], bool] = lambda: True) -> None:
        """Tries to finish what stopped in the middle, a thousand instances after the other. Raises the error of what
        cannot be finished yet."""
        with self._trash.lock:
            self._archive.last_room.keep()
            _, failure = self._finish_all(lambda file: True, keep_going)
        if failure is not None:
            raise failure

    def _studies(self, asked: Asked) -> frozenset[str]:
        """Those of the patient, if one is asked for."""
        if asked.patient is None:
            return frozenset()
        found = self._index.studies_of(asked.patient)
        if asked.issuer is None and len({issuer for _, issuer in found}) > 1:
            raise PatientUnclear("several issuers have given out this Patient ID: say which issuer is meant")
        return frozenset(study for study, issuer in found if asked.issuer in (None, issuer))

    def _rows(self, asked: Asked, studies: frozenset[str]) -> Iterator[Stored]:
        if asked.patient is None:
            return self._index.select(asked.study, asked.series, asked.instance)
        return chain.from_iterable(self._index.select(study) for study in sorted(studies))

    def _labels(self, asked: Asked, is_for_good: bool) -> Callable[[], Label | None]:
        if is_for_good:
            return lambda: None
        return self._archive.trash.labels(asked.in_words())

    def _finish_all(self, concerns: Callable[[Tombstone], bool],
                    keep_going: Callable[[], bool] = lambda: True) -> tuple[int, Exception | None]:
        """-> how many instances of concern are gone now, and why others are not.

        What cannot be finished for a while (a folder that the disk does not read) keeps nobody else's from going.
        """
        done = 0
        failure: Exception | None = None
        for deletion in list(self._unfinished):
            if not keep_going():
                break
            number = sum(map(concerns, deletion.files))
            try:
                self._finish(deletion)
                done += number
            except (ArchiveError, IndexFault) as error:
                self._log.warning("a deletion that had stopped cannot be finished yet: %s", error)
                failure = error if number else failure
        return done, failure

    def take_over(self, deletions: Sequence[Deletion]) -> None:
        """These were begun, by whomever, and are to be finished. `trash.lock` is held."""
        self._unfinished = list(deletions)

    def finish_here(self) -> None:
        """Tries to finish those of which nothing waits in another node's intake. `trash.lock` is held."""
        for deletion in list(self._unfinished):
            if not self._archive.wait_elsewhere(deletion.files):
                self._finish(deletion)

    def _await_filing(self, files: Sequence[Stored | Tombstone]) -> None:
        """What waits in the intake of another node, that one files, in a second or two; from then on it touches the
        file no more. Raises StillWaiting."""
        deadline = time.monotonic() + FILING_SECONDS
        while self._archive.wait_elsewhere(files):
            if time.monotonic() > deadline:
                raise StillWaiting("some of them wait to be filed by another node")
            time.sleep(FILING_SECONDS / 100)

    def _delete(self, batch: list[Stored], label: Label | None) -> None:
        self._await_filing(batch)
        with self._kept_from_the_mover(batch):
            deletion = self._archive.begin_delete(batch, label)
            self._unfinished.append(deletion)
            self._finish(deletion)

    def _finish(self, deletion: Deletion) -> None:
        files = deletion.files
        self._await_filing(files)
        with self._kept_from_the_mover(files):
            self._index.remove([file.sop_instance_uid for file in files], [file.slot for file in files])
            tell_blocked(deletion.finish(), self._log)
        self._unfinished.remove(deletion)

    @contextmanager
    def _kept_from_the_mover(self, files: Sequence[Stored | Tombstone]) -> Iterator[None]:
        waiting = self._mover.forget([file.slot for file in files]) if self._mover is not None else []
        try:
            yield
        except BaseException:
            for instance in waiting:
                self._mover.add(instance)   # whatever is left of it still wants to be filed
            raise


def tell_blocked(files: Sequence[Tombstone], log: logging.Logger) -> None:
    """Of instances that were deleted, those in whose place a folder lies."""
    if files:
        tell_obstacles(f"folders have the names of {len(files)} deleted images, and were left as they are", files, log)


def _concerns(asked: Asked, studies: frozenset[str], file: Tombstone | Trashed) -> bool:
    """Whether a file is among those asked for. studies: the patient's, if one is."""
    if asked.patient is not None:
        return file.study_instance_uid in studies
    its = (file.study_instance_uid, file.series_instance_uid, file.sop_instance_uid)
    return all(uid in (None, other) for uid, other in zip((asked.study, asked.series, asked.instance), its))
