"""What reading the stored files anew has found: digests, which are damaged, and how far the scrub has come."""
from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from dicomserver.index.engine import Engine
from dicomserver.index.entry import Stored
from dicomserver.index.ledger import stored_of


class Finding(NamedTuple):
    """What reading an instance's file came to. sha256: of the whole file, if that was whole; fault: "" then."""

    stored: Stored
    sha256: bytes | None
    fault: str


class ScrubPlace(NamedTuple):
    """How far a pass over all instances has come. began_at: microseconds since the epoch, UTC."""

    began_at: int
    position: int       # 0 at first, then that of the last instance that was read
    ended: bool


class Integrity:
    """A part of the Index, with its rules. Nothing here is synced: what a power cut takes is found out again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sql = engine.statements

    def record(self, findings: Sequence[Finding]) -> list[bool]:
        """Of each finding: whether its instance is still there. A fault stays until a finding without one."""
        if not findings:
            return []
        now = time.time_ns() // 1000
        with self._engine.lock, self._engine.transaction() as session:
            return [session.run(self._sql.SET_INTEGRITY, (
                now, sha256, fault or None, stored.sop_instance_uid, stored.slot)) > 0
                    for stored, sha256, fault in findings]

    def sha256(self, stored: Stored) -> bytes | None:
        """What the file had when it was found whole for the first time; None: it was not read yet."""
        with self._engine.reading() as session:
            row = session.one(self._sql.FIND_SHA256, (stored.sop_instance_uid, stored.slot))
        return row[0] if row else None

    def count_faults(self) -> int:
        """How many instances are damaged or missing, as far as that is known."""
        with self._engine.reading() as session:
            return session.one(self._sql.COUNT_FAULTS)[0]

    def faults(self, most: int) -> list[tuple[str, str]]:
        """SOP Instance UIDs, the first `most`, and what is wrong with each in words."""
        with self._engine.reading() as session:
            return session.rows(self._sql.FAULTS, (most,))

    def page(self, position: int, most: int) -> list[tuple[int, Stored]]:
        """The instances behind a position, in the order of arrival, each with its own."""
        with self._engine.reading() as session:
            return [(row[0], stored_of(row)) for row in session.rows(self._sql.PAGE_OF_ALL, (position, most))]

    @property
    def place(self) -> ScrubPlace:
        with self._engine.reading() as session:
            began_at, position, ended = session.one(self._sql.SCRUB_PLACE)
        return ScrubPlace(began_at, position, bool(ended))

    @place.setter
    def place(self, place: ScrubPlace) -> None:
        with self._engine.lock:
            self._engine.writer().run(self._sql.SET_SCRUB_PLACE, place)
