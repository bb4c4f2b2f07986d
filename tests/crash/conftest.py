"""Recordings of the real server under strace, made once."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.crash.recording import (
    Recording,
    record_checkpoint,
    record_doubles,
    record_everything,
    record_load,
    record_window,
)
from tests.crash.requesting import Home
from tests.crash.running import scratch_folder
from tests.crash.tally import IS_LONG, SEED, Tally, table


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Tally:
    """For the table; see pytest_terminal_summary."""
    return Tally(record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of the long run, in whatever process its tests ran."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    if IS_LONG:
        terminalreporter.section(f"crash, seed {SEED}")
        for line in table(added for report in reports if report.when == "call" for added in report.user_properties):
            terminalreporter.write_line(line)


@pytest.fixture(scope="package")
def home() -> Iterator[Home]:
    """The requester of storage commitments takes his reports."""
    one = Home()
    with one.open():
        yield one


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
def doubles() -> Iterator[Recording]:
    with scratch_folder() as folder:
        yield record_doubles(folder)


@pytest.fixture(scope="package")
def load() -> Iterator[Recording]:
    with scratch_folder() as folder:
        yield record_load(folder, lone=300, each_of_four=75)


@pytest.fixture(scope="package")
def window() -> Iterator[Recording]:
    with scratch_folder() as folder:
        yield record_window(folder, number=200, operations=8)
