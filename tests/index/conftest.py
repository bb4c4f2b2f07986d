"""Each contract test runs on every engine."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.index import Index, open_index
from tests.index.emptied import cleared, emptied
from tests.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    """An empty index."""
    urls = {"sqlite": f"sqlite://{tmp_path}/index.db", "memory": "memory:"}
    opened = open_index(urls.get(request.param) or cleared(request.getfixturevalue("postgres")))
    yield opened
    opened.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a file that is not there yet."""
    return f"sqlite://{tmp_path}/index.db"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """Of a database in which no index is yet."""
    return emptied(postgres)
