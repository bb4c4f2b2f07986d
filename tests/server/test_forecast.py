import time

import pytest

from dicomserver.index.arrivals import Arrived, day_of
from dicomserver.server import forecast

GIGABYTE = 10**9


@pytest.mark.parametrize("octets, days, room, says", [
    (70 * GIGABYTE, 7, 95 * GIGABYTE, (10 * GIGABYTE, 9)), (280 * GIGABYTE, 28, 0, (10 * GIGABYTE, 0)),
    (60 * GIGABYTE, 6, GIGABYTE, (None, None)), (0, 0, GIGABYTE, (None, None)), (0, 28, GIGABYTE, (0, None)),
    (GIGABYTE, -3, GIGABYTE, (None, None))])
def test_days_left(octets, days, room, says):
    assert forecast.forecast(Arrived(1, octets), days, room) == says


def test_from_what_is_stored(store):
    """The day of today counts for nothing: it is not over."""
    assert forecast.figures(store.index, store.archive) == {"bytesPerDay": None, "daysLeft": None}
    today = day_of(time.time())
    store.index.arrivals.add(today, 10**15)
    assert forecast.figures(store.index, store.archive) == {"bytesPerDay": None, "daysLeft": None}
    store.index.arrivals.add(today - 10, 10**6)
    store.index.arrivals.add(today - 2, 10**6)
    figures = forecast.figures(store.index, store.archive)
    assert figures["bytesPerDay"] == 200_000
    assert abs(figures["daysLeft"] - store.archive.room() // 200_000) < 1000
    store.index.arrivals.add(today - forecast.SEEN_DAYS - 1, 10**15)      # too long ago
    assert forecast.figures(store.index, store.archive)["bytesPerDay"] == 2 * 10**6 // 28


def test_an_index_that_does_not_answer(store):
    store.index.close()
    assert forecast.figures(store.index, store.archive) == {"bytesPerDay": None, "daysLeft": None}
