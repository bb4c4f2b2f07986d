"""The own memory of a server: RssAnon + RssShmem, without the page cache that its files are mapped from."""
from __future__ import annotations

import threading
from pathlib import Path

EVERY = 0.02        # seconds between two looks


def own_memory(pid: int) -> int:
    """Bytes, of that process and all below it; 0 for one that is gone."""
    total, left = 0, [pid]
    while left:
        one = left.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text()
            for task in Path(f"/proc/{one}/task").iterdir():
                left += map(int, (task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = dict(line.split(":", 1) for line in status.splitlines())
        total += sum(int(fields[name].split()[0]) << 10 for name in ("RssAnon", "RssShmem") if name in fields)
    return total


class PeakMemory:
    """Watches a process while the block runs; `peak` in bytes afterwards."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, own_memory(self._pid))
            if self._over.wait(EVERY):
                return
