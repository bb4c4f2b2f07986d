"""Servers for the tests of this folder."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.installed import DATABASES, Installed


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Callable[..., Installed]]:
    """Makes servers, not started yet, each in a folder of its own; ends those that still run."""
    made: list[Installed] = []

    def one(database: str = "sqlite", **settings: object) -> Installed:
        folder = tmp_path / f"server-{len(made)}"
        folder.mkdir()
        made.append(Installed(folder, database, **settings))
        return made[-1]

    yield one
    for server in made:
        server.close()


@pytest.fixture(params=DATABASES)
def server(request: pytest.FixtureRequest, install: Callable[..., Installed]) -> Installed:
    """A running server, once with each engine behind it."""
    return install(request.param).start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """One running server for a whole file of tests, that are content with what others have stored there."""
    server = Installed(tmp_path_factory.mktemp("shared"), maxConcurrentConnections=10).start()
    yield server
    server.close()
