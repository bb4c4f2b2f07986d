"""What all tests share."""
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import dicomserver
from tests.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent

COUNTED = "counted as"      # the property of a test that the last lines count, under the name that is its value


def pytest_report_header() -> str:
    """Says which build is tested: the one in the tree, build/debug or build/asan."""
    return f"dicomserver: {Path(dicomserver.__file__).parent}"


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that runs; whoever stops it starts it again."""
    server = PostgresServer()
    yield server
    server.remove()


def pytest_terminal_summary(terminalreporter) -> None:
    """Says how many tests of each counted kind ran, in whatever process they did."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    kinds = Counter(kind for report in reports if report.when == "call"
                    for name, kind in report.user_properties if name == COUNTED)
    for kind, number in sorted(kinds.items()):
        terminalreporter.write_line(f"{number} {kind}")
