"""A data directory that several nodes share, backed up, restored, and given back to a server that is alone."""
from __future__ import annotations

from pathlib import Path

import pytest

from dicomserver.archive.nodes import start_of
from dicomserver.server.restore import restore
from tests.index.emptied import emptied
from tests.postgres import PostgresServer
from tests.server.backing_up import backed_up, started
from tests.server.conftest import Store, describe
from tests.server.test_adoption import Node


@pytest.fixture
def waiting(tmp_path: Path, postgres: PostgresServer):
    """One instance that node 1 has filed, one that waits in the intake of node 2, which has the backup made."""
    url = emptied(postgres)
    one, two = Node(tmp_path / "data", url, 1), Node(tmp_path / "data", url, 2)
    one.index.mark_complete()
    one.join()
    one.receive("1.1", b"first")
    assert one.mover.flush()
    two.receive("1.2", b"second", mover=False)
    report = backed_up(two, tmp_path / "target")
    assert report.instances == 2
    one.close()
    two.close()
    return two


def test_nodes_go_on_with_what_was_restored(waiting: Node, tmp_path: Path, postgres: PostgresServer) -> None:
    restored = restore(str(tmp_path / "target"), str(tmp_path / "new"), lambda report: None)
    assert (restored.instances, restored.damaged) == (2, [])
    assert sorted(path.name for path in (tmp_path / "new/nodes/2").iterdir()) == ["starts"]
    again = Node(tmp_path / "new", emptied(postgres), 2)
    assert again.join().filled.indexed == 2
    assert start_of(again.archive.take().number) == 2
    assert again.final_path("1.2").read_bytes().endswith(b"second")
    again.close()


def test_where_a_count_of_starts_is_lost_no_number_comes_twice(waiting: Node, tmp_path: Path,
                                                               postgres: PostgresServer) -> None:
    [slot] = [path.name for path in (tmp_path / "data/nodes/2/intake").iterdir()]
    for path in (tmp_path / "target/files").iterdir():
        if path.read_bytes() in (b"1\n", b"0\n"):
            path.unlink()
    report = restore(str(tmp_path / "target"), str(tmp_path / "new"), lambda report: None)
    assert sorted(path for path, _ in report.damaged) == ["nodes/1/starts", "nodes/2/starts", "starts"]
    again = Node(tmp_path / "new", emptied(postgres), 2)
    again.join()
    assert again.archive.take().number > int(slot, 16)
    again.close()


def test_a_server_alone_takes_over_what_all_nodes_have_left(waiting: Node, tmp_path: Path) -> None:
    alone = Store(tmp_path / "data")
    alone.describe = describe
    found = started(alone)
    assert {uid: content[-5:] for uid, content in found.items()} == {"1.1": b"first", "1.2": b"econd"}
    assert [path for path in (tmp_path / "data/nodes").glob("*/intake/*") if path.stat().st_size] == []
    alone.close()
