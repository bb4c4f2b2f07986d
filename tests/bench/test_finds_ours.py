"""That our server answers the bench's questions, filled through the generator or over C-STORE. Never speed."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import finds
from tests.bench.asking import ask_all
from tests.bench.feeding import feed
from tests.bench.loads import LOADS, Measurement
from tests.bench.questions import questions
from tests.bench.servers import OURS, Server


def test_it_finds_what_its_index_was_filled_with(tmp_path: Path) -> None:
    found = finds.ours(tmp_path, 300, finds.Effort(asks=40, large=1, stores=3))
    assert [str(one) for one in (*found.finds.values(), *found.stores.values()) if isinstance(one, Exception)] == []
    assert found.finds["all"].matches == 300
    assert list(tmp_path.iterdir()) == []


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
