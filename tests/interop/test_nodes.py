"""Three servers on one database and one data directory: each stores and gives everything, and may die at any time."""
from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.index.emptied import emptied
from tests.interop.installed import DICOM_SERVER, PATIENCE, Installed, wait_until
from tests.interop.lane import Lane
from tests.interop.retriever import GET, Retriever
from tests.interop.sender import Sender
from tests.interop.stored import Sent, check
from tests.interop.synthetic import CT, EXPLICIT, instance
from tests.postgres import PostgresServer

NODE_LOCK = "locktype = 'advisory' AND objsubid = 2 AND objid = "


class Nodes:
    """The servers, by their numbers."""

    def __init__(self, folder: Path, postgres: PostgresServer) -> None:
        self.data = folder / "data"
        self._postgres = postgres
        self.servers: dict[int, Installed] = {}
        for number in (1, 2, 3):
            home = folder / f"node-{number}"
            home.mkdir()
            server = Installed(home, node=number, dataDirectory=str(self.data), databaseURL=emptied(postgres),
                               scrubDays=0)
            server.data = self.data
            self.servers[number] = server

    def __getitem__(self, number: int) -> Installed:
        return self.servers[number]

    def start(self) -> None:
        """Those that do not run, beside each other, as on an empty directory."""
        ended = [server for server in self.servers.values() if not server.process or server.process.poll() is not None]
        with ThreadPoolExecutor() as executor:
            list(executor.map(Installed.start, ended))

    @property
    def leader(self) -> int:
        """Who has the lock, and has begun to lead; 0: nobody."""
        found = self._postgres.execute("""SELECT n.objid::int FROM pg_locks l JOIN pg_locks n ON n.pid = l.pid
            WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.objid = 0 AND l.granted
            AND n.locktype = 'advisory' AND n.objsubid = 2 AND n.objid BETWEEN 1 AND 127""")
        # While it adopts another one it has that one's lock, too.
        said = json.loads((self.data / "nodes" / "leader").read_text())["node"] if found else 0
        return said if (said,) in found else 0

    @property
    def follower(self) -> int:
        return self.leader % 3 + 1

    def led(self) -> Installed:
        """The leader, once it is ready."""
        wait_until(lambda: self.leader and self[self.leader].call("kept") == {}, every=0.1)
        return self[self.leader]

    def uids(self) -> set[str]:
        """Of all rows."""
        return {uid for uid, in self._postgres.execute("SELECT uid FROM dicom_server.instances")}

    def waiting(self) -> list[Path]:
        """Slots with something in them."""
        return [path for path in self.data.glob("nodes/*/intake/*") if size(path)]

    def cut_off(self, number: int) -> None:
        """The writer's connection of a node ends, and with it its locks."""
        self._postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {NODE_LOCK} {number}")

    def settled(self) -> None:
        """Waits until all is filed; then each row has its file and each file its row."""
        wait_until(lambda: not self.waiting(), every=0.1)
        assert {path.stem for path in self[1].files()} == self.uids()
        assert self[1].quarantined() == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path_factory.mktemp("nodes"), postgres)
    yield nodes
    for server in nodes.servers.values():
        server.close()


@pytest.fixture
def nodes(made: Nodes) -> Nodes:
    """All three run."""
    made.start()
    return made


@pytest.fixture
def standstill(postgres: PostgresServer) -> Iterator[psycopg.Connection]:
    """While its transaction lasts nobody changes an instance's row."""
    with psycopg.connect(postgres.url) as connection:
        connection.execute("LOCK TABLE dicom_server.instances IN EXCLUSIVE MODE")
        yield connection


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0        # in this moment


def blocked(postgres: PostgresServer) -> int:
    return postgres.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")[0][0]


def stored_at(server: Installed, *several: Sent) -> None:
    with Sender(server.port, [(CT, [EXPLICIT])]) as sender:
        for one in several:
            assert sender.store(1, CT, one.sop_instance, one.dataset).status == 0


def given_by(server: Installed, study: str) -> dict[str, bytes]:
    """What C-GET of a study gives."""
    with Retriever(server.port, GET["study"], [(CT, EXPLICIT)]) as retriever:
        retrieved = retriever.get("STUDY", {"StudyInstanceUID": study})
    assert retrieved.status == 0
    return {one.sop_instance: one.dataset for one in retrieved.stored}


def test_each_stores_and_each_gives_everything(nodes: Nodes) -> None:
    """Also of one study that comes to all three at the same time, while it waits in the intakes still."""
    sent = {number: [instance(900, 10 * number + at) for at in range(8)] for number in nodes.servers}
    senders = [threading.Thread(target=stored_at, args=(nodes[number], *several)) for number, several in sent.items()]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    everything = {one.sop_instance: one.dataset for several in sent.values() for one in several}
    for server in nodes.servers.values():
        assert given_by(server, instance(900, 0).study) == everything
        assert server.stats()["instances"] == len(everything)
        stored_at(server, *sent[1][:2])     # the same again is welcome everywhere
    nodes.settled()
    for several in sent.values():
        for one in several:
            check(nodes.data, one)


def test_the_leader_deletes_what_waits_at_another_one(nodes: Nodes) -> None:
    leader, follower = nodes.led(), nodes[nodes.follower]
    refused = follower.run("delete", "--study", instance(900, 0).study, "--yes", *follower.where)
    assert refused.returncode == 1 and f"give this command to node {nodes.leader}" in refused.stderr
    one = instance(901, 1)
    stored_at(follower, one)
    assert leader.call("delete", study=one.study) == {"deleted": 1}
    assert one.sop_instance not in nodes.uids() and not (nodes.data / one.path).exists()
    assert leader.call("undelete", study=one.study)["restored"] == 1
    assert given_by(follower, one.study) == {one.sop_instance: one.dataset}
    nodes.settled()


def test_a_node_dies_between_its_slot_and_its_row(nodes: Nodes, standstill: psycopg.Connection,
                                                  postgres: PostgresServer) -> None:
    leader, dead = nodes.leader, nodes.follower
    lanes = {number: Lane(nodes[number], 10 + number) for number in nodes.servers}
    wait_until(lambda: blocked(postgres) == 3 and len(nodes.waiting()) >= 3, every=0.05)
    nodes[dead].kill()
    nodes.cut_off(dead)         # so that what it has begun is never committed
    [slot] = [path for path in nodes.waiting() if path.parent.parent.name == str(dead)]
    unacknowledged = instance(100 * (10 + dead) + 1, 1)
    assert unacknowledged.dataset in slot.read_bytes()
    standstill.commit()
    wait_until(lambda: all(lane.count(0) > 50 for number, lane in lanes.items() if number != dead), every=0.05)
    wait_until(lambda: not slot.exists(), every=0.05)
    lanes[dead].stop()
    assert lanes[dead].ended is not None and lanes[dead].acknowledged == set()
    for number in lanes.keys() - {dead}:
        lanes[number].stop()
        assert lanes[number].ended is None and set(lanes[number].statuses.values()) == {0}
    nodes.settled()
    assert {uid for lane in lanes.values() for uid in lane.acknowledged} | {unacknowledged.sop_instance} <= nodes.uids()
    check(nodes.data, unacknowledged)
    assert given_by(nodes[leader], unacknowledged.study) == {unacknowledged.sop_instance: unacknowledged.dataset}
    assert list(nodes.data.glob(f"nodes/{dead}/intake/*")) == []
    nodes[dead].start()
    stored_at(nodes[dead], instance(902, 1))


def test_the_leader_dies_in_the_middle_of_a_deletion(nodes: Nodes, standstill: psycopg.Connection,
                                                     postgres: PostgresServer) -> None:
    leader = nodes.led()
    dead = nodes.leader
    asked = subprocess.Popen([DICOM_SERVER, "delete", "--study", instance(900, 0).study, "--yes", *leader.where],
                             stderr=subprocess.DEVNULL)
    wait_until(lambda: blocked(postgres) == 1 and any(nodes.data.glob("tombstones/*.json")), every=0.05)
    leader.kill()
    assert asked.wait(PATIENCE) == 1
    nodes.cut_off(dead)
    standstill.commit()
    wait_until(lambda: not any(nodes.data.glob("tombstones/*.json")), every=0.05)
    assert nodes.leader not in (0, dead)
    assert not (nodes.data / instance(900, 0).study).exists()
    assert not any(uid.startswith(instance(900, 0).study + ".") for uid in nodes.uids())
    nodes.settled()


def test_a_node_that_was_taken_for_dead_acknowledges_nothing_more(nodes: Nodes, postgres: PostgresServer) -> None:
    stopped = nodes.follower
    tokens = postgres.execute("SELECT token FROM dicom_server.nodes WHERE number = %s", stopped)
    lane = Lane(nodes[stopped], 20)
    wait_until(lambda: lane.count(0) > 20)
    nodes[stopped].freeze()
    before = set(lane.statuses)
    # What a network file system does with the lock of a machine that does not answer.
    (nodes.data / "nodes" / str(stopped) / "lock").unlink()
    nodes.cut_off(stopped)
    wait_until(lambda: postgres.execute("SELECT token FROM dicom_server.nodes WHERE number = %s", stopped) != tokens
               and not list(nodes.data.glob(f"nodes/{stopped}/intake/*")), every=0.05)
    nodes[stopped].signal(signal.SIGCONT)
    assert nodes[stopped].process.wait(PATIENCE) == 1
    lane.stop()
    # One may have been committed before, and its answer on its way.
    assert len([uid for uid in lane.acknowledged if uid not in before]) <= 1
    assert any("was taken for dead" in line for line in nodes[stopped].lines)
    nodes.settled()
    assert lane.acknowledged <= nodes.uids()


def test_the_database_dies_under_load(nodes: Nodes, postgres: PostgresServer) -> None:
    lanes = [Lane(nodes[number], 30 + 2 * number + at) for number in nodes.servers for at in (0, 1)]

    def each(more: int) -> None:
        before = [lane.count(0) for lane in lanes]
        wait_until(lambda: all(lane.ended or lane.count(0) >= count + more for lane, count in zip(lanes, before)),
                   every=0.05)
    each(50)
    postgres.kill()
    postgres.start()
    each(50)
    for lane in lanes:
        lane.stop()
    assert [lane.ended for lane in lanes] == [None] * len(lanes)
    assert {status for lane in lanes for status in lane.statuses.values()} <= {0, 0xA700}
    nodes.settled()
    assert {uid for lane in lanes for uid in lane.acknowledged} <= nodes.uids()
    postgres.kill()         # and all that was filed is durable there
    postgres.start()
    nodes.settled()
    for server in nodes.servers.values():
        wait_until(lambda: server.stats()["instances"] == len(nodes.uids()), every=0.1)     # it has connected anew
        server.stop()
