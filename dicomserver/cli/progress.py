"""A progress bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import threading
from types import TracebackType


class Progress:
    """As a context manager, around the work. unit: what is counted. Any thread may tell it."""

    def __init__(self, title: str, unit: str, total: int | None = None):
        self._bar = None
        self._lock = threading.Lock()
        if sys.stderr.isatty():
            from tqdm import tqdm       # late: it takes as long to load as a small study to send

            self._bar = tqdm(desc=title, unit=f" {unit}", total=total, file=sys.stderr, dynamic_ncols=True)

    @property
    def is_shown(self) -> bool:
        """Whether there is a terminal to show it on."""
        return self._bar is not None

    def done(self, count: int = 1) -> None:
        """So many more are done."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(count)

    def expect(self, total: int) -> None:
        """It is known, or known better, how many there will be."""
        if self._bar is not None:
            with self._lock:
                self._bar.total = max(total, self._bar.n)

    def reached(self, done: int, total: int) -> None:
        """So many of so many are done by now."""
        if self._bar is not None:
            with self._lock:
                self._bar.total = max(total, done)
                self._bar.update(done - self._bar.n)

    def say(self, line: str) -> None:
        """A message on stderr, which the bar makes room for."""
        if self._bar is None:
            print(line, file=sys.stderr)
        else:
            with self._lock:
                self._bar.write(line, file=sys.stderr)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
