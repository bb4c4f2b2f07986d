"""Beyond the contract: what PostgreSQL forgets comes back, whoever it is that notices first."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dicomserver.index import Counts, Index, IndexAway, IndexDamaged, IndexUnavailable, OutcomeUnknown, open_index
from dicomserver.index.index import BULK_ROWS
from dicomserver.index.postgres import engine
from dicomserver.index.postgres.engine import Postgres, take_place
from tests.index.samples import ask, make
from tests.postgres import PostgresServer


@pytest.fixture
def index(postgres_url: str) -> Iterator[Index]:
    opened = open_index(postgres_url)
    yield opened
    try:
        opened.close()
    except IndexUnavailable:
        pass


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.2)


def restarted(server: PostgresServer) -> None:
    server.kill()
    server.start()


def rows(server: PostgresServer) -> int:
    return server.execute("SELECT count(*) FROM dicom_server.instances")[0][0]


USES: dict[str, Callable[[Index], object]] = {
    "add": lambda index: index.add(make(100)),
    "find": lambda index: index.find("1.2.3.1.1"),
    "make_durable": lambda index: index.make_durable(),
    "add_many": lambda index: index.add_many([make(100)]),
}


@pytest.mark.parametrize("use", USES)
def test_what_a_crash_took_comes_back_before_anything_else(use: str, index: Index, postgres: PostgresServer) -> None:
    for number in range(1, 6):
        index.add(make(number))
    index.make_durable()
    for number in range(6, 20):
        index.add(make(number, study="1.2.3" if number % 2 else f"1.{number}"))
    before = list(index.select())
    restarted(postgres)
    assert rows(postgres) == 5          # so the server really lost them
    USES[use](index)
    assert [one for one in index.select() if one.slot != 100] == sorted(before, key=lambda one: one.slot)
    assert rows(postgres) >= 19


def ids(index: Index, table: str) -> set[int]:
    return {one for one, in ask(index, f"SELECT id FROM {table}")}


def test_after_a_crash_no_id_is_given_out_again(index: Index, postgres: PostgresServer) -> None:
    """Somebody may hold one, as a retrieval does; it must not come to mean another image."""
    tables = ("instances", "series", "studies")
    index.add(make(1))
    index.make_durable()
    kept = {table: ids(index, table) for table in tables}
    for number in range(2, 52):     # PostgreSQL itself remembers 32 that it has not given out
        index.add(make(number, study=f"2.{number}"))
    lost = {table: ids(index, table) - kept[table] for table in tables}
    restarted(postgres)
    index.add(make(99, study="9.9"))
    for table in tables:
        assert len(lost[table]) == 50 and len(ids(index, table)) == 52
        assert ids(index, table) & lost[table] == set()


def test_a_removal_and_a_replacement_stay(index: Index, postgres: PostgresServer) -> None:
    for number in (1, 2, 3):
        index.add(make(number))
    index.make_durable()
    index.add(make(4))
    assert index.remove(["1.2.3.1.1", "1.2.3.1.4"], [1, 4]) == 2
    assert index.replace(2, make(2, slot=22)) is None
    restarted(postgres)
    assert {one.sop_instance_uid: one.slot for one in index.select()} == {"1.2.3.1.2": 22, "1.2.3.1.3": 3}


def test_a_new_index_and_a_closed_one_survive_a_crash(postgres_url: str, postgres: PostgresServer) -> None:
    index = open_index(postgres_url)
    restarted(postgres)
    index.add(make(1))
    index.close()
    restarted(postgres)
    assert rows(postgres) == 1


def test_no_more_is_remembered_than_is_not_synced(index: Index) -> None:
    index.add(make(1))
    index.replace(1, make(1, slot=10))
    assert list(index._unsynced._tickets) == [10]
    index.make_durable()
    index.add_many(make(number) for number in range(100, 100 + BULK_ROWS + 1))
    assert index._unsynced._tickets == {}
    index.add(make(2))
    index.remove(["1.2.3.1.2"], [2])
    assert index._unsynced._tickets == index._unsynced._replaced == {}


def breaking(index: Index, server: PostgresServer, monkeypatch: pytest.MonkeyPatch, *, restart: bool) -> None:
    """The next instance of a known series is committed; then the connection breaks before anybody hears of it."""
    real = index._ledger.add_known

    def add_known(session, row):
        monkeypatch.undo()
        real(session, row)
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        if not restart:
            server.stop()
        return real(session, row)

    monkeypatch.setattr(index._ledger, "add_known", add_known)


def test_a_commit_of_unknown_outcome_is_looked_up(index: Index, postgres: PostgresServer, monkeypatch) -> None:
    index.add(make(1))
    breaking(index, postgres, monkeypatch, restart=True)
    assert index.add(make(2)) is None       # and not: it is there already
    assert index.add(make(2, slot=99)).slot == 2
    assert index.counts() == Counts(1, 1, 1, 2)


def test_a_commit_that_cannot_be_looked_up(index: Index, postgres: PostgresServer, monkeypatch) -> None:
    """It is in as soon as the database is back, and until then nothing else is taken."""
    index.add(make(1))
    breaking(index, postgres, monkeypatch, restart=False)
    engine.PATIENCE_SECONDS, patience = 0.2, engine.PATIENCE_SECONDS
    try:
        with pytest.raises(OutcomeUnknown):
            index.add(make(2))
        for use in (lambda: index.add(make(3)), index.make_durable, index.counts, lambda: index.find("1")):
            with pytest.raises(IndexAway) as away:
                use()
            assert not isinstance(away.value, OutcomeUnknown)
    finally:
        engine.PATIENCE_SECONDS = patience
        postgres.start()
    index._engine._refuse_until = 0.0
    index.make_durable()
    assert sorted(one.slot for one in index.select()) == [1, 2]
    assert index.add(make(2, slot=22)).slot == 2


def broken(index: Index, server: PostgresServer) -> None:
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    deadline = time.monotonic() + 60
    while engine.is_quiet(index._engine.connection):
        assert time.monotonic() < deadline


def test_no_other_connection_is_synced_than_the_one_that_committed(index: Index, postgres: PostgresServer) -> None:
    index.add(make(1))
    with index._engine.lock:
        broken(index, postgres)
        with pytest.raises(OutcomeUnknown):
            index._engine.sync()
    assert list(index._unsynced._tickets) == [1]
    index.make_durable()
    assert list(index._unsynced._tickets) == []


def test_a_removal_is_not_done_when_its_connection_breaks(index: Index, postgres: PostgresServer, monkeypatch) -> None:
    index.add(make(1))
    index.make_durable()
    sync = index._engine.sync

    def breaking_sync() -> None:
        broken(index, postgres)
        sync()

    monkeypatch.setattr(index._engine, "sync", breaking_sync)
    for change in (lambda: index.remove(["1.2.3.1.1"], [1]), lambda: index.other_patients.accept("1.2.3"),
                   index.mark_complete):
        with pytest.raises(OutcomeUnknown):
            change()


def test_stores_wait_a_while_for_a_database_that_is_restarted(index: Index, postgres: PostgresServer) -> None:
    index.add(make(1))
    postgres.kill()
    starter = threading.Thread(target=postgres.start)
    starter.start()
    try:
        assert index.add(make(2)) is None
    finally:
        starter.join()
    assert index.counts() == Counts(1, 1, 1, 2)


def test_many_at_once_across_a_crash_lose_and_double_nothing(index: Index, postgres: PostgresServer) -> None:
    added: list[int] = []
    faults: list[BaseException] = []
    begun = threading.Event()

    def work(first: int) -> None:
        for number in range(first, first + 200):
            try:
                assert index.add(make(number, study=f"1.{number % 7}")) is None
                added.append(number)
            except BaseException as error:
                faults.append(error)
            if len(added) > 300:
                begun.set()

    threads = [threading.Thread(target=work, args=(1000 * worker + 1,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    restarted(postgres)
    for thread in threads:
        thread.join()
    assert faults == [] and len(added) == 800
    assert sorted(one.slot for one in index.select()) == sorted(added)
    index.make_durable()
    restarted(postgres)
    assert rows(postgres) == 800


def test_a_database_that_lost_what_it_had_confirmed_is_refused(index: Index, postgres: PostgresServer) -> None:
    """As one that was restored from a copy of yesterday."""
    index.add(make(1))
    index.make_durable()
    postgres.execute("UPDATE dicom_server.state SET marker = marker - 1")
    restarted(postgres)
    for _ in range(2):
        with pytest.raises(IndexDamaged, match="index rebuild"):
            index.add(make(2))


def test_one_index_has_one_server(index: Index, postgres: PostgresServer, impatient: None) -> None:
    with pytest.raises(IndexUnavailable, match="another server"):
        Postgres(postgres.url)
    with pytest.raises(IndexUnavailable, match="another server"):
        Postgres(postgres.url, rebuilds=True)
    with pytest.raises(IndexUnavailable, match="another server"):
        take_place(postgres.url)
    assert index.add(make(1)) is None


def test_settings_that_lose_something_are_told(postgres_url: str, postgres: PostgresServer) -> None:
    postgres.execute("ALTER ROLE postgres SET synchronous_commit = off")
    try:
        opened = Postgres(postgres_url)
    finally:
        postgres.execute("ALTER ROLE postgres RESET synchronous_commit")
    assert [warning.split(":")[0].split(";")[0] for warning in opened.warnings] == [
        "PostgreSQL has fsync = off", "PostgreSQL has synchronous_commit = off"]
    assert opened._sync_level == "on"
    opened.close()


def test_a_sync_is_waited_for_and_commits_are_not(index: Index) -> None:
    with index._engine.lock:
        assert index._engine.writer().one("SHOW synchronous_commit") == ("off",)
    synced = index._engine._synced
    index.make_durable()
    assert index._engine._synced == synced + 1
    for use in (index._engine.reading, index._engine.searching):
        with use() as session, pytest.raises(IndexUnavailable, match="25006"):
            session.run("UPDATE state SET marker = 0")


def test_no_server_is_one_clear_line() -> None:
    with pytest.raises(IndexAway, match="^no connection to PostgreSQL: .*No such file or directory") as away:
        Postgres("postgres://user:secret@/db?host=/nonexistent")
    assert "secret" not in str(away.value) and "\n" not in str(away.value)
