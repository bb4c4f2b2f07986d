"""Levels, models, hierarchy, relational queries, computed attributes and FF01: what the family's table says."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.interop.find.asker import Answer, Lines, store
from tests.interop.find.family import ROOT, ROWS, Row, instances
from tests.interop.find.group import NAMES
from tests.interop.find.keys import SYNTAXES, dataset
from tests.interop.find.oracle import SUCCESS, Oracle
from tests.interop.find.table import KEPT
from tests.interop.installed import Installed

LEAST_ROWS = 150

rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.level} {dict(row.keys)}"[:60])


@pytest.fixture(scope="module")
def ask(shared: Installed) -> Iterator[Callable[[Row, str], Answer]]:
    """Asks a server that has the family."""
    store(shared.port, list(instances()))
    lines = Lines(shared.port)

    def one(row: Row, syntax: str) -> Answer:
        keys = dict(row.keys)
        if row.level in NAMES:
            keys.setdefault(NAMES[row.level], "")
        return lines.find((row.model, syntax, b"\1" if row.relational else b""), row.level, keys)

    yield one
    lines.close()


def short(identity: str) -> str:
    """A UID without the root; no Patient ID is a hyphen."""
    return identity.removeprefix(ROOT + ".") or "-"


def test_the_oracle_agrees_with_the_rows() -> None:
    oracle = Oracle(map(dataset, instances()), KEPT)
    for row in ROWS:
        said = oracle.ask(row.model, row.level or "", dataset(row.keys), relational=row.relational)
        part = 0 if row.level == "PATIENT" else -1
        found = sorted(short(identity[part]) for identity in said.found)
        assert (" ".join(found) if said.status == SUCCESS else f"{said.status:04X}") == in_order(row.found), row
        assert said.status != SUCCESS or said.pending == row.pending, row


def in_order(found: str) -> str:
    return " ".join(sorted(found.split()))


@pytest.mark.parametrize("syntax", SYNTAXES)
@rows
def test_the_server_agrees_with_the_rows(row: Row, syntax: str, ask: Callable[[Row, str], Answer]) -> None:
    answer = ask(row, syntax)
    if answer.status != SUCCESS:
        assert (f"{answer.status:04X}", answer.raw) == (row.found, [])
        return
    found = sorted(short(str(match[NAMES[row.level]].value or "")) for match in answer.matches)
    assert " ".join(found) == in_order(row.found)
    assert answer.statuses <= {row.pending}


def test_there_are_as_many_rows_as_we_say() -> None:
    assert len(ROWS) >= LEAST_ROWS
