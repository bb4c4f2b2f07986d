"""How much room the archive's file system has left."""
from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dicomserver.archive.durable import FILE_MODE, Folder, unlink_if_there

_SECONDS_FRESH = 1.0
DEFAULT_RESERVE = 256 << 20
LAST_ROOM = 4 << 20
LAST_ROOM_FILE = "room"


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


class LastRoom:
    """A file of nothing, which gives its room to a deletion where something else has filled the disk to its last byte:
    that writes, a tombstone and the index, before it makes any. One deletion at a time."""

    def __init__(self, root: Folder) -> None:
        self._root = root

    def keep(self) -> None:
        """Makes the file, if it is not there; where there is no room for it, the next time."""
        with suppress(OSError):
            fd = os.open(LAST_ROOM_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE,
                         dir_fd=self._root.fd)
            try:
                os.posix_fallocate(fd, 0, LAST_ROOM)
            except OSError:
                unlink_if_there(LAST_ROOM_FILE, self._root)     # a part of it helps nobody, and others need it
                raise
            finally:
                os.close(fd)

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """Within, there is its room; at the end it is made anew. After a crash in between, by the next `keep`."""
        with suppress(OSError):
            unlink_if_there(LAST_ROOM_FILE, self._root)
        try:
            yield
        finally:
            self.keep()
