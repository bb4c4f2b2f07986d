"""slow_sync.c compiled and preloaded: disks with slow syncs, and a count of them."""
from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from tests.preloading import compiled

SOURCE = Path(__file__).with_name("slow_sync.c")
COUNTS = "SLOW_SYNC_COUNTS"     # the environment variable that names the file of the counts
LAYOUT = struct.Struct("=QQQ")


class Counts(NamedTuple):
    """all: every sync. of_slots: those of files in intake/. slot_nanoseconds: spent in the latter."""

    all: int
    of_slots: int
    slot_nanoseconds: int

    def since(self, earlier: Counts) -> Counts:
        """What was counted after `earlier`."""
        return Counts(*(now - then for now, then in zip(self, earlier, strict=True)))


class SlowSync:
    """The shim, compiled into `folder`. milliseconds: what each sync takes at least; 0 only counts."""

    def __init__(self, folder: Path, milliseconds: float) -> None:
        self._milliseconds = milliseconds
        self._library = compiled(SOURCE, folder)
        self._counts = folder / "syncs"
        self._counts.write_bytes(bytes(LAYOUT.size))

    def environment(self) -> dict[str, str]:
        """What a server needs in its environment to get the shim."""
        return {"LD_PRELOAD": str(self._library), "SLOW_SYNC_MS": str(self._milliseconds),
                COUNTS: str(self._counts)}

    def counts(self) -> Counts:
        """Of all servers that had the shim, from the beginning."""
        return read_counts(self._counts)


def read_counts(path: Path) -> Counts:
    """What the file of the counts says."""
    return Counts(*LAYOUT.unpack(path.read_bytes()))
