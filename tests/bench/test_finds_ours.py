"""That our server answers the bench's questions, filled through the generator or over C-STORE. Never speed."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import filled, finds
from tests.bench.asking import ask_all
from tests.bench.feeding import feed
from tests.bench.loads import LOADS, Measurement
from tests.bench.questions import questions
from tests.bench.servers import ON_POSTGRES, OURS, Server


@pytest.mark.parametrize("name, number", [(OURS, 300), (ON_POSTGRES[OURS], 60)])
def test_it_finds_what_its_index_was_filled_with(tmp_path: Path, name: str, number: int) -> None:
    (tmp_path / "kept").mkdir()
    found = finds.ours(name, tmp_path, number, finds.Effort(asks=40, large=1, stores=3), kept=tmp_path / "kept")
    assert [str(one) for one in (*found.finds.values(), *found.stores.values()) if isinstance(one, Exception)] == []
    assert found.finds["all"].matches == number
    assert list(found.stores) == [finds.EMPTY, *finds.PAUSES] and found.start > 0
    assert list(tmp_path.iterdir()) == [tmp_path / "kept"]


def test_what_was_filled_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def put() -> int:
        with Server(OURS, tmp_path, prepare=lambda server: filled.put_studies(kept, server, 20)) as server:
            asked = questions(20)["all"]
            return ask_all(server.port, asked, 1, seconds=60)[0].matches

    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "studies-20.new").write_bytes(b"cut short")
    assert put() == 20
    assert [path.name for path in kept.iterdir()] == ["studies-20.db"]
    monkeypatch.setattr(filled, "fill", None)
    assert put() == 20


def test_it_finds_what_it_was_sent(tmp_path: Path) -> None:
    with Server(OURS, tmp_path) as server:
        assert feed(server.port, 60, seconds=60) == 60
        for asked in questions(60).values():
            ask_all(server.port, asked, len(asked), seconds=60)


@pytest.mark.parametrize("name", ["find", "findall"])
def test_queries_are_a_load_too(name: str, tmp_path: Path) -> None:
    figures = Measurement(tmp_path, quick=True).measure(LOADS[name], OURS)
    assert 0 < figures.p50 <= figures.p99
    assert figures.rate > 0


def test_the_command_prints_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--find", "--quick", "--peers", "", "--studies", "50", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "window of one day" in said and "4 clients without pause" in said and "FAILED" not in said
    assert list(tmp_path.iterdir()) == []
