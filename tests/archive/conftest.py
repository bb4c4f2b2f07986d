from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def archive(data: Path) -> Iterator[Archive]:
    opened = Archive(data)
    yield opened
    opened.close()


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[int]:
    """An empty file, open."""
    fd = os.open(tmp_path / "slot", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    yield fd
    os.close(fd)
