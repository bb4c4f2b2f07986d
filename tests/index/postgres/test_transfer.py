from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dicomserver.index import (
    IndexAway,
    IndexUnavailable,
    OutcomeUnknown,
    begin_copy,
    open_index,
    open_source,
    open_target,
)
from dicomserver.index.postgres import engine
from tests.index.postgres.test_engine import restarted
from tests.index.samples import make
from tests.index.transferring import answers, fill, move
from tests.postgres import PostgresServer

_SCHEMA = """
    SELECT 'column', table_name || '.' || column_name, data_type FROM information_schema.columns
        WHERE table_schema = 'dicom_server'
    UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'dicom_server'
    UNION ALL SELECT 'constraint', conname, conrelid::regclass::text || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'dicom_server'::regnamespace
    UNION ALL SELECT 'trigger', tgname, tgenabled::text || pg_get_triggerdef(t.oid) FROM pg_trigger t
        JOIN pg_class r ON r.oid = t.tgrelid WHERE r.relnamespace = 'dicom_server'::regnamespace AND NOT tgisinternal
    ORDER BY 1, 2, 3"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    url = f"sqlite://{tmp_path}/source.db"
    fill(url)
    return url


def test_a_copy_has_the_schema_of_any_index(source: str, postgres_url: str, postgres: PostgresServer) -> None:
    open_index(postgres_url).close()
    wanted = postgres.execute(_SCHEMA)
    kinds = {kind for kind, _, _ in wanted}
    assert kinds == {"column", "index", "constraint", "trigger"}
    move(source, postgres_url)
    assert postgres.execute(_SCHEMA) == wanted


def test_nobody_else_has_the_target(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.2)
    with closing(open_target(postgres_url)), pytest.raises(IndexAway, match="another server uses the index"):
        open_target(postgres_url)


def test_a_source_is_there_and_of_this_version(postgres_url: str, postgres: PostgresServer) -> None:
    with pytest.raises(IndexUnavailable, match="not of this version"):
        open_source(postgres_url)
    open_index(postgres_url).close()
    with closing(open_source(postgres_url)) as source, pytest.raises(IndexUnavailable):
        source.session.run("DELETE FROM labels")
    postgres.execute("UPDATE dicom_server.version SET number = 0")
    with pytest.raises(IndexUnavailable, match="not of this version"):
        open_source(postgres_url)


def test_what_is_left_of_a_killed_process_is_waited_for(postgres_url: str) -> None:
    first = open_target(postgres_url)
    ending = threading.Timer(0.3, first.close)
    ending.start()
    open_target(postgres_url).close()
    ending.join()


def dying(server: PostgresServer, page: int) -> Iterator[None]:
    for _ in range(page):
        yield
    restarted(server)
    while True:
        yield


def test_a_database_that_dies_has_what_was_copied_or_gets_it_again(
        source: str, postgres_url: str, postgres: PostgresServer) -> None:
    with closing(open_index(source)) as index:
        wanted = index.counts()
    for page in (0, 4):
        steps = dying(postgres, page)
        with pytest.raises(OutcomeUnknown):
            move(source, postgres_url, progress=lambda done, total: next(steps))
    assert move(source, postgres_url)[-1].counts == wanted
    restarted(postgres)         # what is finished is durable
    assert answers(postgres_url) == answers(source)


def test_numbers_go_on_behind_those_that_were_copied(source: str, postgres_url: str, postgres: PostgresServer) -> None:
    move(source, postgres_url)
    last = dict(postgres.execute("SELECT 'instances', max(id) FROM dicom_server.instances UNION ALL"
                                 " SELECT 'studies', max(id) FROM dicom_server.studies"))
    with closing(open_index(postgres_url)) as index:
        index.add(make(1, study="9.9", slot=9000))
    for table, number in last.items():
        assert postgres.execute(f"SELECT max(id) FROM dicom_server.{table}") == [(number + 1,)]


def test_a_target_of_an_earlier_version_is_begun_anew(source: str, postgres_url: str, postgres: PostgresServer) -> None:
    with closing(open_source(source)) as one, closing(open_target(postgres_url)) as other:
        begin_copy(other, one, replace=False)
    postgres.execute("UPDATE dicom_server.version SET number = 0; DROP TABLE dicom_server.arrivals")
    assert [passed.changes > 0 for passed in move(source, postgres_url)] == [True, False]
