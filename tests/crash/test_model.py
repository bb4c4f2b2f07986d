"""The enumerator of power cuts loses what may be lost, nothing else, and convicts the toys."""
from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.model import BLOCK, Disk, Fate, Rules, State, moments
from tests.crash.steps import Step
from tests.crash.toys import MISTAKES, Toy, broken


def states(steps: list[Step], seed: int = 1) -> list[tuple[int, State]]:
    """Some states at each moment."""
    chance = random.Random(seed)
    disk, found = Disk(), []
    for when, is_over, step in moments(steps):
        if is_over:
            disk.apply(step)
        now = when + is_over
        found += [(now, disk.state(rules, fate, chance)) for rules in Rules for fate in Fate]
    return found


def convictions(mistake: str) -> set[str]:
    steps = Toy(mistake).run()
    return {uid for now, state in states(steps) for uid in broken(state.tree(), steps, now)}


def test_acquits_the_toy_without_a_mistake() -> None:
    assert convictions("") == set()


# No losses, so that only the lint convicts them: recovery brings the row back from the slot; nobody was promised
# what is set aside; the toys have no pages; a power cut tears a write however it was made; a report may come twice; and
# a deletion's last sync, before its answer, is of the intake too.
NO_LOSS = {"row after success", "set aside without a sync", "log begins anew too early", "slot completed across pages",
           "commitment may come back", "discarded slot may come back"}


@pytest.mark.parametrize("mistake", sorted({*MISTAKES} - NO_LOSS))
def test_convicts(mistake: str) -> None:
    assert convictions(mistake)


def disk_after(*steps: tuple) -> Disk:
    disk = Disk()
    for now, (kind, path, inode, *more) in enumerate(steps):
        disk.apply(Step(kind, 1, 2 * now, 2 * now + 1, path, inode, **(more[0] if more else {})))
    return disk


def contents(disk: Disk, rules: Rules, *fates: Fate) -> set[bytes | None]:
    chance = random.Random(0)
    return {disk.state(rules, fate, chance).tree().get("a") for fate in fates or tuple(Fate) for _ in range(50)}


def test_what_is_synced_stays() -> None:
    disk = disk_after(("create", "a", 1), ("write", "a", 1, {"data": b"x"}), ("sync", "a", 1), ("sync", "", 0))
    assert contents(disk, Rules.POSIX) == contents(disk, Rules.EXT4) == {b"x"}


def test_a_name_needs_a_sync_of_its_own_unless_a_journal_takes_it_along() -> None:
    disk = disk_after(("create", "a", 1), ("write", "a", 1, {"data": b"x"}), ("sync", "a", 1))
    assert contents(disk, Rules.POSIX) == {b"x", None}
    assert contents(disk, Rules.EXT4) == {b"x"}


def test_a_removal_may_reach_the_disk_before_a_new_name_does_but_not_through_a_journal() -> None:
    disk = disk_after(("create", "a", 1), ("sync", "", 0), ("link", "a", 1, {"target": "b"}), ("unlink", "a", 1))
    in_order = {("a",), ("a", "b"), ("b",)}
    for rules, expected in ((Rules.POSIX, in_order | {()}), (Rules.EXT4, in_order)):
        chance = random.Random(0)
        assert {tuple(sorted(disk.state(rules, fate, chance).files)) for fate in Fate for _ in range(50)} == expected


def test_data_is_torn_between_blocks_and_appended_in_order_by_ext4() -> None:
    whole = b"a" * BLOCK + b"b" * BLOCK
    disk = disk_after(("create", "a", 1), ("sync", "", 0), ("write", "a", 1, {"data": whole}))
    zeros = bytes(BLOCK)
    assert contents(disk, Rules.EXT4) == {b"", whole[:BLOCK], whole}
    assert contents(disk, Rules.POSIX) == {b"", whole[:BLOCK], zeros + whole[BLOCK:], whole}


def test_a_sync_does_not_cover_what_was_written_while_it_ran() -> None:
    disk = Disk()
    disk.apply(Step("create", 1, 0, 1, "a", 1))
    disk.apply(Step("sync", 1, 2, 3, "", 0))
    disk.apply(Step("write", 1, 5, 6, "a", 1, data=b"x"))
    disk.apply(Step("sync", 2, 4, 7, "a", 1))
    assert contents(disk, Rules.POSIX) == {b"", b"x"}


def test_a_truncation_may_be_lost() -> None:
    disk = disk_after(("create", "a", 1), ("sync", "", 0), ("write", "a", 1, {"data": b"xyz"}), ("sync", "a", 1),
                      ("truncate", "a", 1, {"offset": 1}))
    assert contents(disk, Rules.POSIX) == {b"xyz", b"x"}


def test_a_state_becomes_a_directory(tmp_path: Path) -> None:
    state = State(["f", "f/g"], {"f/a": 1, "f/g/b": 1, "c": 2}, {1: b"one", 2: b"two"})
    state.write(tmp_path / "disk")
    assert (tmp_path / "disk/f/a").samefile(tmp_path / "disk/f/g/b")
    assert (tmp_path / "disk/c").read_bytes() == b"two"
    assert state.digest() != State(["f", "f/g"], {"f/a": 1, "f/g/b": 1, "c": 2}, {1: b"one", 2: b"2"}).digest()
