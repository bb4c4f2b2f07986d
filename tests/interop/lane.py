"""A modality that stores all the time, while something happens to the server."""
from __future__ import annotations

import threading
import time

from tests.interop.installed import Installed
from tests.interop.sender import Sender
from tests.interop.synthetic import CT, EXPLICIT, instance


class Lane:
    """An association that stores one instance after another and never ends for a refusal. statuses: by SOP Instance
    UID; ended: why it has ended by itself."""

    def __init__(self, server: Installed, number: int) -> None:
        self.statuses: dict[str, int] = {}
        self.ended: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(server.port, number))
        self._thread.start()

    @property
    def acknowledged(self) -> set[str]:
        return {uid for uid, status in list(self.statuses.items()) if status == 0}

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def count(self, status: int) -> int:
        return list(self.statuses.values()).count(status)

    def _run(self, port: int, lane: int) -> None:
        try:
            with Sender(port, [(CT, [EXPLICIT])]) as sender:
                number = 0
                while not self._stopping.is_set():
                    number += 1
                    one = instance(100 * lane + number % 5, number)
                    self.statuses[one.sop_instance] = sender.store(1, CT, one.sop_instance, one.dataset).status
                    if self.statuses[one.sop_instance]:
                        time.sleep(0.1)     # as a modality that tries again
        except BaseException as error:
            self.ended = error
