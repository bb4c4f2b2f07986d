"""One server alone, or several nodes that know of each other by their locks."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomserver.index import Index, IndexUnavailable, NodeFenced, OutcomeUnknown, open_index
from dicomserver.index.postgres import engine, membership, schema
from dicomserver.index.postgres.engine import take_place
from dicomserver.index.postgres.membership import SPACE
from dicomserver.index.postgres.migrations import m0001
from tests.index.samples import make
from tests.postgres import PostgresServer

Opened = Callable[[int], Index]


@pytest.fixture
def opened(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Opens the index as a node of that number."""
    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.3)
    indexes: list[Index] = []

    def one(number: int) -> Index:
        indexes.append(open_index(postgres_url, number))
        return indexes[-1]
    yield one
    for index in indexes:
        try:
            index.close()
        except IndexUnavailable:
            continue


def cut_off(server: PostgresServer, number: int) -> None:
    """Returns when nobody has the lock of that number."""
    deadline = time.monotonic() + 60
    while server.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                         " AND classid = %s AND objid = %s AND objsubid = 2", SPACE, number):
        assert time.monotonic() < deadline


def test_nodes_share_what_a_server_alone_has_for_itself(opened: Opened, postgres_url: str) -> None:
    one, two = opened(1), opened(2)
    with pytest.raises(IndexUnavailable, match="another server"):
        opened(0)
    with pytest.raises(IndexUnavailable, match="another server"):
        take_place(postgres_url)
    with pytest.raises(IndexUnavailable, match="node 2 uses the index"):
        opened(2)
    assert one.add(make(1)) is None and two.find(make(1).sop_instance_uid).slot == 1
    one.close()
    two.close()
    alone = opened(0)
    with pytest.raises(IndexUnavailable, match="a server that is no node"):
        opened(1)
    assert alone.nodes is None and alone.counts().instances == 1


def test_nodes_that_start_together_make_one_index(opened: Opened) -> None:
    with ThreadPoolExecutor() as beside_each_other:
        indexes = list(beside_each_other.map(opened, range(1, 5)))
    assert [index.counts().instances for index in indexes] == [0] * 4
    assert all("pg_trgm" not in warning for index in indexes for warning in index.warnings)


def test_one_that_is_frozen_in_a_transaction_holds_nobody_up_for_long(opened: Opened,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    assert membership._ENDS_SOON["idle_in_transaction_session_timeout"] == "10s"
    monkeypatch.setitem(membership._ENDS_SOON, "idle_in_transaction_session_timeout", "100ms")
    one, two = opened(1), opened(2)
    frozen = one._engine.connection
    frozen.execute("BEGIN")
    one._engine.order(one._engine.writer())
    assert two.add(make(1)) is None     # which waits for it
    assert one.add(make(2)) is None and two.counts().instances == 2


class Later:
    """A step of a later version."""

    @staticmethod
    def upgrade(connection) -> None:
        connection.execute("CREATE TABLE later (id INTEGER)")


def test_a_later_version_waits_until_all_are_stopped(opened: Opened, postgres: PostgresServer,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    one = opened(1)
    monkeypatch.setattr(schema.migrate, "__defaults__", ((m0001, Later),))
    with pytest.raises(IndexUnavailable, match="stop them all"):
        opened(2)
    one.close()
    cut_off(postgres, 1)        # PostgreSQL notices that it is closed a moment later
    opened(2)
    opened(3)


def test_a_connection_that_is_lost_is_the_same_node_s_again(opened: Opened, postgres: PostgresServer) -> None:
    one = opened(1)
    one.add(make(1))
    cut_off(postgres, 1)
    assert one.add(make(2)) is None and one.counts().instances == 2
    with pytest.raises(IndexUnavailable, match="node 1 uses the index"):
        opened(1)


def test_one_that_was_adopted_writes_nothing_any_more(opened: Opened, postgres: PostgresServer) -> None:
    one, two = opened(1), opened(2)
    one.add(make(1))
    two.make_durable()
    cut_off(postgres, 1)
    with two.nodes.adopting(1) as is_ours:
        assert is_ours
    with pytest.raises(OutcomeUnknown):     # so its slot is left alone
        one.add(make(2))
    for use in (one.make_durable, lambda: one.find("1.2"), one.nodes.lead):
        with pytest.raises(NodeFenced, match="node 1 was taken for dead"):
            use()
    assert two.counts().instances == 1
    opened(1).add(make(3))      # a new life


def test_while_it_is_adopted_it_does_not_come_back(opened: Opened, postgres: PostgresServer) -> None:
    one, two = opened(1), opened(2)
    cut_off(postgres, 1)
    with two.nodes.adopting(1):
        with pytest.raises(IndexUnavailable, match="being adopted"):
            opened(1)
        with pytest.raises(IndexUnavailable):
            one.add(make(1))
    one._engine._refuse_until = 0.0
    with pytest.raises(NodeFenced):
        one.make_durable()
