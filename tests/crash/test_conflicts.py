"""The real server decides on a conflict under strace, and the power fails: either image is served, none is lost."""
from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash import lint
from tests.crash.cutting import cuts
from tests.crash.interpreting import Interpreter
from tests.crash.ledger import Promise, broken
from tests.crash.recording import Recording, wait_until
from tests.crash.recovering import recover_twice
from tests.crash.running import Running
from tests.crash.steps import Step
from tests.crash.strace import parse
from tests.crash.traffic import sample

STATES = int(os.environ.get("CRASH_STATES", "160")) // 4
OLD, NEW = sample(1), sample(1, version=1)


@dataclass
class Decision:
    """The lines of the trace in which the server was asked to accept NEW, and said that it had; instead of a Ledger."""

    refused: int
    asked: int
    answered: int

    def at(self, steps: list[Step], now: int) -> dict[str, Promise]:
        """What may be served when the power is cut then."""
        possible = {one.dataset for one, is_possible in ((OLD, now <= self.answered), (NEW, now >= self.asked))
                    if is_possible}
        return {OLD.uid: Promise(possible, missing=False)}


@pytest.fixture(params=["filed", "in the intake"])
def decided(request: pytest.FixtureRequest, scratch: Path) -> tuple[Recording, Decision]:
    """OLD was stored, NEW was refused, and then accepted."""
    data, trace = scratch / "data", scratch / "trace"
    data.mkdir()
    recording = Recording(data)
    with Running(data, trace) as server:
        recording.store(server.port, [OLD])
        if request.param == "filed":
            path = data / OLD.study / OLD.series / f"{OLD.uid}.dcm"
            wait_until(lambda: path.exists() and path.stat().st_nlink == 1)
        recording.store(server.port, [NEW])
        server.command("conflicts", "accept", OLD.uid)
        server.stop()
    assert recording.statuses == [0, 0xC001]
    recording.read(Interpreter(str(data)), trace)
    with trace.open() as file:
        calls = list(parse(file, 0))
    asked, answered = (next(call.begin for call in calls if call.name == name and any(what in s for s in call.strings))
                       for name, what in (("recvfrom", b"conflicts.accept"), ("sendto", b"stored is quarantine")))
    refused = next(step.begin for step in recording.steps if step.kind == "nack")
    return recording, Decision(refused, asked, answered)


def test_either_is_served_and_none_is_lost(decided: tuple[Recording, Decision], scratch: Path) -> None:
    recording, decision = decided
    assert lint.check(recording.steps) == []
    served = set()
    among = cuts(recording.steps, decision, STATES, 1, lambda step: step.begin > decision.refused)
    for number, cut in enumerate(among):
        data = scratch / f"state-{number}"
        cut.state.write(data)
        look = recover_twice(data)
        assert look.problems == [], cut.where
        assert broken(cut.promises, look.instances) == [], cut.where
        aside = [path.read_bytes() for path in (data / "quarantine").glob("*.dcm")]
        other = NEW if look.instances[OLD.uid] == OLD.dataset else OLD
        assert [file.endswith(other.dataset) for file in aside] == [True], cut.where
        served.add(look.instances[OLD.uid])
        shutil.rmtree(data)
    assert served == {OLD.dataset, NEW.dataset}
