"""Who completes an instance, or brings one back: one at a time for each SOP Instance UID; and in which order.

Without it two complete slots of one UID could be written side by side, one to be refused; after a power cut nothing
would say which one was acknowledged. With it the one sealed first was, and the slots say in which order they were.
"""
from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count


CROWDED_FOR = 64    # claims, after two were held at once


class ClaimTaken(Exception):
    """Somebody else did not finish with this UID in time."""


class Claims:
    """Thread-safe. patience: seconds that a second claim on a UID waits for the first one's end."""

    def __init__(self, patience: float = 10.0) -> None:
        self._patience = patience
        self._held: set[str] = set()
        self._changed = threading.Condition()
        self._awaited: Counter[str] = Counter()     # how many wait for a UID
        self._crowded = 0
        self._order = count(1)

    def take(self, sop_instance_uid: str) -> None:
        """From now on, until `give_back`, nobody else has this UID. Raises ClaimTaken."""
        with self._changed:
            if self._held:
                self._crowded = CROWDED_FOR
            elif self._crowded:
                self._crowded -= 1
            if sop_instance_uid in self._held:
                self._await(sop_instance_uid)
            self._held.add(sop_instance_uid)

    def give_back(self, sop_instance_uid: str) -> None:
        """The claim is over."""
        with self._changed:
            self._held.discard(sop_instance_uid)
            if sop_instance_uid in self._awaited:   # else all those who wait would look for nothing
                self._changed.notify_all()

    @contextmanager
    def held(self, sop_instance_uid: str) -> Iterator[None]:
        """Nobody else has this UID meanwhile. Raises ClaimTaken."""
        self.take(sop_instance_uid)
        try:
            yield
        finally:
            self.give_back(sop_instance_uid)

    @property
    def is_lone(self) -> bool:
        """Whether one instance at a time is completed, as far as the last ones tell."""
        return not self._crowded

    def order(self) -> int:
        """For the preamble of the file that whoever holds a claim seals next; rises from one start to the next."""
        return next(self._order)

    def _await(self, sop_instance_uid: str) -> None:
        self._awaited[sop_instance_uid] += 1
        try:
            if not self._changed.wait_for(lambda: sop_instance_uid not in self._held, self._patience):
                raise ClaimTaken("another association is storing this instance")
        finally:
            self._awaited[sop_instance_uid] -= 1
            if not self._awaited[sop_instance_uid]:
                del self._awaited[sop_instance_uid]
