"""Recordings of the real server under strace, made once."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.recording import Recording, record_checkpoint, record_everything, record_load
from tests.crash.running import scratch_folder


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder of this test's own."""
    folder = scratch_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def everything() -> Iterator[Recording]:
    folder = scratch_folder()
    yield record_everything(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def checkpoint() -> Iterator[Recording]:
    folder = scratch_folder()
    yield record_checkpoint(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def load() -> Iterator[Recording]:
    folder = scratch_folder()
    yield record_load(folder, lone=300, each_of_four=75)
    shutil.rmtree(folder)
