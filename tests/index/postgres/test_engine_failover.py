"""A primary that is lost, and its standby in its place: what was confirmed is there, or no more stores are taken."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from dicomserver.index import Counts, Index, IndexDamaged, IndexFault, open_index
from dicomserver.index.postgres import engine
from tests.index.samples import make
from tests.postgres import DATABASE, USER, PostgresServer

WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
SYNCHRONOUS = "synchronous_standby_names = '*'"


def wait_until(met: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Pair:
    """A primary and its standby, and an index that knows of both."""

    def __init__(self, *settings: str) -> None:
        self.primary = PostgresServer()
        self.standby = PostgresServer(standby_of=self.primary)
        for setting in settings:
            self.primary.execute(f"ALTER SYSTEM SET {setting}")
        self.primary.execute("SELECT pg_reload_conf()")
        wait_until(self.is_followed)
        self.index = open_index(f"postgres://{USER}@/{DATABASE}?host={self.primary.folder},{self.standby.folder}")

    def is_followed(self) -> bool:
        return self.primary.execute("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'") != []

    def is_abreast(self) -> bool:
        """Whether the standby has all that was synced."""
        return self.primary.execute("SELECT replay_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication") == [
            (True,)]

    def behind(self, paused: bool) -> None:
        """The standby gets no more, or all of it."""
        self.standby.execute("ALTER SYSTEM SET primary_conninfo = %s" % (
            "''" if paused else f"'host={self.primary.folder} user={USER}'"))
        self.standby.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self.is_followed() != paused)

    def fail_over(self) -> None:
        self.primary.kill()
        self.standby.execute("SELECT pg_promote()")

    def remove(self) -> None:
        with suppress(IndexFault):      # the primary is gone
            self.index.close()
        self.standby.remove()
        self.primary.remove()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(*request.param)
    yield made
    made.remove()


def slots(index: Index) -> list[int]:
    return sorted(one.slot for one in index.select())


@pytest.mark.parametrize("pair", [[SYNCHRONOUS], [SYNCHRONOUS, "synchronous_commit = remote_apply"]], indirect=True)
def test_a_sync_waits_for_a_synchronous_standby_and_a_store_does_not(pair: Pair) -> None:
    pair.index.add(make(1))
    pair.behind(True)
    assert pair.index.add(make(2)) is None      # in the midst of a series, too
    syncing = threading.Thread(target=pair.index.make_durable)
    syncing.start()
    wait_until(lambda: pair.primary.execute(WAITING))
    assert syncing.is_alive()
    pair.behind(False)
    syncing.join(60)
    assert not syncing.is_alive()
    pair.fail_over()
    assert pair.index.add(make(3)) is None
    assert slots(pair.index) == [1, 2, 3] and pair.index.counts() == Counts(1, 1, 1, 3)


@pytest.mark.parametrize("pair", [[SYNCHRONOUS]], indirect=True)
def test_without_the_standby_the_end_comes_all_the_same(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.2)
    pair.index.add(make(1))
    pair.behind(True)
    faults = []

    def sync() -> None:
        try:
            pair.index.make_durable()
        except IndexFault as fault:
            faults.append(fault)
    syncing = threading.Thread(target=sync)
    syncing.start()
    wait_until(lambda: pair.primary.execute(WAITING))
    pair.index.close()
    syncing.join(60)
    assert len(faults) == 1
    assert pair.primary.execute("SELECT count(*) FROM dicom_server.instances") == [(1,)]


@pytest.mark.parametrize("pair", [[SYNCHRONOUS]], indirect=True)
def test_what_the_standby_has_not_got_yet_comes_back(pair: Pair) -> None:
    """What was not synced waits in the intake still."""
    pair.index.add(make(1))
    pair.index.make_durable()
    pair.behind(True)
    for number in range(2, 10):
        pair.index.add(make(number, study=f"1.{number}"))
    pair.fail_over()
    assert slots(pair.index) == list(range(1, 10))
    assert pair.standby.execute("SELECT count(*) FROM dicom_server.instances") == [(9,)]


@pytest.mark.parametrize("pair", [[]], indirect=True)
def test_an_asynchronous_standby_that_is_behind_is_found_out(pair: Pair) -> None:
    pair.index.add(make(1))
    pair.index.make_durable()
    wait_until(pair.is_abreast)
    pair.behind(True)
    pair.index.add(make(2))
    pair.index.make_durable()       # confirmed, and its slot may go
    pair.fail_over()
    for _ in range(2):
        with pytest.raises(IndexDamaged, match="index rebuild"):
            pair.index.add(make(3))
