"""How long the disk lasts, if as much goes on coming as came in the last weeks."""
from __future__ import annotations

import time
from typing import NamedTuple

from dicomserver.archive.archive import Archive
from dicomserver.index import Index, IndexFault
from dicomserver.index.arrivals import Arrived, day_of

SEEN_DAYS = 28      # whole weeks, as no day of a week is like another
FEWEST_DAYS = 7


class Forecast(NamedTuple):
    """days_left: until only the reserve is free. None: unknown, as the history is too short, or nothing comes."""

    bytes_per_day: int | None = None
    days_left: int | None = None


def forecast(arrived: Arrived, days: int, room: int) -> Forecast:
    """arrived: in the last `days` days, all of them over. room: bytes that may still come."""
    if days < FEWEST_DAYS:
        return Forecast()
    rate = arrived.octets // days
    return Forecast(rate, room // rate if rate else None)


def figures(index: Index, archive: Archive) -> dict[str, object]:
    """For the statistics."""
    try:
        found = _now(index, archive)
    except IndexFault:
        found = Forecast()
    return {"bytesPerDay": found.bytes_per_day, "daysLeft": found.days_left}


def _now(index: Index, archive: Archive) -> Forecast:
    today = day_of(time.time())
    arrived = index.arrivals.between(today - SEEN_DAYS, today)
    days = 0 if arrived.first_day is None else min(SEEN_DAYS, today - arrived.first_day)
    return forecast(arrived, days, archive.room())
