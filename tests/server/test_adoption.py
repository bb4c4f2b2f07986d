"""A node's start, its term as leader, and what it does of a dead one's work, on a real archive and PostgreSQL."""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.commitments import CommitmentRequest, Reference
from dicomserver.archive.layout import slot_path
from dicomserver.index import IndexUnavailable, open_index
from dicomserver.server import adoption, deletion
from dicomserver.server.adoption import Adoption, join
from dicomserver.server.commitments import Committer
from dicomserver.server.deletion import Asked, Deleter, DeletionStopped
from dicomserver.server.mover import Mover
from dicomserver.server.settings import MoverSettings, ServerSettings
from dicomserver.server.trash import TrashKeeper
from tests.index.emptied import emptied
from tests.index.postgres.test_membership import cut_off
from tests.server.conftest import STUDY, Store, describe

LOG = logging.getLogger("test.adoption")


class Node(Store):
    """A server's rooms, as of the node `number`."""

    def __init__(self, path, url: str, number: int) -> None:
        self.number = number
        super().__init__(path, url)

    def open(self) -> None:
        self.archive = Archive(self.path, reserve=0, node=self.number)
        self.index = open_index(self.url, self.number)
        self.mover = Mover(self.index, self.archive, MoverSettings(interval_seconds=60), LOG)
        self.trash = TrashKeeper(self.archive, self.index, self.mover, describe, 60.0, LOG)
        self.committer = Committer(self.index, self.archive, ServerSettings(), LOG)
        self.deleter = Deleter(self.archive, self.index, self.mover, self.trash, LOG)
        self.heir = Adoption(self.archive, self.index, self.mover, self.committer, self.deleter, self.trash, describe,
                             LOG)

    def join(self):
        report = join(self.archive, self.index, self.mover, describe, lambda done, total: None, LOG)
        self.mover.start()
        return report

    def die(self) -> None:
        """As by SIGKILL: what waits in the intake stays there."""
        self.mover._waiting.clear()
        self.close()

    def close(self) -> None:
        try:
            super().close()
        except IndexUnavailable:
            self.archive.close()


@pytest.fixture
def pair(tmp_path, postgres, monkeypatch) -> Iterator[tuple[Node, Node]]:
    monkeypatch.setattr(deletion, "FILING_SECONDS", 0.3)
    url = emptied(postgres)
    nodes = Node(tmp_path / "data", url, 1), Node(tmp_path / "data", url, 2)
    nodes[0].index.mark_complete()
    for node in nodes:
        node.join()
    yield nodes
    for node in nodes:
        node.close()


def test_one_fills_a_new_index_and_the_others_wait(tmp_path, postgres, monkeypatch) -> None:
    monkeypatch.setattr(adoption, "LOOK_SECONDS", 0.01)
    alone = Store(tmp_path / "data")
    alone.receive("1.1")
    alone.mover.start()
    alone.close()
    url = emptied(postgres)
    one, two = Node(tmp_path / "data", url, 1), Node(tmp_path / "data", url, 2)
    assert one.index.nodes.lead() == 1
    reports = []
    waits = threading.Thread(target=lambda: reports.append(two.join()))
    waits.start()
    assert two.index.is_fresh and one.join().filled.indexed == 1
    waits.join(20)
    assert reports[0].filled is None and two.index.find("1.1") is not None
    one.close()
    two.close()


def test_what_a_dead_node_has_received_is_filed(pair: tuple[Node, Node]) -> None:
    one, two = pair
    indexed, unindexed = two.receive("1.1"), two.receive("1.2", row=False, mover=False)
    two.archive.commitments.add(CommitmentRequest("NOBODY", "9.9", time.time(), 1), [Reference("1", "1.1")])
    two.die()
    one.heir.adopt(2)
    assert one.mover.flush()
    for waiting in (indexed, unindexed):
        assert one.index.find(waiting.sop_instance_uid).slot == waiting.slot
        assert one.final_path(waiting.sop_instance_uid).exists()
        assert not (one.path / slot_path(waiting.slot)).exists()
    assert one.committer.figures()["commitmentsWaiting"] == 1
    one.committer.stop()


def test_an_instance_that_is_stored_again_while_it_is_adopted(pair: tuple[Node, Node], monkeypatch) -> None:
    """Between the look into the index and the row."""
    one, two = pair
    waiting = two.receive("1.1", b"first", row=False, mover=False)
    two.die()
    real = one.index.find

    def find(uid: str):
        monkeypatch.undo()
        found = real(uid)
        one.receive("1.1", b"second")
        return found
    monkeypatch.setattr(one.index, "find", find)
    one.heir.adopt(2)
    assert one.mover.flush()
    assert one.index.find("1.1").slot != waiting.slot
    assert one.final_path("1.1").read_bytes().endswith(b"second") and b"first" in one.quarantined()[0]


def test_what_waits_at_another_node_is_deleted_when_that_has_filed_it(pair: tuple[Node, Node]) -> None:
    one, two = pair
    one.heir.take_over()
    two.receive("1.1")
    with pytest.raises(DeletionStopped, match="wait to be filed by another node"):
        one.deleter.delete(Asked(study=STUDY))
    assert one.index.find("1.1") is not None and list((one.path / "tombstones").iterdir()) == []
    threading.Timer(0.1, two.mover.flush).start()
    assert one.deleter.delete(Asked(study=STUDY)) == 1
    assert not one.final_path("1.1").exists()


def test_who_takes_over_ends_what_the_former_leader_began(pair: tuple[Node, Node]) -> None:
    one, two = pair
    one.heir.take_over()
    filed, waits = one.receive("1.1"), None
    assert one.mover.flush()
    waits = one.receive("1.2")
    rows = [one.index.find(waiting.sop_instance_uid) for waiting in (filed, waits)]
    for row in rows:
        one.archive.begin_delete([row], one.archive.trash.labels("it")())
    two.heir.take_over()
    assert two.index.find("1.1") is None and not one.final_path("1.1").exists()
    assert two.index.find("1.2") is not None        # that one runs, and may be filing it
    one.die()
    two.heir.adopt(1)
    two.deleter.keep_house()
    assert two.index.find("1.2") is None and list((one.path / "tombstones").iterdir()) == []
    assert {file.sop_instance_uid for record in two.archive.trash.records() for file in record.files} == {"1.1", "1.2"}
    assert two.trash.undelete(lambda record, file: True).restored == 2
    assert two.mover.flush() and two.final_path("1.2").exists()


def test_a_node_ends_deletions_of_its_own_intake_when_it_starts(pair: tuple[Node, Node], postgres) -> None:
    one, _ = pair
    one.heir.take_over()
    one.receive("1.1")
    one.archive.begin_delete([one.index.find("1.1")])
    one.die()
    cut_off(postgres, 1)
    one.open()
    assert one.join().deletions == 1
    assert one.index.find("1.1") is None
