"""The matching table: what it says, what the oracle says, and what the server answers are the same."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.interop.find.asker import Answer, Lines, store
from tests.interop.find.group import NAMES, Group, Run, instances, query
from tests.interop.find.keys import BIG_ENDIAN, EXPLICIT, IMPLICIT, Keys, dataset
from tests.interop.find.oracle import (
    PATIENT_ROOT, PATIENT_STUDY_ONLY, STUDY_ROOT, Expected, Oracle, SUCCESS,
)
from tests.interop.find.table import GROUPS, KEPT, cases, cells, everything, rows
from tests.interop.installed import Installed

SYNTAXES = {PATIENT_ROOT: EXPLICIT, STUDY_ROOT: IMPLICIT, PATIENT_STUDY_ONLY: BIG_ENDIAN}
MODEL_NAMES = {PATIENT_ROOT: "Patient Root", STUDY_ROOT: "Study Root", PATIENT_STUDY_ONLY: "Patient/Study Only"}
ROWS, CELLS = 680, 16000      # at least


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(map(dataset, everything()), KEPT)


@pytest.fixture(scope="module")
def ask(shared: Installed) -> Iterator[Callable[[Run, bool, Keys], Answer]]:
    """Asks a server that has all that the table is about."""
    store(shared.port, everything())
    lines = Lines(shared.port)

    def one(run: Run, combined: bool, keys: Keys) -> Answer:
        negotiated = bytes((run.relational, combined)) if run.relational or combined else b""
        return lines.find((run.model, SYNTAXES[run.model], negotiated), run.level, keys)

    yield one
    lines.close()


def by_group(test: Callable) -> Callable:
    """Runs a test for each group in each way to ask its questions."""
    names = [f"{group.rule}, {MODEL_NAMES[run.model]} {run.level}{', relational' if run.relational else ''}"
             for _, group, run in cases()]
    return pytest.mark.parametrize(("number", "group", "run"), list(cases()), ids=names)(test)


def letters(group: Group, number: int, found: list[str]) -> str:
    """Of the entities with these unique keys; what is not of the group is a question mark."""
    by_key = {str(elements[NAMES[group.level]]): letter for letter, elements in instances(number, group)}
    return "".join(sorted(by_key.get(key, "?") for key in found))


def oracle_says(expected: Expected, number: int, group: Group) -> str:
    """In the words of the table. Where a level below was asked the identity holds that of the instance."""
    if expected.status != SUCCESS:
        return f"{expected.status:04X}"
    by_any = {str(value): letter for letter, elements in instances(number, group)
              for value in (elements["PatientID"], elements["StudyInstanceUID"], elements["SeriesInstanceUID"],
                            elements["SOPInstanceUID"])}
    return "".join(sorted(by_any[next(part for part in reversed(identity) if part in by_any)]
                          for identity in expected.found))


def server_says(answer: Answer, number: int, group: Group) -> str:
    """In the words of the table."""
    if answer.status != SUCCESS:
        assert not answer.raw, "matches before a failure"
        return f"{answer.status:04X}"
    return letters(group, number, [str(match[NAMES[group.level]].value) for match in answer.matches])


@by_group
def test_the_oracle_agrees_with_the_table(number: int, group: Group, run: Run, oracle: Oracle) -> None:
    said = [(keys, oracle_says(oracle.ask(run.model, run.level, dataset(query(number, group, keys)),
                                          relational=run.relational, combined=group.combined), number, group))
            for keys, _ in group.asked]
    assert said == list(group.asked)


@by_group
def test_the_server_agrees_with_the_table(number: int, group: Group, run: Run, ask: Callable[..., Answer]) -> None:
    said = [(keys, server_says(ask(run, group.combined, query(number, group, keys)), number, group))
            for keys, _ in group.asked]
    assert said == list(group.asked)


@by_group
def test_pending_statuses(number: int, group: Group, run: Run, ask: Callable[..., Answer], oracle: Oracle) -> None:
    """FF01 exactly where the oracle misses a key."""
    for keys, _ in group.asked[:1] + group.asked[-1:]:
        identifier = query(number, group, keys)
        answer = ask(run, group.combined, identifier)
        expected = oracle.ask(run.model, run.level, dataset(identifier), relational=run.relational,
                              combined=group.combined)
        assert answer.statuses <= {expected.pending}


def test_the_table_is_as_large_as_we_say() -> None:
    assert rows() >= ROWS
    assert cells() >= CELLS


def test_each_question_stands_once() -> None:
    for group in GROUPS:
        asked = [repr(keys) for keys, _ in group.asked]
        assert len(asked) == len(set(asked)), group.rule
