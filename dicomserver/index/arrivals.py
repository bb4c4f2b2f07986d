"""How much came on which day."""
from __future__ import annotations

from typing import NamedTuple

from dicomserver.index.engine import Engine


def day_of(seconds: float) -> int:
    """Days since the epoch, UTC, of seconds since it."""
    return int(seconds) // 86400


class Arrived(NamedTuple):
    """first_day: the first on which anything came, days since the epoch in UTC; None: nothing ever."""

    first_day: int | None
    octets: int


class Arrivals:
    """A part of the Index, with its rules. Not synced: an estimate is made of it, no more."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sql = engine.statements

    def add(self, day: int, octets: int) -> None:
        if not octets:
            return
        with self._engine.lock:
            self._engine.writer().run(self._sql.ADD_ARRIVALS, (day, octets))

    def between(self, day: int, end: int) -> Arrived:
        """From `day` on, `end` not included."""
        with self._engine.reading() as session:
            return Arrived(*session.one(self._sql.ARRIVALS_SINCE, (day, end)))
