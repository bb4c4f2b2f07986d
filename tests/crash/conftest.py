"""Recordings of the real server under strace, made once."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.recording import Recording, record_checkpoint, record_everything, record_load, record_window
from tests.crash.running import scratch_folder


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder of this test's own."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="package")
def everything() -> Iterator[Recording]:
    with scratch_folder() as folder:
        yield record_everything(folder)


@pytest.fixture(scope="package")
def checkpoint() -> Iterator[Recording]:
    with scratch_folder() as folder:
        yield record_checkpoint(folder)


@pytest.fixture(scope="package")
def load() -> Iterator[Recording]:
    with scratch_folder() as folder:
        yield record_load(folder, lone=300, each_of_four=75)


@pytest.fixture(scope="package")
def window() -> Iterator[Recording]:
    with scratch_folder() as folder:
        yield record_window(folder, number=200, operations=8)
