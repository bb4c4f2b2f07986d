"""Requests that have come while another one is answered, on an association with an asynchronous operations window."""
from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from dicomserver.session.negotiation import AcceptedContext
from dicomserver.wire.command import CommandSet


@dataclass(frozen=True, slots=True)
class Deferred:
    """A request that waits for its turn. dataset: None where it has none, or a longer one than there was room for."""

    context: AcceptedContext
    command: CommandSet
    dataset: bytes | None


class Backlog:
    """Of one association, in the order in which they came. room: for so many bytes of datasets, of all together."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._waiting: deque[Deferred] = deque()

    def add(self, deferred: Deferred) -> None:
        """Behind all others."""
        self._waiting.append(deferred)
        self.room -= len(deferred.dataset or b"")

    def next(self) -> Deferred:
        """Takes the first one out."""
        deferred = self._waiting.popleft()
        self.room += len(deferred.dataset or b"")
        return deferred

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, message_id: int) -> bool:
        return any(deferred.command.message_id == message_id for deferred in self._waiting)
