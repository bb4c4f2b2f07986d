"""Leader and followers: whoever takes the lock first commits everybody's work, the others find theirs done.

A lone writer pays no thread hop; several share one transaction while the one before it runs.
"""
from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dicomserver.index.entry import Instance, Stored
from dicomserver.index.errors import IndexUnavailable

BATCH_LIMIT = 128


@dataclass(slots=True, eq=False)
class Ticket:
    """One instance on its way in, and what came of it. `commit` fills in the outcome and sets `settled`."""

    instance: Instance
    number: int | None  # instance number, decoded outside the lock
    settled: bool = False
    stored: Stored | None = None
    error: Exception | None = None
    doubtful: bool = False  # a commit of it was begun, and nobody knows whether it took place

    def settle(self, stored: Stored | None = None, error: Exception | None = None) -> None:
        """Once; nobody reads the outcome before `settled`."""
        self.stored, self.error, self.settled = stored, error, True


class TicketQueue:
    """`commit` gets every batch of tickets under `lock` and settles each of them."""

    def __init__(self, lock: threading.Lock, commit: Callable[[list[Ticket]], None]):
        self._lock = lock
        self._commit = commit
        self._waiting: deque[Ticket] = deque()

    def pass_through(self, ticket: Ticket) -> Stored | None:
        """Returns when the ticket is settled: its outcome, or its error raised. Any thread."""
        self._waiting.append(ticket)
        while not ticket.settled:
            with self._lock:
                if not ticket.settled:
                    self._lead()
        if ticket.error is not None:
            raise ticket.error
        return ticket.stored

    def _lead(self) -> None:
        batch: list[Ticket] = []
        while self._waiting and len(batch) < BATCH_LIMIT:
            batch.append(self._waiting.popleft())
        try:
            self._commit(batch)
        finally:
            # A follower whose ticket left the queue unsettled would wait for ever.
            for ticket in batch:
                if not ticket.settled:
                    ticket.settle(error=IndexUnavailable("the thread that was writing was interrupted"))
