"""The reports of storage commitment that need an association of ours: by requester, and retried until delivered."""
from __future__ import annotations

import logging
import math
import threading
import time
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from dicomserver.archive.commitments import CommitmentRequest
from dicomserver.archive.errors import ArchiveDamaged, ArchiveError
from dicomserver.server.courier import Courier, NotDelivered, Refused, Visit
from dicomserver.server.logs import failure_text
from dicomserver.server.settings import CommitmentSettings
from dicomserver.services.commitment import SameAssociation
from dicomserver.services.move import Destination
from dicomserver.wire.command import CommandSet


@dataclass(slots=True, eq=False)
class Commitment:
    """A request that waits, for its check or for its report's delivery. Times are of the monotonic clock.

    is_stranger: its requester was no known destination when it came. reasons: see services.commitment_report.check.
    """

    name: str
    request: CommitmentRequest
    association: SameAssociation | None = None      # that of the request, until it proves to be over
    is_stranger: bool = False
    reasons: Sequence[int] = field(default_factory=lambda: array("H"))
    checked_at: float = -math.inf
    check_from: float = 0.0                         # not before


class Office(Protocol):
    """What an outbox asks of dicomserver.server.commitments.Committer."""

    settings: CommitmentSettings

    def destination(self, requester: str) -> Destination | None: ...

    def report(self, commitment: Commitment, transfer_syntax: str) -> tuple[CommandSet, bytes]: ...

    def check_again(self, commitment: Commitment) -> None: ...

    def finish(self, commitment: Commitment, *, delivered: bool) -> None: ...


class Outbox:
    """For one requester, which is visited from a thread of its own: should it be down, slow or hanging, nobody else's
    report waits for it. What is delivered in one visit goes over one association."""

    def __init__(self, requester: str, office: Office, courier: Courier, log: logging.Logger) -> None:
        self._requester = requester
        self._office = office
        self._courier = courier
        self._log = log
        self._changed = threading.Condition()
        self._waiting: list[Commitment] = []
        self._failures = 0          # visits in a row
        self._due_at = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"outbox of {requester}")
        self._thread.start()

    @property
    def failing(self) -> bool:
        """Whether the last visit failed."""
        return self._failures > 0

    def post(self, commitment: Commitment) -> None:
        """Its report is ready."""
        with self._changed:
            self._waiting.append(commitment)
            self._changed.notify_all()

    def hasten(self) -> None:
        """Something has changed that may help: tries again now."""
        with self._changed:
            self._due_at = 0.0
            self._changed.notify_all()

    def stop(self) -> None:
        """No more visits; one under way is the courier's to end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def join(self) -> None:
        """Waits for the thread, after `stop`."""
        self._thread.join()

    def _run(self) -> None:
        while (reports := self._next()) is not None:
            left = deque(filter(self._is_wanted, reports))
            if not left:
                continue
            problem = self._visit(left)
            with self._changed:
                self._waiting = [*left, *self._waiting]
                self._plan(problem)

    def _next(self) -> list[Commitment] | None:
        """Waits until there are reports, and their time has come; None at the end."""
        with self._changed:
            while not self._stopping:
                pause = self._due_at - time.monotonic()
                if self._waiting and pause <= 0:
                    reports, self._waiting = self._waiting, []
                    return reports
                self._changed.wait(pause if self._waiting else None)
        return None

    def _is_wanted(self, commitment: Commitment) -> bool:
        if time.time() - commitment.request.received_at <= self._office.settings.report_age_seconds:
            return True
        self._log.error("the report of a storage commitment for %s is given up: it could not be delivered in time",
                        self._requester)
        self._office.finish(commitment, delivered=False)
        return False

    def _visit(self, left: deque[Commitment]) -> str | None:
        """Delivers what it can, and takes that out of `left`; -> what went wrong."""
        problem = None
        try:
            destination = self._office.destination(self._requester)
            if destination is None:
                return "it is not in knownDestinations"
            with self._courier.visit(destination) as visit:
                for message_id in range(1, len(left) + 1):
                    refusal = self._deliver(visit, message_id, left[0])
                    if refusal is None:
                        left.popleft()
                    else:
                        problem = refusal
                        left.rotate(-1)
        except (NotDelivered, ArchiveError) as error:
            problem = str(error)
        except Exception as error:
            problem = failure_text(error)
        return problem

    def _deliver(self, visit: Visit, message_id: int, commitment: Commitment) -> str | None:
        """-> what the requester has against the report, None: it is delivered, or nothing can be delivered now."""
        if time.monotonic() - commitment.checked_at > self._office.settings.check_holds_seconds:
            # Only now, when the requester is there: for one that is away many files would be read in vain.
            self._office.check_again(commitment)
            return None
        try:
            visit.deliver(partial(self._office.report, commitment), message_id)
        except Refused as refused:
            return str(refused)
        except ArchiveDamaged as damage:
            self._log.error("a storage commitment for %s gets no report: %s", self._requester, damage)
            self._office.finish(commitment, delivered=False)
        else:
            self._office.finish(commitment, delivered=True)
        return None

    def _plan(self, problem: str | None) -> None:
        """The next visit. Under the lock."""
        if problem is None:
            if self._failures and not self._waiting:
                self._log.info("reports of storage commitment reach %s again", self._requester)
            self._failures = 0
            self._due_at = 0.0
            return
        if not self._failures and not self._stopping:
            self._log.warning("reports of storage commitment for %s wait: %s", self._requester, problem)
        settings = self._office.settings
        pause = settings.first_retry_seconds * 2 ** min(self._failures, 16)
        self._due_at = time.monotonic() + min(pause, settings.longest_retry_seconds)
        self._failures += 1
