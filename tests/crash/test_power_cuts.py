"""The real server on disks that a power cut left, while it stored, filed, deleted, started and recovered."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.crash import lint
from tests.crash.cutting import cut_and_recover, cuts
from tests.crash.ledger import broken
from tests.crash.recording import Recording
from tests.crash.recovering import recover_by_process, recover_twice

STATES = int(os.environ.get("CRASH_STATES", "160"))


def test_without_a_cut_all_is_there_and_no_more(everything: Recording, scratch: Path) -> None:
    promises = everything.ledger.at(everything.steps, 1 << 61)
    shutil.copytree(everything.data, scratch / "data")
    look = recover_twice(scratch / "data")
    assert look.problems == broken(promises, look.instances) == []
    # Six of 24 were deleted and not stored again; the one in whose midst the server died was whole.
    assert sum(not promise.missing for promise in promises.values()) == 17
    assert len(look.instances) == 18


def test_all_promises_are_kept(everything: Recording, scratch: Path) -> None:
    outcome = cut_and_recover(everything.steps, everything.ledger, scratch, STATES)
    assert outcome.violations == []
    assert min(outcome.states.values()) >= STATES * 0.3


def test_all_promises_are_kept_around_a_checkpoint(checkpoint: Recording, scratch: Path) -> None:
    assert lint.check(checkpoint.steps) == []
    outcome = cut_and_recover(checkpoint.steps, checkpoint.ledger, scratch, STATES // 8, among=checkpoint.is_checkpoint)
    assert outcome.violations == []
    assert sum(outcome.states.values()) >= STATES // 20


@pytest.mark.parametrize("seed", range(max(4, STATES // 100)))
def test_the_real_process_recovers_too(everything: Recording, scratch: Path, seed: int) -> None:
    *_, cut = cuts(everything.steps, everything.ledger, 2 * seed + 1, seed)
    cut.state.write(scratch / "data")
    look = recover_by_process(scratch / "data")
    assert look.problems == []
    assert broken(cut.promises, look.instances) == []
