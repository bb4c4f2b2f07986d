from __future__ import annotations

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
