from __future__ import annotations

import contextlib
import logging
import threading
from types import SimpleNamespace

import pytest

from dicomserver.archive.errors import ArchiveDamaged, RecoveryFailed, TrashFailed
from dicomserver.index import IndexAway, NodeFenced
from dicomserver.server import leadership
from dicomserver.server.control import CommandFailed
from dicomserver.server.leadership import Leadership

LOG = logging.getLogger("test.leadership")


class IndexNodes:
    """What the index knows of the nodes."""

    def __init__(self) -> None:
        self.number = 1
        self.term: int | Exception = 0
        self.alive: set[int] = set()

    def lead(self) -> int:
        if isinstance(self.term, Exception):
            raise self.term
        return self.term

    @property
    def leads(self) -> bool:
        return isinstance(self.term, int) and self.term > 0

    @contextlib.contextmanager
    def adopting(self, number: int):
        yield number not in self.alive


class ArchiveNodes:
    """What the data directory knows of them."""

    def __init__(self) -> None:
        self.starts = {0: b"4", 2: b"1", 3: b"1"}
        self.running: set[int] = set()
        self.led: int | Exception = 2

    def others(self) -> list[int]:
        return list(self.starts)

    @contextlib.contextmanager
    def locking(self, number: int):
        yield number not in self.running

    def starts_of(self, number: int) -> bytes:
        return self.starts[number]

    def leader(self) -> int:
        if isinstance(self.led, Exception):
            raise self.led
        return self.led


class Desk:
    """A leadership, and what happens on account of it."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.failing: Exception | None = None
        self.unreadable: set[int] = set()
        self.index_nodes, self.nodes = IndexNodes(), ArchiveNodes()
        self.leadership = Leadership(SimpleNamespace(nodes=self.nodes), SimpleNamespace(nodes=self.index_nodes),
                                     self, self, lambda: self.events.append("fenced"), LOG)

    def look(self) -> list[str]:
        """One look, with what its thread does when that fails; -> what came of it."""
        self.events.clear()
        self.leadership._look_once()
        return [event for event in self.events if event != "stop"]

    def take_over(self) -> None:
        if self.failing is not None:
            raise self.failing
        self.events.append("take over")

    def adopt(self, number: int) -> None:
        if number in self.unreadable:
            raise RecoveryFailed("reading the intake", 5)
        self.events.append(f"adopt {number}")

    def start(self) -> None:
        self.events.append("start")

    def stop(self) -> None:
        self.events.append("stop")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_who_does_not_lead_does_nothing(desk: Desk) -> None:
    assert desk.look() == [] and not desk.leadership.leads
    assert desk.leadership.figures() == {"node": 1, "leader": 2}


def test_who_leads_takes_over_and_adopts_each_dead_node_once(desk: Desk) -> None:
    desk.index_nodes.term = 1
    desk.nodes.running = {3}
    assert desk.look() == ["take over", "start", "adopt 0", "adopt 2"] and desk.leadership.leads
    assert desk.look() == []
    desk.nodes.running = set()
    desk.index_nodes.alive = {3}        # its connection is there still
    assert desk.look() == []
    desk.index_nodes.alive = set()
    assert desk.look() == ["adopt 3"]
    desk.nodes.starts[2] = b"2"         # it was started, and has died again
    assert desk.look() == ["adopt 2"]


def test_a_new_term_begins_anew(desk: Desk) -> None:
    desk.index_nodes.term = 1
    desk.look()
    desk.index_nodes.term = 2
    desk.look()
    assert desk.events[-6:] == ["stop", "take over", "start", "adopt 0", "adopt 2", "adopt 3"]
    desk.index_nodes.term = 0
    desk.look()
    assert desk.events[-1] == "stop" and not desk.leadership.leads


def test_what_fails_is_tried_again(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.index_nodes.term = 1
    desk.failing = TrashFailed("reading the trash", 5)
    assert desk.look() == [] and not desk.leadership.leads
    assert "this node cannot lead now: reading the trash: Input/output error" in caplog.text
    desk.failing = None
    assert desk.look()[:2] == ["take over", "start"]
    desk.index_nodes.term = IndexAway("no connection")
    assert desk.look() == [] and not desk.leadership.leads
    desk.index_nodes.term = 2
    assert desk.look()[:2] == ["take over", "start"] and desk.leadership.leads


def test_one_that_cannot_be_adopted_keeps_nobody_from_leading(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.index_nodes.term = 1
    desk.unreadable = {2}
    assert desk.look() == ["take over", "start", "adopt 0", "adopt 3"] and desk.leadership.leads
    assert desk.look() == []
    assert caplog.text.count("node 2 cannot be looked after now: reading the intake: Input/output error") == 1
    desk.unreadable = set()
    assert desk.look() == ["adopt 2"]


def test_who_was_taken_for_dead_says_so(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.index_nodes.term = NodeFenced("node 1 was taken for dead")
    assert desk.look() == ["fenced"]
    assert "node 1 was taken for dead: this server ends" in caplog.text


def test_commands_of_the_leader(desk: Desk) -> None:
    told: list[dict] = []

    def deletes(args, progress):
        progress({"deleted": 1})
        desk.index_nodes.term = 0
        progress({"deleted": 2})

    table = desk.leadership.guarded({"delete": deletes, "stats": lambda args, progress: {"instances": 3}})
    assert table["stats"]({}, told.append) == {"instances": 3}
    with pytest.raises(CommandFailed, match="node 1 does not lead: give this command to node 2"):
        table["delete"]({}, told.append)
    for led in (1, ArchiveDamaged("who?")):
        desk.nodes.led = led
        with pytest.raises(CommandFailed, match="to another one"):
            table["delete"]({}, told.append)
    assert told == []
    desk.index_nodes.term = 1
    desk.look()
    with pytest.raises(CommandFailed):      # between two batches
        table["delete"]({}, told.append)
    assert told == [{"deleted": 1}]


def test_its_thread(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leadership, "LOOK_SECONDS", 0.001)
    twice, looks = threading.Event(), []
    monkeypatch.setattr(desk.leadership, "_look", lambda: looks.append(1) or len(looks) > 1 and twice.set())
    desk.leadership.start()
    assert twice.wait(20) and desk.leadership.alive
    desk.leadership.stop()
    assert not desk.leadership.alive and desk.events == ["stop"]
