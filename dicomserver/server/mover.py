"""The mover: takes instances from the intake to their folders, many at a time, while nobody waits for it.

The order is the promise (nothing acknowledged is ever lost): the index is made durable up to here, then the
archive links, syncs and only then gives the slots back.
"""
from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Collection, Sequence
from typing import Protocol

from dicomserver.archive.errors import StorageFailed
from dicomserver.archive.filing import Outcome, Result, Waiting
from dicomserver.archive.tombstones import Tombstone
from dicomserver.index import Stored
from dicomserver.index.arrivals import Arrivals, day_of
from dicomserver.server.logs import failure_text
from dicomserver.server.settings import MoverSettings


_NEW = (Result.FILED, Result.REPLACED)


class Rows(Protocol):
    """What the mover asks of the index."""

    def make_durable(self) -> None: ...

    def checkpoint(self) -> None: ...

    @property
    def arrivals(self) -> Arrivals: ...

    def find(self, sop_instance_uid: str) -> Stored | None: ...


class Files(Protocol):
    """What the mover asks of the archive."""

    def file_batch(self, batch: Sequence[Waiting]) -> list[Outcome]: ...

    def refuse(self, reason: str) -> None: ...

    def resume(self) -> None: ...


def tell_obstacles(what: str, instances: Sequence[Waiting | Tombstone], log: logging.Logger) -> None:
    """Of what has the names of these instances' files or folders and is none, and what to do."""
    log.error("%s: look for folders named *.dcm in the data directory, and for files or links among the folders of "
              "studies and series; see what they hold, and move them away", what)
    for instance in instances:
        log.debug("there is such a thing at %s/%s/%s.dcm, or above it", instance.study_instance_uid,
                  instance.series_instance_uid, instance.sop_instance_uid)


class Mover:
    """While it cannot move, the archive refuses what is new, so that what waits stays bounded; it tries
    again by itself."""

    def __init__(self, index: Rows, archive: Files, settings: MoverSettings, log: logging.Logger) -> None:
        self._index = index
        self._archive = archive
        self._settings = settings
        self._log = log
        self._changed = threading.Condition()
        self._waiting: dict[int, Waiting] = {}      # by slot, in the order of arrival
        self._waiting_octets = 0
        self._moving: frozenset[int] = frozenset()  # slots of the pass under way
        self._blocked: dict[int, Waiting] = {}      # a folder has their name: each pass tries them again
        self._oldest_since = 0.0
        self._asked = False         # a pass is wanted now
        self._stopping = False
        self._begun = 0             # passes
        self._ended = 0
        self._failures = 0          # passes in a row that failed
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._run, name="mover")

    @property
    def waiting(self) -> int:
        """Instances that are in the intake still."""
        return len(self._waiting) + len(self._moving.union(self._blocked))

    @property
    def failing(self) -> bool:
        return self._failures > 0

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def add(self, waiting: Waiting) -> None:
        """An instance that is in its slot, durably, and in the index.

        Takes a microsecond: its sender waits.
        """
        with self._changed:
            if not self._waiting:
                self._oldest_since = time.monotonic()
            self._waiting[waiting.slot] = waiting
            self._waiting_octets += waiting.file_length
            if len(self._waiting) == 1 or self._is_full():
                self._changed.notify_all()

    def flush(self) -> bool:
        """Moves all that waits now; -> whether that worked."""
        with self._changed:
            if not self._waiting and not self._moving:
                return True
            # A pass under way does not have what was added since it began.
            target = self._begun + 1
            self._asked = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended >= target)
            return not self._failures

    def forget(self, slots: Collection[int]) -> list[Waiting]:
        """What of these slots still waits; it is the caller's from now on.

        Waits for a pass that has some of them.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._moving.isdisjoint(slots))
            taken = [self._waiting.pop(slot) for slot in slots if slot in self._waiting]
            self._waiting_octets -= sum(waiting.file_length for waiting in taken)
            return taken + [self._blocked.pop(slot) for slot in slots if slot in self._blocked]

    def stop(self) -> bool:
        """Moves all that waits, once; -> whether that worked.

        What stays in the intake is found at the next start.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        return not self._waiting

    # The thread

    def _run(self) -> None:
        while True:
            batch, last = self._next_batch()
            # After a failure also without any: the archive refuses until a pass has worked.
            worked = self._pass(batch) if batch or self._failures else True
            self._end_pass(batch, worked)
            if last:
                return

    def _next_batch(self) -> tuple[list[Waiting], bool]:
        with self._changed:
            while not (self._stopping or self._asked) and (left := self._due_at() - time.monotonic()) > 0:
                self._changed.wait(None if left == math.inf else left)
            batch = [*self._blocked.values(), *self._waiting.values()]
            self._waiting = {}
            self._waiting_octets = 0
            self._moving = frozenset(waiting.slot for waiting in batch)
            self._asked = False
            self._begun += 1
            return batch, self._stopping

    def _due_at(self) -> float:
        if self._failures:
            return self._retry_at
        if not self._waiting:
            return math.inf
        return 0.0 if self._is_full() else self._oldest_since + self._settings.interval_seconds

    def _is_full(self) -> bool:
        settings = self._settings
        return len(self._waiting) >= settings.batch or self._waiting_octets >= settings.batch_octets

    def _pass(self, batch: list[Waiting]) -> bool:
        try:
            self._index.make_durable()
            outcomes = self._archive.file_batch(batch)
            self._report(outcomes)
        except Exception as error:
            self._refuse(error)
            return False
        if self._failures:
            self._archive.resume()
            self._log.warning("storing works again")
        try:
            self._index.arrivals.add(day_of(time.time()), sum(
                outcome.waiting.file_length for outcome in outcomes if outcome.result in _NEW))
            self._index.checkpoint()
        except Exception as error:
            # Nothing is lost by it; if the disk is the reason, the next pass says so.
            self._log.warning("the index was not checkpointed: %s", failure_text(error))
        return True

    def _refuse(self, error: Exception) -> None:
        # The archive's and the index's own errors speak for themselves, without UIDs; others may quote
        # anything.
        text = str(error) if isinstance(error, StorageFailed) else failure_text(error)
        self._archive.refuse(text)
        if not self._failures:
            self._log.error("instances cannot be filed; new ones are refused until that works: %s", text)

    def _end_pass(self, batch: list[Waiting], worked: bool) -> None:
        settings = self._settings
        with self._changed:
            if worked:
                self._failures = 0
            else:
                # In front of what came meanwhile: the oldest first.
                again = [waiting for waiting in batch if waiting.slot not in self._blocked]
                self._waiting = {waiting.slot: waiting for waiting in again} | self._waiting
                self._waiting_octets += sum(waiting.file_length for waiting in again)
                pause = settings.first_retry_seconds * 2 ** min(self._failures, 16)
                self._retry_at = time.monotonic() + min(pause, settings.longest_retry_seconds)
                self._failures += 1
            self._moving = frozenset()
            self._ended += 1
            self._changed.notify_all()

    def _report(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.set_aside is not None:
                self._log.error("a file that no row knows had an instance's name; it is quarantine/%s now",
                                outcome.set_aside)
        self._tell_blocked([outcome.waiting for outcome in outcomes if outcome.result is Result.BLOCKED])
        missing = [outcome.waiting for outcome in outcomes if outcome.result is Result.MISSING]
        lost = sum(map(self._has_row, missing))
        if lost:
            self._log.error("%d instances were gone from the intake before they were filed", lost)
        if len(missing) > lost:
            self._log.debug("%d instances were deleted before they were filed", len(missing) - lost)

    def _tell_blocked(self, blocked: list[Waiting]) -> None:
        if new := [waiting for waiting in blocked if waiting.slot not in self._blocked]:
            tell_obstacles(
                f"{len(new)} images cannot be filed, as something else has the names of their files or folders; they "
                "are safe in the intake, and can be retrieved", new, self._log)
        self._blocked = {waiting.slot: waiting for waiting in blocked}

    def _has_row(self, waiting: Waiting) -> bool:
        stored = self._index.find(waiting.sop_instance_uid)
        return stored is not None and stored.slot == waiting.slot
