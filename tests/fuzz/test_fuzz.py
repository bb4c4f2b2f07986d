"""A short run of every target, and the proof that the fuzzer would find something."""
from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.fuzz import run
from tests.fuzz.mutation import mutant
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_but_the_closed_list(name: str, seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.main([name, "--iterations", "4000", "--seed", str(seed)]) == 0
    assert capfd.readouterr().out == f"{name}: 4032 inputs, seed {seed}, no finding\n"


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_good_and_mutants_get_past_the_first_checks(name: str) -> None:
    target = TARGETS[name]
    for data in target.corpus:
        target.run(data)
    random = Random(3)
    accepted = refused = 0
    for _ in range(2000):
        try:
            target.run(mutant(random, target.corpus))
            accepted += 1
        except target.allowed:
            refused += 1
    assert accepted > 20 and refused > 200


def test_mutants_can_be_had_again() -> None:
    corpus = [b"abcdefgh" * 10, b"01234567"]
    made = [[mutant(random, corpus) for _ in range(200)] for random in (Random(5), Random(5), Random(6))]
    assert made[0] == made[1] != made[2]
    assert len(set(made[0])) > 150


@pytest.mark.parametrize("culprit, how", [
    ("RAISES", "KeyError: 'not on the list'"), ("ALLOCATES", "MemoryError"), ("CRASHES", "SIGSEGV"),
    ("HANGS", "SIGALRM"),
])
def test_finds(culprit: str, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    kept = Path(run.ROOT, "build", "fuzz", f"tests.fuzz.culprits.{culprit}-1.bin")
    kept.unlink(missing_ok=True)
    assert run.main([f"tests.fuzz.culprits:{culprit}", "--iterations", "2000", "--seed", "1", "--deadline", "2"]) == 1
    out = capfd.readouterr().out
    assert "FINDING" in out and how in out
    assert kept.stat().st_size > 0
    kept.unlink()


def test_what_is_allowed_is_no_finding() -> None:
    assert run.main(["tests.fuzz.culprits:ALLOWED", "--iterations", "500", "--seed", "1"]) == 0


def test_an_input_can_be_replayed(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"12345678")
    with pytest.raises(KeyError):
        run.main(["--replay", str(file), "tests.fuzz.culprits:RAISES"])
    file.write_bytes(b"1234567")
    assert run.main(["--replay", str(file), "tests.fuzz.culprits:RAISES"]) == 0


def test_an_unknown_target_is_named() -> None:
    with pytest.raises(SystemExit, match="no target nonsense"):
        run.main(["nonsense"])
