"""What other threads want done on an association, between two of its messages."""
from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from dicomserver.session.transport import SocketInlet

if TYPE_CHECKING:
    from dicomserver.session.acceptor import AssociationAcceptor

# Called once, on the association's thread: between two messages, or with None when the association is over.
Errand = Callable[["AssociationAcceptor | None"], None]


class Errands:
    """A queue that the association's thread can wait for while it waits for its peer.

    `ask` may be called from any thread, the rest from the association's alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Errand] = deque()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)    # readable while an errand waits

    def ask(self, errand: Errand) -> bool:
        """Whether it will be called; False: the association is over already."""
        with self._lock:
            if self._bell < 0:
                return False
            self._waiting.append(errand)
            os.eventfd_write(self._bell, 1)
            return True

    def next(self, inlet: SocketInlet) -> Errand | None:
        """Waits for the next errand; None: the peer has said something first, which is to be heard now.

        Raises TimeoutError where neither comes within the idle deadline.
        """
        if not inlet.wait_beside(self._bell):
            return None
        with self._lock:
            errand = self._waiting.popleft()
            if not self._waiting:
                os.eventfd_read(self._bell)
            return errand

    def close(self) -> None:
        """The association is over: whatever waits is told so. Safe to call twice."""
        with self._lock:
            bell, self._bell = self._bell, -1
            waiting, self._waiting = self._waiting, deque()
        if bell >= 0:
            os.close(bell)
        for errand in waiting:
            errand(None)
