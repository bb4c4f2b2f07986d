from __future__ import annotations

import pytest

from dicomserver.transcoding.choice import choose, fallback, is_convertible
from tests.transcoding.datasets import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT

JPEG, JPEG_2000, RLE = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
PAPYRUS, MPEG4 = "1.2.840.10008.1.20", "1.2.840.10008.1.2.4.102"


@pytest.mark.parametrize(("stored", "accepted", "chosen"), [
    (IMPLICIT, {IMPLICIT, EXPLICIT}, IMPLICIT),                 # as it is stored
    (IMPLICIT, {EXPLICIT, DEFLATED, BIG_ENDIAN}, EXPLICIT),
    (EXPLICIT, {IMPLICIT, DEFLATED, BIG_ENDIAN}, IMPLICIT),
    (EXPLICIT, {DEFLATED, BIG_ENDIAN}, DEFLATED),
    (DEFLATED, {BIG_ENDIAN}, BIG_ENDIAN),
    (BIG_ENDIAN, {MPEG4}, None),
    (MPEG4, {EXPLICIT, IMPLICIT}, None),
    (MPEG4, {MPEG4}, MPEG4),
    (PAPYRUS, {IMPLICIT}, None),
    (EXPLICIT, set(), None),
    (JPEG_2000, {EXPLICIT, JPEG_2000}, JPEG_2000),
    (JPEG_2000, {EXPLICIT, IMPLICIT}, EXPLICIT),
    (JPEG_2000, {BIG_ENDIAN}, BIG_ENDIAN),
    (JPEG_2000, {RLE, JPEG}, None),
])
def test_choice(stored: str, accepted: set[str], chosen: str | None) -> None:
    assert choose(stored, accepted) == chosen


@pytest.mark.parametrize(("stored", "proposed"), [
    ([EXPLICIT], [IMPLICIT]),
    ([IMPLICIT], [EXPLICIT]),
    ([IMPLICIT, EXPLICIT, EXPLICIT], []),
    ([DEFLATED], [EXPLICIT, IMPLICIT]),
    ([MPEG4], []),
    ([JPEG, RLE], [EXPLICIT, IMPLICIT]),
    ([JPEG, EXPLICIT], [IMPLICIT]),
    ([MPEG4, BIG_ENDIAN], [EXPLICIT, IMPLICIT]),
])
def test_fallback(stored: list[str], proposed: list[str]) -> None:
    assert list(fallback(stored)) == proposed


def test_convertible() -> None:
    assert is_convertible(DEFLATED) and not is_convertible(MPEG4)
