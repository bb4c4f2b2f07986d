"""Deleting on request: a durable intention, then the rows, then the files; nothing deleted comes back."""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from dicomserver.archive.archive import Archive
from dicomserver.archive.deletion import Deletion
from dicomserver.archive.errors import ArchiveError
from dicomserver.archive.tombstones import Tombstone
from dicomserver.index import Index, IndexFault, Instance, Stored
from dicomserver.server.mover import Mover

AT_ONCE = 1000      # instances of one tombstone


class DeletionStopped(Exception):
    """Not everything was deleted; the text says why and how far it came. Asking again goes on from there."""


class Deleter:
    """One deletion at a time; one that stopped in the middle is finished before the next begins.

    mover: None when no server runs (then nothing waits in the intake that is not there for recovery).
    """

    def __init__(self, archive: Archive, index: Index, mover: Mover | None, log: logging.Logger) -> None:
        self._archive = archive
        self._index = index
        self._mover = mover
        self._log = log
        self._lock = threading.Lock()
        self._unfinished: list[Deletion] = []   # their tombstones are durable: there is no way back

    def count(self, **uids: str) -> tuple[int, int]:
        """How many instances `delete` would delete, and the bytes of their files. Raises IndexFault."""
        instances = octets = 0
        for row in self._index.select(**uids):
            instances += 1
            octets += row.file_length
        return instances, octets

    def delete(self, *, study: str | None = None, series: str | None = None, instance: str | None = None,
               progress: Callable[[int], None] = lambda done: None) -> int:
        """-> how many instances were deleted, for good: those that have all the UIDs given, at least one.

        Those of them count whose deletion stopped earlier and came to its end only now.

        progress: told how many are gone so far; what it raises ends the deletion between two batches.
        Raises DeletionStopped.
        """
        if study is None and series is None and instance is None:
            raise ValueError("which study, series or instance?")
        uids = (study, series, instance)
        done = 0
        with self._lock:
            try:
                while self._unfinished:
                    deletion = self._unfinished[0]
                    self._finish(deletion)
                    done += sum(_has(file, uids) for file in deletion.files)
                if done:
                    progress(done)
                rows = self._index.select(study=study, series=series, instance=instance)
                while batch := list(islice(rows, AT_ONCE)):
                    self._delete(batch)
                    done += len(batch)
                    progress(done)
            except (ArchiveError, IndexFault) as error:
                self._log.error("a deletion stopped after %d instances: %s", done, error)
                raise DeletionStopped(f"{error}; {done} instances were deleted before") from error
        self._log.info("%d instances were deleted", done)
        return done

    def replace(self, stored: Stored, newcomer: Instance) -> bool:
        """Deletes what is stored, for good, in favour of another instance of its SOP Instance UID; a query finds one of
        the two at any time. newcomer: durable in its slot, for which the caller cares from then on.

        False: a third one is stored by now and stays. Raises ArchiveError if nothing has begun; else DeletionStopped,
        and the next start comes to its end.
        """
        with self._lock:
            with self._kept_from_the_mover([stored]):
                deletion = self._archive.begin_delete([stored])
                self._unfinished.append(deletion)
                try:
                    third = self._index.replace(stored.slot, newcomer)
                except IndexFault as error:
                    raise DeletionStopped(str(error)) from error
            try:
                while self._unfinished:     # an earlier one may be of the same file, which may come back one day
                    self._finish(self._unfinished[0])
            except (ArchiveError, IndexFault) as error:
                raise DeletionStopped(str(error)) from error
        return third is None

    def _delete(self, batch: list[Stored]) -> None:
        with self._kept_from_the_mover(batch):
            deletion = self._archive.begin_delete(batch)
            self._unfinished.append(deletion)
            self._finish(deletion)

    def _finish(self, deletion: Deletion) -> None:
        files = deletion.files
        with self._kept_from_the_mover(files):
            self._index.remove([file.sop_instance_uid for file in files], [file.slot for file in files])
            deletion.finish()
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


def _has(file: Tombstone, uids: tuple[str | None, str | None, str | None]) -> bool:
    return all(uid in (None, its) for uid, its in zip(
        uids, (file.study_instance_uid, file.series_instance_uid, file.sop_instance_uid)))
