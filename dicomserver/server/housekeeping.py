"""What the server does now and then without being asked: one thread, one duty after the other."""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from dicomserver.server.logs import failure_text

KeepGoing = Callable[[], bool]
Duty = tuple[str, Callable[[KeepGoing], None]]


class Housekeeper:
    """duties: names for the log, and what to do; each asks now and then whether it may go on. One that fails is tried
    again the next time."""

    def __init__(self, duties: Sequence[Duty], log: logging.Logger, every_seconds: float = 3600.0) -> None:
        self._duties = duties
        self._log = log
        self._every_seconds = every_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper")

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        """The first round begins at once."""
        self._thread.start()

    def stop(self) -> None:
        """Returns when the duty under way has ended."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def round(self) -> None:
        """Each duty once."""
        for name, duty in self._duties:
            if self._stopping.is_set():
                return
            try:
                duty(lambda: not self._stopping.is_set())
            except Exception as error:
                self._log.error("%s failed: %s", name, failure_text(error))

    def _run(self) -> None:
        self.round()
        while not self._stopping.wait(self._every_seconds):
            self.round()
