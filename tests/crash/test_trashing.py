"""Power cuts around the trash: nothing deleted returns by itself, nothing brought back is lost, nothing left over."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.cutting import cut_and_recover, cuts
from tests.crash.ledger import broken
from tests.crash.recording import Recording
from tests.crash.recovering import recover_twice
from tests.crash.requesting import Home
from tests.crash.running import scratch_folder
from tests.crash.steps import purpose
from tests.crash.tally import SEED, STATES, Tally
from tests.crash.trashing import record_trash

FEWER = STATES // 4     # under each set of rules


@pytest.fixture(scope="module")
def trash() -> Iterator[Recording]:
    with scratch_folder() as folder:
        yield record_trash(folder)


def test_without_a_cut_all_is_as_it_was_asked_for(trash: Recording, scratch: Path, home: Home) -> None:
    promises = trash.promised(1 << 61)
    shutil.copytree(trash.data, scratch / "data")
    look = recover_twice(scratch / "data", home)
    assert look.problems == broken(promises, look.instances) == []
    assert len(look.instances) == sum(not promise.missing for promise in promises.instances.values()) == 3


def test_all_promises_are_kept(trash: Recording, scratch: Path, home: Home, tally: Tally) -> None:
    outcome = cut_and_recover(cuts(trash.steps, trash.promised, FEWER, SEED), scratch, home)
    tally.add("- into the trash and out of it, both", outcome.states.total(), len(outcome.violations))
    assert outcome.violations == []
    assert outcome.states.total() == 2 * FEWER


@pytest.mark.parametrize("what", ["trash", "trash record", "tombstones"])
def test_each_sync_is_missed(trash: Recording, scratch: Path, home: Home, what: str, tally: Tally) -> None:
    without = [step for step in trash.steps if step.kind != "sync" or purpose(step.path) != what]
    at = cuts(without, trash.promised, 150, SEED,
              lambda step: step.kind in ("answer", "unlink", "rename", "cut", "link"))
    outcome = cut_and_recover(at, scratch, home, enough=1)
    tally.add("kinds of syncs taken out of a trace", 1, not outcome.violations)
    assert outcome.violations
