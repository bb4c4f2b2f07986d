"""Cuts the power of a recorded server at many moments, starts the real one on what is left, and asks what it has."""
from __future__ import annotations

import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.ledger import Ledger, Promise, broken
from tests.crash.model import Disk, Fate, Rules, State, moments
from tests.crash.recovering import recover_twice
from tests.crash.steps import Step, purpose

_TRIES = 20     # to find a disk that was not looked at yet


@dataclass(slots=True)
class Cut:
    """One disk after one power cut, and what must be on it."""

    where: str
    rules: Rules
    state: State
    promises: dict[str, Promise]


@dataclass(slots=True)
class Outcome:
    """states: how many disks were looked at, by rules; violations: one line each."""

    states: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def cuts(steps: Sequence[Step], ledger: Ledger, number: int, seed: int,
         among: Callable[[Step], bool] = lambda step: True) -> Iterator[Cut]:
    """`number` different disks, as many under one set of rules as under the other; each kind of step `among` which
    is cut has its share, however rare it is."""
    chance = random.Random(seed)
    wanted = _wanted(steps, number, chance, among)
    disk = Disk()
    seen: set[tuple[bytes, str]] = set()
    for place, (when, is_over, step) in enumerate(moments(steps)):
        if is_over:
            disk.apply(step)
        for rules in wanted.get(place, ()):
            now = when + is_over
            promises = ledger.at(steps, now)
            for _ in range(_TRIES):
                fate = chance.choice(list(Fate))
                state = disk.state(rules, fate, chance)
                key = state.digest(), repr(promises)
                if key not in seen:
                    seen.add(key)
                    where = f"{'after' if is_over else 'in'} {step.kind} {step.path or step.uid}"
                    yield Cut(f"{where} (line {when}, {rules.value}, {fate.name})", rules, state, promises)
                    break


def _wanted(steps: Sequence[Step], number: int, chance: random.Random,
            among: Callable[[Step], bool]) -> dict[int, list[Rules]]:
    """Where to cut, by place in `moments`; the same place may come several times."""
    kinds: dict[tuple, list[int]] = defaultdict(list)
    for place, (_, is_over, step) in enumerate(moments(steps)):
        if among(step) and (step.kind in ("ack", "answer", "sync") or is_over and step.kind != "commit"):
            kinds[step.kind, purpose(step.path), is_over].append(place)
    chosen: dict[int, list[Rules]] = defaultdict(list)
    names = sorted(kinds)
    for count in range(number):
        place = chance.choice(kinds[names[count // 2 % len(names)]])
        chosen[place].append(list(Rules)[count % 2])
    return chosen


def cut_and_recover(steps: Sequence[Step], ledger: Ledger, folder: Path, number: int, seed: int = 1,
                    among: Callable[[Step], bool] = lambda step: True, enough: int = 1 << 62) -> Outcome:
    """Until `enough` violations were found. Each disk is removed again, but for those that break a promise."""
    outcome = Outcome()
    for count, cut in enumerate(cuts(steps, ledger, number, seed, among)):
        data = folder / f"state-{count}"
        cut.state.write(data)
        look = recover_twice(data)
        problems = look.problems or broken(cut.promises, look.instances)
        outcome.states[cut.rules.value] += 1
        outcome.violations += [f"{data.name} {cut.where}: {problem}" for problem in problems]
        if len(outcome.violations) >= enough:
            break
        if not problems:
            shutil.rmtree(data)
    return outcome
