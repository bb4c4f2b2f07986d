"""Each contract test runs on every engine."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.index import Index, open_index


@pytest.fixture(params=["sqlite", "memory"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    """An empty index."""
    opened = open_index("memory:" if request.param == "memory" else f"sqlite://{tmp_path}/index.db")
    yield opened
    opened.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a file that is not there yet."""
    return f"sqlite://{tmp_path}/index.db"
