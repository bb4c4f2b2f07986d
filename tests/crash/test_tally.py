"""The table of the long run, and that docs/RELIABILITY.md has it."""
from __future__ import annotations

from pathlib import Path

from tests.crash.tally import ROWS, Tally, table


def test_counts_add_up_and_what_went_wrong_is_said() -> None:
    added: list[tuple[str, object]] = [("counted as", "something else")]
    tally = Tally(lambda row, value: added.append((row, value)))
    kept, caught = "disks after a power cut, ext4", "toy servers with one mistake each"
    tally.add(kept, 3)
    tally.add(kept, 4)
    tally.add(caught, 1, True)
    assert table(added)[2:] == [f"| {kept} | 7 | violations: none |", f"| {caught} | 1 | caught: all but 1 |"]


def test_the_document_has_every_row_and_nothing_went_wrong(root: Path) -> None:
    lines = (root / "docs" / "RELIABILITY.md").read_text().splitlines()
    begin = lines.index("| tried | count | outcome |") + 2
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[begin:begin + len(ROWS)]]
    assert {row: outcome for row, _, outcome in rows} == ROWS
    assert all(int(count) > 0 for _, count, _ in rows)
