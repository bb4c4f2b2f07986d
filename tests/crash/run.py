"""Power cuts by the thousand: python -m tests.crash.run --states 5000 [--seed 1] [--keep FOLDER]

Prints what was looked at, how many syncs the traced servers made, and each promise that was broken. Exit 1 if one was.
"""
from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import time
from pathlib import Path

from tests.crash import lint
from tests.crash.cutting import cut_and_recover
from tests.crash.recording import Recording, record_everything, record_load


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
    everything = record_everything(_made(folder / "everything"))
    out_of_order = lint.check(everything.steps)
    print(f"{len(everything.steps)} steps, {everything.acknowledged} instances acknowledged, "
          f"{len(out_of_order)} out of order")
    begun = time.monotonic()
    outcome = cut_and_recover(everything.steps, everything.ledger, _made(folder / "states"), states, seed)
    print(f"{sum(outcome.states.values())} different disks ({dict(outcome.states)}) in "
          f"{time.monotonic() - begun:.0f} s, {len(outcome.violations)} violations")
    print(*out_of_order, *outcome.violations, sep="\n")
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
    folder = options.keep or Path(tempfile.mkdtemp(prefix="crash-"))
    violations = run(folder, options.states, options.seed)
    if not options.keep:
        shutil.rmtree(folder)
    return 1 if violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
