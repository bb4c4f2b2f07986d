"""Storage commitments from their acceptance to the delivery of their reports (PS3.4 J).

    accept     the request is made durable, and then its requester told so; on the association's thread
    check      every file is read, one request after the other; on the thread of this module
    deliver    on the requester's association if that lasts still, between two messages of its
    outbox     else on an association of ours, from the requester's own outbox (dicomserver.server.outbox)
    finish     the requester has answered the report with success, or it was tried for days

What a check found is kept in memory only. After a restart, and when it has grown old, the files are read again; but not
before the requester proves to be there.
"""
from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable, Sequence
from functools import partial

from dicomserver.archive.archive import Archive
from dicomserver.archive.commitments import CommitmentRequest, Reference
from dicomserver.archive.errors import ArchiveDamaged, ArchiveError, CommitmentFailed
from dicomserver.index import Index, IndexFault
from dicomserver.server.courier import Courier
from dicomserver.server.logs import failure_text
from dicomserver.server.outbox import Commitment, Outbox
from dicomserver.server.settings import CommitmentSettings, ServerSettings
from dicomserver.services.commitment import CommitmentRefused, SameAssociation
from dicomserver.services.commitment_report import Interrupted, check, event_report
from dicomserver.services.move import Destination
from dicomserver.standard import statuses
from dicomserver.standard.statuses import Category, category
from dicomserver.wire.command import CommandSet


class Committer:
    """Every method may be called from any thread. settings: what holds now."""

    settings: CommitmentSettings

    def __init__(self, index: Index, archive: Archive, settings: ServerSettings, log: logging.Logger) -> None:
        self._index = index
        self._archive = archive
        self._log = log
        self._changed = threading.Condition()
        self._known: set[tuple[str, str]] = set()       # requester and Transaction UID of all that waits
        self._strangers = 0
        self._unchecked: list[Commitment] = []          # in the order of arrival
        self._outboxes: dict[str, Outbox] = {}          # by requester
        self._reported = 0
        self._given_up = 0
        self._stopping = False
        self._courier = Courier(settings.ae_title, settings.association.deadlines())
        self._thread = threading.Thread(target=self._run, name="commitments")
        self.configure(settings)

    def configure(self, settings: ServerSettings) -> None:
        """Takes over the destinations and all else; what waits is tried with them now."""
        self._courier.configure(settings.ae_title, settings.association.deadlines())
        by_ae_title = {destination.ae_title: destination for destination in settings.destinations.values()}
        with self._changed:
            self.settings = settings.commitment
            self._ae_title = settings.ae_title
            self._destinations = by_ae_title | dict(settings.destinations)
            outboxes = list(self._outboxes.values())
        for outbox in outboxes:
            outbox.hasten()

    def start(self) -> None:
        """Takes up what an earlier process has left. Raises CommitmentFailed."""
        self.take_up(self._archive.commitments.waiting())
        if self._known:
            self._log.info("%d storage commitments wait since before the start", len(self._known))
        self._thread.start()

    def take_up(self, waiting: Iterable[tuple[str, CommitmentRequest | None]]) -> None:
        """Others have accepted them. Raises what the iterable does."""
        for name, request in waiting:
            if request is None:
                self._log.error("commitments/%s cannot be understood: its requester gets no report", name)
                continue
            with self._changed:
                self._known.add(_key(request))
            self._post(Commitment(name, request))

    def stop(self) -> bool:
        """Ends what is under way; what waits is taken up at the next start. -> True"""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            outboxes = list(self._outboxes.values())
        for outbox in outboxes:
            outbox.stop()
        self._courier.stop()
        if self._thread.ident is not None:
            self._thread.join()
        for outbox in outboxes:
            outbox.join()
        return True

    def figures(self) -> dict[str, object]:
        """For `stats`."""
        with self._changed:
            return {
                "commitmentsWaiting": len(self._known),
                "commitmentsReported": self._reported,
                "commitmentsGivenUp": self._given_up,
                "commitmentRequestersFailing": sum(outbox.failing for outbox in self._outboxes.values()),
            }

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    # -- accepting, on associations' threads

    def accept(self, request: CommitmentRequest, references: Sequence[Reference],
               association: SameAssociation) -> None:
        """See services.commitment.Accept. Costs two syncs."""
        commitment = Commitment("", request, association, request.requester not in self._destinations)
        self._admit(commitment)
        try:
            if self._archive.is_short:
                raise CommitmentRefused(statuses.RESOURCE_LIMITATION, "only the reserve of free space is left")
            commitment.name = self._archive.commitments.add(request, references)
        except CommitmentFailed as error:
            self._forget(commitment)
            raise CommitmentRefused(statuses.RESOURCE_LIMITATION, str(error)) from None
        except BaseException:
            self._forget(commitment)
            raise
        self.check_again(commitment)

    def _admit(self, commitment: Commitment) -> None:
        with self._changed:
            if _key(commitment.request) in self._known:
                raise CommitmentRefused(statuses.DUPLICATE_TRANSACTION_UID, "the transaction is under way already")
            if (len(self._known) >= self.settings.most_waiting
                    or commitment.is_stranger and self._strangers >= self.settings.most_of_strangers):
                raise CommitmentRefused(statuses.RESOURCE_LIMITATION, "too many storage commitments wait")
            self._known.add(_key(commitment.request))
            self._strangers += commitment.is_stranger

    def _forget(self, commitment: Commitment) -> None:
        with self._changed:
            self._known.discard(_key(commitment.request))
            self._strangers -= commitment.is_stranger

    # -- checking, on the thread of its own

    def check_again(self, commitment: Commitment) -> None:
        """The files are to be read (again)."""
        with self._changed:
            self._unchecked.append(commitment)
            self._changed.notify_all()

    def _run(self) -> None:
        while (commitment := self._next()) is not None:
            try:
                self._check(commitment)
            except Interrupted:
                return
            except ArchiveDamaged as error:
                self._log.error("a storage commitment for %s gets no report: %s", commitment.request.requester, error)
                self.finish(commitment, delivered=False)
            except Exception as error:
                # The index or the disk: the requester need not hear of it, for it passes.
                text = str(error) if isinstance(error, (ArchiveError, IndexFault)) else failure_text(error)
                self._log.error("the check of a storage commitment is put off: %s", text)
                commitment.check_from = time.monotonic() + self.settings.first_retry_seconds
                self.check_again(commitment)

    def _next(self) -> Commitment | None:
        """Waits for one that may be checked now; None at the end."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                for commitment in self._unchecked:
                    if commitment.check_from <= now:
                        self._unchecked.remove(commitment)
                        return commitment
                due_at = min((commitment.check_from for commitment in self._unchecked), default=math.inf)
                self._changed.wait(None if due_at == math.inf else due_at - now)
        return None

    def _check(self, commitment: Commitment) -> None:
        requester = commitment.request.requester
        references = self._archive.commitments.references(commitment.name)
        commitment.reasons = check(self._index, self._archive, references, lambda: not self._stopping, self._log)
        commitment.checked_at = time.monotonic()
        failed = sum(map(bool, commitment.reasons))
        self._log.log(logging.WARNING if failed else logging.INFO,
                      "storage commitment for %s: %d of %d instances are committed", requester,
                      len(references) - failed, len(references))
        if commitment.association is None:
            self._post(commitment)
        else:
            commitment.association.deliver(partial(self.report, commitment), partial(self._on_response, commitment))

    # -- reporting

    def report(self, commitment: Commitment, transfer_syntax: str) -> tuple[CommandSet, bytes]:
        """See services.commitment.Report."""
        references = self._archive.commitments.references(commitment.name)
        return event_report(commitment.request.transaction_uid, references, commitment.reasons, self._ae_title,
                            transfer_syntax)

    def destination(self, requester: str) -> Destination | None:
        """Where it is, if that is configured: by the name of the destination, else by its AE title."""
        return self._destinations.get(requester)

    def _on_response(self, commitment: Commitment, status: int | None) -> None:
        """The requester has answered the report on its own association; None: it has not, and that is over."""
        commitment.association = None
        requester = commitment.request.requester
        if status is not None and category(status) in (Category.SUCCESS, Category.WARNING):
            self.finish(commitment, delivered=True)
        elif self.destination(requester) is not None:
            self._post(commitment)
        else:
            self._log.warning("the report of a storage commitment for %s was not taken on its own association and is "
                              "dropped: it is not in knownDestinations", requester)
            self.finish(commitment, delivered=False)

    def _post(self, commitment: Commitment) -> None:
        requester = commitment.request.requester
        with self._changed:
            if self._stopping:
                return      # the next start takes it up
            outbox = self._outboxes.get(requester)
            if outbox is None:
                outbox = self._outboxes[requester] = Outbox(requester, self, self._courier, self._log)
        outbox.post(commitment)

    def finish(self, commitment: Commitment, *, delivered: bool) -> None:
        """Nothing is left to do for it."""
        try:
            self._archive.commitments.drop(commitment.name)
        except CommitmentFailed as error:
            self._log.error("a storage commitment may be reported again after the next start: %s", error)
        self._forget(commitment)
        with self._changed:
            self._reported += delivered
            self._given_up += not delivered


def _key(request: CommitmentRequest) -> tuple[str, str]:
    return request.requester, request.transaction_uid
