from __future__ import annotations

import pytest

from dicomserver.archive import repeats
from dicomserver.archive.repeats import Repeats


def test_the_last_name_of_the_same_uid_and_checksum() -> None:
    one = Repeats()
    for checksum, name in ((7, "a"), (8, "b"), (7, "c")):
        one.note("1.2", checksum, name)
    assert [one.find("1.2", 7), one.find("1.2", 8), one.find("1.2", 9), one.find("1.3", 7)] == ["c", "b", None, None]


def test_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "_MOST_REMEMBERED", 2)
    one = Repeats()
    for checksum in (1, 2, 3):
        one.note("1.2", checksum, str(checksum))
    assert [one.find("1.2", checksum) for checksum in (1, 2, 3)] == [None, "2", "3"]
