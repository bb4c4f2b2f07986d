"""The running server, traced: nothing leaves too early, nothing goes too early, and no sync is one too many."""
from __future__ import annotations

import random
from collections import Counter

from dicomserver.archive.space import LAST_ROOM_FILE
from tests.crash import lint
from tests.crash.model import Disk, Fate, Rules, moments
from tests.crash.recording import Recording
from tests.crash.steps import Step
from tests.crash.tally import Tally


def test_the_trace_has_all_that_the_senders_saw(everything: Recording) -> None:
    kinds = Counter(step.kind for step in everything.steps)
    assert kinds["ack"] == everything.acknowledged == 39
    assert kinds["nack"] == 3       # the same UID with other content, a row that could not be written
    assert kinds["ask"] == kinds["answer"] == 4
    assert kinds["commit"] == len(everything.ledger.uids())
    assert kinds["accept"] == 4
    assert kinds["report"] >= kinds["reported"] == 3    # the last one's requester does not come back
    assert kinds["link"] > 20 and kinds["cut"] == 2


def test_the_model_of_the_disk_ends_where_the_real_one_does(everything: Recording) -> None:
    disk = Disk()
    for _, is_over, step in moments(everything.steps):
        if is_over:
            disk.apply(step)
    state = disk.state(Rules.POSIX, Fate.ALL_KEPT, random.Random(0))
    data = everything.data
    real = {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}
    real |= {LAST_ROOM_FILE: b""} if LAST_ROOM_FILE in real else {}     # whose content is nobody's, and not followed
    assert state.tree() == real


def test_nothing_is_out_of_order(everything: Recording, tally: Tally) -> None:
    found = lint.check(everything.steps)
    tally.add("rules of order, over each trace", len(lint.RULES), len({line.partition(":")[0] for line in found}))
    assert found == []


def test_nothing_is_out_of_order_under_load(load: Recording) -> None:
    assert load.statuses == [0] * 600
    assert lint.check(load.steps) == []


def test_an_instance_is_one_sync(load: Recording) -> None:
    """Of a lone association's thread; what others sync is shared by many."""
    lone = [step for step in load.steps if step.kind == "ack" and step.message in load.lone]
    begin, end = lone[0].begin, lone[-1].begin
    threads = {step.thread for step in lone}
    found = lint.syncs(load.steps, begin, end)
    assert [key for key in found if key[0] == "association"] == [("association", "slot")]
    assert found["association", "slot"] == len(lone) - 1
    assert sum(_synced_by(load.steps, threads, begin, end).values()) == len(lone) - 1
    # The intake's batches of slots and the mover's passes.
    assert sum(count for (who, _), count in found.items() if who == "others") < len(lone) / 4


def test_side_by_side_too(load: Recording) -> None:
    found = lint.syncs(load.steps)
    assert found["association", "slot"] == load.acknowledged
    assert {what for who, what in found if who == "association"} == {"slot"}
    assert found["others", "slot"] == 0


def test_nothing_is_out_of_order_with_several_operations_at_once(window: Recording) -> None:
    assert window.statuses == [0] * 200
    assert lint.check(window.steps) == []
    found = lint.syncs(window.steps)
    assert sum(count for (_, what), count in found.items() if what == "slot") == 200


def _synced_by(steps: list[Step], threads: set[int], begin: int, end: int) -> Counter[str]:
    return Counter(step.path for step in steps
                   if step.kind == "sync" and step.thread in threads and begin <= step.begin and step.over <= end)
