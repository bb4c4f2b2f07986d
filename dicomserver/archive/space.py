"""How much room the archive's file system has left."""
from __future__ import annotations

import os
import time

from dicomserver.archive.durable import Folder

_SECONDS_FRESH = 1.0
DEFAULT_RESERVE = 256 << 20


class Space:
    """Free space, asked for at most about once a second. Thread-safe: a race only asks twice."""

    def __init__(self, folder: Folder, reserve: int = DEFAULT_RESERVE) -> None:
        """`reserve`, in bytes, is kept for the index and the mover."""
        self.reserve = reserve
        self._folder = folder
        self._known: tuple[float, int] = (-_SECONDS_FRESH, 0)

    def free(self) -> int:
        """Bytes that an ordinary user may still write, the reserve included."""
        now = time.monotonic()
        asked, free = self._known
        if now - asked >= _SECONDS_FRESH:
            answer = os.statvfs(self._folder.fd)
            free = answer.f_bavail * answer.f_frsize
            self._known = (now, free)
        return free

    def total(self) -> int:
        """Bytes of the file system, without those that only root may write."""
        answer = os.statvfs(self._folder.fd)
        return (answer.f_blocks - answer.f_bfree + answer.f_bavail) * answer.f_frsize

    def is_short(self) -> bool:
        """True when only the reserve is left."""
        return self.free() < self.reserve
