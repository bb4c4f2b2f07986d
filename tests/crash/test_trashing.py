"""Power cuts around the trash: nothing deleted returns by itself, nothing brought back is lost, nothing left over."""
from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.cutting import cut_and_recover
from tests.crash.ledger import broken
from tests.crash.recording import Recording
from tests.crash.recovering import recover_twice
from tests.crash.running import scratch_folder
from tests.crash.steps import purpose
from tests.crash.trashing import record_trash

STATES = int(os.environ.get("CRASH_STATES", "160")) // 3


@pytest.fixture(scope="module")
def trash() -> Iterator[Recording]:
    with scratch_folder() as folder:
        yield record_trash(folder)


def test_without_a_cut_all_is_as_it_was_asked_for(trash: Recording, scratch: Path) -> None:
    promises = trash.ledger.at(trash.steps, 1 << 61)
    shutil.copytree(trash.data, scratch / "data")
    look = recover_twice(scratch / "data")
    assert look.problems == broken(promises, look.instances) == []
    assert len(look.instances) == 3 and sum(not promise.missing for promise in promises.values()) == 3


def test_all_promises_are_kept(trash: Recording, scratch: Path) -> None:
    outcome = cut_and_recover(trash.steps, trash.ledger, scratch, STATES)
    assert outcome.violations == []
    assert sum(outcome.states.values()) >= STATES * 0.6


@pytest.mark.parametrize("what", ["trash", "trash record", "tombstones"])
def test_each_sync_is_missed(trash: Recording, scratch: Path, what: str) -> None:
    without = [step for step in trash.steps if step.kind != "sync" or purpose(step.path) != what]
    outcome = cut_and_recover(without, trash.ledger, scratch, 300, enough=1,
                              among=lambda step: step.kind in ("answer", "unlink", "rename", "cut", "link"))
    assert outcome.violations
