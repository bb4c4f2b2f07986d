from __future__ import annotations

import dataclasses

from dicomserver.index import Index, rebuild_index, open_index
from tests.index.samples import make

DAY = 86_400_000_000


def test_days_add_up(index: Index) -> None:
    assert index.arrivals.between(0, 100) == (None, 0)
    for day, octets in ((10, 5), (10, 6), (12, 100), (13, 1000)):
        index.arrivals.add(day, octets)
    assert index.arrivals.between(0, 100) == (10, 1111)
    assert index.arrivals.between(11, 13) == (10, 100)


def test_a_rebuilt_index_counts_its_rows(url: str) -> None:
    open_index(url).close()
    with rebuild_index(url) as index:
        for number, day in ((1, 3), (2, 3), (3, 5)):
            index.add(dataclasses.replace(make(number), received_at=day * DAY + 1, file_length=1000 * number))
    index = open_index(url)
    assert index.arrivals.between(0, 4) == (3, 3000) and index.arrivals.between(4, 6) == (3, 3000)
    index.close()
