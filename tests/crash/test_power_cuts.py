"""The real server on disks that a power cut left, while it stored, filed, deleted, committed, started and recovered."""
from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.errors import NoPreamble
from dicomserver.archive.preamble import LENGTH, unpack
from dicomserver.wire.errors import MetaError
from dicomserver.wire.part10 import decode_file_meta
from tests.crash import lint
from tests.crash.cutting import Outcome, cut_and_recover, cuts
from tests.crash.ledger import broken
from tests.crash.model import Rules, State
from tests.crash.recording import Recording, record_recovery
from tests.crash.recovering import recover_by_process, recover_twice
from tests.crash.requesting import Home
from tests.crash.steps import is_slot
from tests.crash.tally import SEED, STATES, Tally

FEWER = STATES // 8     # of special disks


def both(outcome: Outcome, number: int) -> int:
    """How many disks were looked at; as many as there should be under each set of rules."""
    assert outcome.states == Counter({rules.value: number for rules in Rules})
    return 2 * number


def test_without_a_cut_all_is_there_and_no_more(everything: Recording, scratch: Path, home: Home) -> None:
    promises = everything.promised(1 << 61)
    shutil.copytree(everything.data, scratch / "data")
    look = recover_twice(scratch / "data", home)
    assert look.problems == broken(promises, look.instances, look.reports) == []
    # Six of 34 were deleted and not stored again; the one in whose midst the server died was whole.
    assert sum(not promise.missing for promise in promises.instances.values()) == 27
    assert len(look.instances) == 28
    assert set(look.reports) == promises.waiting and len(promises.waiting) == 1


def test_all_promises_are_kept(everything: Recording, scratch: Path, home: Home, tally: Tally) -> None:
    outcome = cut_and_recover(cuts(everything.steps, everything.promised, STATES, SEED), scratch, home)
    for rules, name in ((Rules.POSIX, "POSIX"), (Rules.EXT4, "ext4")):
        wrong = sum(rules.value in line for line in outcome.violations)
        tally.add(f"disks after a power cut, {name}", outcome.states[rules.value], wrong)
    assert outcome.violations == []
    assert both(outcome, STATES)


def test_all_promises_are_kept_around_a_checkpoint(checkpoint: Recording, scratch: Path, home: Home,
                                                   tally: Tally) -> None:
    assert lint.check(checkpoint.steps) == []
    number = STATES // 16       # they are large
    outcome = cut_and_recover(cuts(checkpoint.steps, checkpoint.promised, number, SEED, checkpoint.is_checkpoint),
                              scratch, home)
    tally.add("- around a checkpoint of the index, both", outcome.states.total(), len(outcome.violations))
    assert outcome.violations == []
    assert both(outcome, number)


def test_a_power_cut_during_the_recovery_changes_nothing(everything: Recording, scratch: Path, home: Home,
                                                         tally: Tally) -> None:
    first = list(cuts(everything.steps, everything.promised, max(1, STATES // 100), SEED + 1))
    for number, cut in enumerate(first):
        folder = scratch / str(number)
        folder.mkdir()
        recovery = record_recovery(folder, cut)
        outcome = cut_and_recover(cuts(recovery.steps, recovery.promised, 6, SEED, lambda step: step.thread > 0),
                                  folder, home)
        tally.add("- in the midst of the recovery from a power cut, both", outcome.states.total(),
                  len(outcome.violations))
        assert outcome.violations == [], cut.where
        assert both(outcome, 6)


def test_two_complete_slots_of_one_uid(doubles: Recording, scratch: Path, home: Home, tally: Tally) -> None:
    """Only the first can have been acknowledged."""
    assert lint.check(doubles.steps) == []
    assert doubles.statuses == [0, 0, 0xC001, 0] * 8
    outcome = cut_and_recover(cuts(doubles.steps, doubles.promised, FEWER, SEED, doubles.is_about_doubles, has_double),
                              scratch, home)
    tally.add("- with two complete slots of one SOP Instance UID, both", outcome.states.total(),
              len(outcome.violations))
    assert outcome.violations == []
    assert both(outcome, FEWER)


def has_double(state: State) -> bool:
    """Whether two slots on this disk are completed with one SOP Instance UID."""
    return any(count > 1 for count in Counter(complete_slots(state)).values())


def complete_slots(state: State) -> Iterator[str]:
    """The SOP Instance UIDs."""
    for path, inode in state.files.items():
        content = state.contents[inode]
        try:
            preamble = unpack(content[:LENGTH])
            uid = decode_file_meta(content[:1 << 16]).sop_instance_uid
        except (NoPreamble, MetaError):
            continue
        if is_slot(path) and xxh3_64(content[preamble.dataset_offset:]) == preamble.checksum:
            yield uid


@pytest.mark.parametrize("seed", range(max(4, STATES // 50)))
def test_the_real_process_recovers_too(everything: Recording, scratch: Path, home: Home, seed: int) -> None:
    *_, cut = cuts(everything.steps, everything.promised, seed + 1, seed)
    cut.state.write(scratch / "data")
    look = recover_by_process(scratch / "data", home)
    assert look.problems == []
    assert broken(cut.promises, look.instances, look.reports) == []
