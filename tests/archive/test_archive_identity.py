from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import ArchiveDamaged
from dicomserver.archive.layout import UNFINISHED


def test_is_made_once_and_stays(data: Path) -> None:
    with Archive(data) as archive:
        assert not (data / "identity").exists()
        said: list[str] = []
        threads = [threading.Thread(target=lambda: said.append(archive.identity())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Archive(data) as archive:
        assert {*said, archive.identity()} == {(data / "identity").read_text().strip()}
    with Archive(data.with_name("other")) as other:
        assert other.identity() != said[0]


def test_a_damaged_one(data: Path) -> None:
    with Archive(data) as archive:
        (data / "identity").write_bytes(b"\xff")
        with pytest.raises(ArchiveDamaged):
            archive.identity()


def test_no_server_starts_on_half_a_restore(data: Path) -> None:
    data.mkdir()
    (data / "format").write_bytes(UNFINISHED)
    with pytest.raises(ArchiveDamaged, match="restore again"):
        Archive(data)
