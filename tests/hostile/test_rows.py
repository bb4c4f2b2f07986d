"""No row of the list of hostile input is without a case."""
from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile.rows import DATASET_LEVEL, PDU_LEVEL, QUERY_LEVEL, RETRIEVE_LEVEL

MODULES = sorted(path.stem for path in Path(__file__).parent.glob("test_*.py") if path.stem != Path(__file__).stem)
ROWS = PDU_LEVEL + DATASET_LEVEL + QUERY_LEVEL + RETRIEVE_LEVEL
LEAST_CASES = 1250       # of the tables and of tests with parameters; the cuts at every byte not counted singly


def cases_of(name: str) -> Counter[str]:
    """How many cases the module has for each row."""
    module = importlib.import_module(f"tests.hostile.{name}")
    counted: Counter[str] = Counter(case.row for cases in getattr(module, "TABLES", []) for case in cases)
    for test in vars(module).values():
        for row in getattr(test, "rows", ()):
            counted[row] += _times(test)
    return counted


def _times(test) -> int:
    """How often its parameters make it run."""
    times = 1
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            times *= len(list(mark.args[1]))
    return times


@pytest.fixture(scope="module")
def counted() -> Counter[str]:
    return sum(map(cases_of, MODULES), Counter())


@pytest.mark.parametrize("row", ROWS)
def test_the_row_has_a_case(row, counted):
    assert counted[row] > 0


def test_every_case_is_under_a_row_that_exists(counted):
    assert set(counted) - set(ROWS) == set()


def test_there_are_as_many_cases_as_we_say(counted):
    assert sum(counted.values()) >= LEAST_CASES
