"""Power cuts by the thousand: python -m tests.crash.run --states 5000 [--seed 1] [--keep FOLDER]

Prints what was looked at, how many syncs the traced servers made, and each promise that was broken. Exit 1 if one was.
"""
from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from tests.crash import lint
from tests.crash.cutting import cut_and_recover
from tests.crash.recording import Recording, record_checkpoint, record_everything, record_load
from tests.crash.running import scratch_folder
from tests.crash.trashing import record_trash


def report_syncs(load: Recording) -> None:
    """The syncs of a lone association, and of four."""
    lone = [step for step in load.steps if step.kind == "ack" and step.message in load.lone]
    end = lone[-1].begin
    alone = lint.syncs(load.steps, lone[0].begin, end)
    several = lint.syncs(load.steps, end)
    for name, found, instances in (("one association", alone, len(lone) - 1),
                                   ("four at once", several, load.acknowledged - len(lone))):
        print(f"{name}: {instances} instances; syncs:",
              ", ".join(f"{who} {what} {count}" for (who, what), count in sorted(found.items())))


def run(folder: Path, states: int, seed: int) -> int:
    """-> how many violations."""
    report_syncs(record_load(_made(folder / "load"), lone=300, each_of_four=75))
    return (_cut("everything", record_everything, folder, states, seed)
            + _cut("checkpoint", record_checkpoint, folder, states // 8, seed)
            + _cut("trash", record_trash, folder, states // 2, seed))


def _cut(name: str, record: Callable[[Path], Recording], folder: Path, states: int, seed: int) -> int:
    recording = record(_made(folder / name))
    # The rules know slots whose names come once; out of the trash they come again.
    out_of_order = [] if name == "trash" else lint.check(recording.steps)
    begun = time.monotonic()
    among = recording.is_checkpoint if name == "checkpoint" else lambda step: True
    outcome = cut_and_recover(recording.steps, recording.ledger, _made(folder / f"{name}-states"), states, seed, among)
    print(f"{name}: {len(recording.steps)} steps, {recording.acknowledged} instances acknowledged, {len(out_of_order)} "
          f"steps out of order; {sum(outcome.states.values())} different disks ({dict(outcome.states)}) in "
          f"{time.monotonic() - begun:.0f} s, {len(outcome.violations)} violations")
    for line in (*out_of_order, *outcome.violations):
        print(line)
    return len(out_of_order) + len(outcome.violations)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=2000, help="how many disks (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="another one cuts elsewhere (default: 1)")
    parser.add_argument("--keep", type=Path, help="a new folder for traces and for the disks that broke a promise")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)   # of what is said about each damaged disk
    with nullcontext(options.keep) if options.keep else scratch_folder() as folder:
        violations = run(folder, options.states, options.seed)
    return 1 if violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
