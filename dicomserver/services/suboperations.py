"""The C-STORE sub-operations of a retrieval: what is sent, what became of it, and how the requester hears of it.

PS3.4 C.4.2 and C.4.3, PS3.7 9.1.3 and 9.1.4. C-MOVE and C-GET differ in where the instances go; all else is here.
"""
from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Protocol

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import ArchiveError
from dicomserver.index import Index, IndexFault, Stored
from dicomserver.services.inspection import Inspector
from dicomserver.services.outgoing import NotSent, Outgoing
from dicomserver.session.association import AssociationEnded
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.session.transport import FileUnusable
from dicomserver.standard import statuses
from dicomserver.standard.statuses import Category, category
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import DATA_SET_FOLLOWS, response_to
from dicomserver.wire.element import encode_element

AT_ONCE = 128                   # rows of the index
FAILED_SOP_INSTANCE_UID_LIST = 0x00080058
PENDING_SECONDS = 0.25          # between two pending responses


class Ended(Exception):
    """Nothing more can be sent: the association with whoever receives is over. The text says why."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one C-STORE-RQ. status: None where no answer came, and none will: then `why` says it."""

    sop_instance_uid: str
    status: int | None
    why: str = ""


class Receiver(Protocol):
    """Who gets the instances, and may take several before it answers. Used by one thread."""

    @property
    def due(self) -> int:
        """How many are not answered."""

    def has_room(self, stored: Stored) -> bool:
        """Whether it may be sent before another answer has come. Raises Ended."""

    def send(self, outgoing: Outgoing) -> None:
        """Sends one C-STORE-RQ, where there is room. Raises NotSent."""

    def wait(self) -> list[Answered]:
        """Waits for answers where some are due; none where whoever asked for the retrieval says something before."""


@dataclass(slots=True)
class Counters:
    """Of sub-operations (PS3.7 9.1.4.1.6)."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)

    def count(self, sop_instance_uid: str, status: int | None) -> None:
        """One more is done; None: it was not even sent."""
        self.remaining -= 1
        kind = Category.FAILURE if status is None else category(status)
        if kind is Category.SUCCESS:
            self.completed += 1
        elif kind is Category.WARNING:
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(sop_instance_uid)

    def fail_remaining(self) -> None:
        """None of the rest can be done, and nobody can say which they are."""
        self.failed += self.remaining
        self.remaining = 0

    def final_status(self, cancelled: bool) -> int:
        """PS3.4 C.4.2.1.5: what the final response says."""
        if cancelled:
            return statuses.CANCEL
        if self.failed and not self.completed and not self.warning:
            return statuses.REFUSED_CANNOT_PERFORM_SUBOPERATIONS
        return statuses.SUBOPERATIONS_COMPLETE_WITH_FAILURES if self.failed or self.warning else statuses.SUCCESS


class SubOperations:
    """One retrieval. ids: of the instances (Index.instance_ids). cancelled: asked between two sub-operations."""

    def __init__(self, index: Index, archive: Archive, ids: Sequence[int], log: logging.Logger) -> None:
        self._index = index
        self._archive = archive
        self._ids = ids
        self._log = log
        self._inspector = Inspector(archive, index, log)
        self._reasons: Counter[str] = Counter()     # why instances were not sent, or not taken
        self.counters = Counters(len(ids))

    def run(self, receiver: Receiver, cancelled: Callable[[], bool], tell: Callable[[Counters], None]) -> bool:
        """Sends all to `receiver`; -> whether it was cancelled. tell: sends a pending response, now and then."""
        told = time.monotonic()

        def settle() -> None:
            nonlocal told
            for answered in receiver.wait():
                self._count(answered)
            if self.counters.remaining and time.monotonic() - told >= PENDING_SECONDS:
                tell(self.counters)
                told = time.monotonic()
        try:
            is_cancelled = self._send_all(receiver, cancelled, settle)
            while receiver.due:
                settle()
            if not is_cancelled:
                self.counters.fail_remaining()      # those of which the index did not say what they are
            return is_cancelled
        finally:
            for reason, number in self._reasons.items():
                self._log.warning("%d sub-operations failed: %s", number, reason)

    def _send_all(self, receiver: Receiver, cancelled: Callable[[], bool], settle: Callable[[], None]) -> bool:
        """Until it is cancelled or nothing more can be sent."""
        waiting = self._stored()
        try:
            for stored in waiting:
                try:
                    while not (is_cancelled := cancelled()) and not receiver.has_room(stored):
                        settle()
                    if is_cancelled:
                        return True
                    self._send(receiver, stored)
                except Ended as ended:
                    for unsent in chain([stored], waiting):
                        self._count(Answered(unsent.sop_instance_uid, None, str(ended)))
        except IndexFault as error:
            self._reasons[f"the index does not answer: {error}"] += self.counters.remaining - receiver.due
        return False

    def _send(self, receiver: Receiver, stored: Stored) -> None:
        try:
            file = self._archive.open_instance(stored.slot, stored.study_instance_uid, stored.series_instance_uid,
                                               stored.sop_instance_uid)
            try:
                receiver.send(Outgoing(stored, file, self._archive))
            finally:
                os.close(file)
        except NotSent as error:
            self._count(Answered(stored.sop_instance_uid, None, str(error)))
        except (ArchiveError, FileUnusable, OSError) as error:
            # An OSError's whole text names the file, which has the SOP Instance UID for its name.
            why = error.strerror if isinstance(error, OSError) else error
            self._log.error("a stored instance cannot be sent: %s", why)
            self._count(Answered(stored.sop_instance_uid, None))
            self._inspector.suspect(stored)
        except AssociationEnded as ended:
            if isinstance(ended.cause, FileUnusable):
                self._inspector.suspect(stored)
            raise

    def _count(self, answered: Answered) -> None:
        status = answered.status
        self.counters.count(answered.sop_instance_uid, status)
        if status is not None and category(status) is Category.FAILURE:
            self._reasons[f"the peer answers with {status:04X}H"] += 1
        elif answered.why:
            self._reasons[answered.why] += 1

    def _stored(self) -> Iterator[Stored]:
        for at in range(0, len(self._ids), AT_ONCE):
            ids = self._ids[at:at + AT_ONCE]
            found = self._index.instances(ids)
            self.counters.remaining -= len(ids) - len(found)     # deleted since they were counted
            yield from found


def message_ids(after: int = 0) -> Iterator[int]:
    """Increasing; 0 is left out, since some take it for none."""
    return (number % 0xFFFF + 1 for number in count(after))


def pending(request: CommandSet, counters: Counters) -> CommandSet:
    """A pending response with all four counters."""
    return _with_counters(response_to(request, statuses.PENDING), counters, remaining=True)


def final(request: CommandSet, counters: Counters, cancelled: bool, context: AcceptedContext) -> tuple[CommandSet,
                                                                                                       bytes | None]:
    """The last response: without what remains, unless it was cancelled; with the list of the failed, if any."""
    status = counters.final_status(cancelled)
    response = _with_counters(response_to(request, status), counters, remaining=cancelled)
    if not counters.failed_uids:
        return response, None
    response.command_data_set_type = DATA_SET_FOLLOWS
    return response, failed_list(counters.failed_uids, context.transfer_syntax)


def _with_counters(response: CommandSet, counters: Counters, *, remaining: bool) -> CommandSet:
    most = 0xFFFF       # the counters are US
    if remaining:
        response.number_of_remaining_suboperations = min(counters.remaining, most)
    response.number_of_completed_suboperations = min(counters.completed, most)
    response.number_of_failed_suboperations = min(counters.failed, most)
    response.number_of_warning_suboperations = min(counters.warning, most)
    return response


def failed_list(uids: Sequence[str], transfer_syntax: str) -> bytes:
    """A dataset with (0008,0058). As UI it holds 64 KB in explicit VR; a longer one is UN (PS3.5 6.2.2)."""
    how = encoding(transfer_syntax)
    return encode_element(FAILED_SOP_INSTANCE_UID_LIST, "UI", "\\".join(uids).encode("ascii"), how.explicit,
                          how.big_endian)
