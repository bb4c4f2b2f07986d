"""What all tests share."""
from pathlib import Path

import pytest

import dicomserver

ROOT = Path(__file__).resolve().parent.parent


def pytest_report_header() -> str:
    """Says which build is tested: the one in the tree, build/debug or build/asan."""
    return f"dicomserver: {Path(dicomserver.__file__).parent}"


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the repository."""
    return ROOT
