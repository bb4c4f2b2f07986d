"""Recordings of the real server under strace, made once."""
from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.recording import Recording, record_checkpoint, record_everything, record_load


def _scratch() -> Path:
    """Memory where there is some: what is tried is the order of syncs, not the disk."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="crash-", dir=memory if os.access(memory, os.W_OK) else None))


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder of this test's own."""
    folder = _scratch()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def everything() -> Iterator[Recording]:
    folder = _scratch()
    yield record_everything(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def checkpoint() -> Iterator[Recording]:
    folder = _scratch()
    yield record_checkpoint(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="package")
def load() -> Iterator[Recording]:
    folder = _scratch()
    yield record_load(folder, lone=300, each_of_four=75)
    shutil.rmtree(folder)
