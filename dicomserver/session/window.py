"""Asynchronous operations (PS3.7 D.3.3.3): requests that are answered by other threads while the next ones arrive."""
from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor


class NotBegun(RuntimeError):
    """The executor took no more work: this operation was not begun, and will not be."""


class OperationsWindow:
    """Of one association. size: operations at the same time; executor: whose threads do the work."""

    def __init__(self, size: int, executor: Executor) -> None:
        self.size = size
        self._executor = executor
        self._changed = threading.Condition()
        self._busy = 0
        self._open: dict[int, Callable[[], None]] = {}          # by message id
        self._waiting: dict[int, Callable[[], None]] = {}       # of those that are open, not begun

    def is_open(self, message_id: int) -> bool:
        """Whether the request with that id is not answered yet."""
        return message_id in self._open

    def close(self, message_id: int) -> None:
        """Its response leaves now: when the peer has that, it may use the id again."""
        with self._changed:
            self._open.pop(message_id, None)

    def run(self, message_id: int, work: Callable[[], None]) -> None:
        """Waits until fewer than `size` are under way, then hands `work` on. It must raise nothing. Raises NotBegun."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy < self.size)
            self._busy += 1
            self._open[message_id] = self._waiting[message_id] = work
        try:
            self._executor.submit(self._work, message_id)
        except Exception as error:
            # It may be queued all the same, where the system gave no new thread for it: one that there is may have
            # begun it, and none shall begin it later, when the connection is closed or another's.
            if self._take(message_id) is None:
                return
            self._done(message_id, work)
            raise NotBegun(str(error)) from error

    def settle(self) -> None:
        """Waits until all are answered."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy)

    def _take(self, message_id: int) -> Callable[[], None] | None:
        """The work, for the first who asks."""
        with self._changed:
            return self._waiting.pop(message_id, None)

    def _work(self, message_id: int) -> None:
        work = self._take(message_id)
        if work is None:
            return
        try:
            work()
        finally:
            self._done(message_id, work)

    def _done(self, message_id: int, work: Callable[[], None]) -> None:
        with self._changed:
            self._busy -= 1
            if self._open.get(message_id) is work:      # else it was closed, and the id may be another's by now
                del self._open[message_id]
            self._changed.notify_all()
