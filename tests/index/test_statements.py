from __future__ import annotations

import pytest

from dicomserver.index.sqlite.engine import SqliteMemory

TEXTS = vars(SqliteMemory.statements)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_statement_fits_the_schema(name: str) -> None:
    session = SqliteMemory().writer()
    session.rows("EXPLAIN " + TEXTS[name], (None,) * TEXTS[name].count("?"))


BY_INDEX = pytest.mark.parametrize("name", [
    "ADD_INSTANCE", "FIND_INSTANCE", "FIND_LABEL", "FIND_PATIENT", "FIND_STUDY", "FIND_SERIES",
    "ADD_OTHER_PATIENT", "OTHER_PATIENTS_OF_STUDY", "PATIENTS_OF_STUDY",
    "PAGE_OF_ALL", "PAGE_OF_SERIES", "SERIES_OF_STUDY", "SERIES_BY_UID", "SERIES_BY_BOTH", "REMOVE_INSTANCE",
    "MARK"])


@BY_INDEX
def test_nothing_is_scanned_or_sorted(name: str) -> None:
    """With millions of rows each of these must find its way by an index."""
    session = SqliteMemory().writer()
    plan = session.rows("EXPLAIN QUERY PLAN " + TEXTS[name], (None,) * TEXTS[name].count("?"))
    steps = [step[-1] for step in plan]
    assert [step for step in steps if "SCAN" in step or "TEMP B-TREE" in step] == []
