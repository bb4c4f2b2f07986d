"""Cuts the power of a recorded server at many moments, starts the real one on what is left, and asks what it has."""
from __future__ import annotations

import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.ledger import Promises, Said, broken
from tests.crash.model import Disk, Fate, Rules, State, moments
from tests.crash.recovering import recover_twice
from tests.crash.requesting import Home
from tests.crash.steps import Step, purpose

_ALSO_IN_THE_MIDST = ("ack", "answer", "accept", "reported", "sync")
_TRIES = 20     # to find a disk that was not looked at yet, at one moment
_PASSES = 10    # over the trace, each with other moments, until there are enough


@dataclass(slots=True)
class Cut:
    """One disk after one power cut, and what must be on it."""

    where: str
    rules: Rules
    state: State
    promises: Promises


@dataclass(slots=True)
class Outcome:
    """states: how many disks were looked at, by rules; violations: one line each."""

    states: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def cuts(steps: Sequence[Step], promised: Callable[[int], Promises], number: int, seed: int,
         among: Callable[[Step], bool] = lambda step: True,
         such: Callable[[State], bool] = lambda state: True) -> Iterator[Cut]:
    """`number` different disks under each set of rules, or as many as there are; each kind of step `among` which is cut
    has its share, however rare it is. promised: what holds at a moment. such: which disks count."""
    chance = random.Random(seed)
    seen: set[tuple[Rules, bytes, Said]] = set()
    missing = dict.fromkeys(Rules, number)
    for _ in range(_PASSES):
        for cut in _pass(steps, promised, dict(missing), chance, among, seen):
            if missing[cut.rules] and such(cut.state):
                missing[cut.rules] -= 1
                yield cut


def _pass(steps: Sequence[Step], promised: Callable[[int], Promises], missing: dict[Rules, int],
          chance: random.Random, among: Callable[[Step], bool], seen: set) -> Iterator[Cut]:
    wanted = _wanted(steps, missing, chance, among)
    disk = Disk()
    for place, (when, is_over, step) in enumerate(moments(steps)):
        if is_over:
            disk.apply(step)
        for rules in wanted.get(place, ()):
            promises = promised(when + is_over)
            for _ in range(_TRIES):
                fate = chance.choice(list(Fate))
                state = disk.state(rules, fate, chance)
                key = rules, state.digest(), promises.said
                if key not in seen:
                    seen.add(key)
                    where = f"{'after' if is_over else 'in'} {step.kind} {step.path or step.uid}"
                    yield Cut(f"{where} (line {when}, {rules.value}, {fate.name})", rules, state, promises)
                    break


def _wanted(steps: Sequence[Step], number: dict[Rules, int], chance: random.Random,
            among: Callable[[Step], bool]) -> dict[int, list[Rules]]:
    """Where to cut, by place in `moments`; the same place may come several times."""
    kinds: dict[tuple, list[int]] = defaultdict(list)
    for place, (_, is_over, step) in enumerate(moments(steps)):
        if among(step) and (step.kind in _ALSO_IN_THE_MIDST or is_over and step.kind != "commit"):
            kinds[step.kind, purpose(step.path), is_over].append(place)
    chosen: dict[int, list[Rules]] = defaultdict(list)
    names = sorted(kinds)
    for rules, several in number.items():
        for count in range(several):
            place = chance.choice(kinds[names[count % len(names)]])
            chosen[place].append(rules)
    return chosen


def cut_and_recover(cut_at: Iterable[Cut], folder: Path, home: Home, enough: int = 1 << 62) -> Outcome:
    """Until `enough` violations were found. Each disk is removed again, but for those that break a promise."""
    outcome = Outcome()
    for count, cut in enumerate(cut_at):
        data = folder / f"state-{count}"
        cut.state.write(data)
        look = recover_twice(data, home)
        problems = look.problems or broken(cut.promises, look.instances, look.reports)
        outcome.states[cut.rules.value] += 1
        outcome.violations += [f"{data.name} {cut.where}: {problem}" for problem in problems]
        if len(outcome.violations) >= enough:
            break
        if not problems:
            shutil.rmtree(data)
    return outcome
