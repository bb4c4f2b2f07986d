"""A short soak of the real server; and that the check convicts what grows."""
from __future__ import annotations

import pytest

from tests.bench.soak import ACTS, MOST_BYTES, Reading, growth, soak

AT_REST = Reading(0, 30 << 20, 3, 20, 15)
COUNTED = ("memory", "sockets", "files", "threads")


def readings(**each: float) -> list[Reading]:
    """Nine, 1000 associations apart; of what is named each association adds so much."""
    return [Reading(1000 * number, *(int(getattr(AT_REST, what) + each.get(what, 0) * 1000 * number)
                                     for what in COUNTED)) for number in range(9)]


@pytest.mark.parametrize("what, each", [
    ("memory", MOST_BYTES / 5000), ("sockets", 1 / 2000), ("files", 1 / 2000), ("threads", 1 / 2000)])
def test_a_leak_is_convicted(what: str, each: float) -> None:
    grown, = growth(readings(**{what: each}))
    assert grown.startswith(f"{what} grew from ")


def test_what_is_flat_or_shrinks_is_not() -> None:
    assert growth(readings()) == []
    assert growth(readings(sockets=-1 / 3000, memory=MOST_BYTES / 9000)) == []


def test_one_reading_that_stands_out_is_no_leak() -> None:
    one = readings()
    one[-1] = Reading(8000, 90 << 20, 7, 250, 16)
    assert growth(one) == []


def test_a_short_soak(tmp_path) -> None:
    done = soak(tmp_path, 880)
    assert done.did.total() == 880
    assert set(done.did) == set(ACTS)
