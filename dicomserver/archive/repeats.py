"""What was set aside lately and may come again: a modality that is refused may send the same bytes for days."""
from __future__ import annotations

import threading
from collections import OrderedDict

_MOST_REMEMBERED = 1000     # forgetting one, or all with a new start, costs another file in quarantine/


class Repeats:
    """Names in quarantine/, by SOP Instance UID and the dataset's checksum. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: OrderedDict[tuple[str, int], str] = OrderedDict()

    def note(self, sop_instance_uid: str, checksum: int, name: str) -> None:
        """It has come to lie there."""
        with self._lock:
            self._names[sop_instance_uid, checksum] = name
            if len(self._names) > _MOST_REMEMBERED:
                self._names.popitem(last=False)

    def find(self, sop_instance_uid: str, checksum: int) -> str | None:
        """Where it may lie: somebody may have dealt with it, and other bytes may have that checksum."""
        return self._names.get((sop_instance_uid, checksum))
