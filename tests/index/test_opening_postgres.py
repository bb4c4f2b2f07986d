"""An index in PostgreSQL is opened, kept and rebuilt as one in a file is."""
from __future__ import annotations

import pytest

from dicomserver.index import Counts, IndexUnavailable, open_index, rebuild_index
from tests.index.samples import fill, make, numbers
from tests.postgres import PostgresServer


def schemas(server: PostgresServer) -> list[str]:
    return [name for name, in server.execute(
        "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'dicom%' ORDER BY 1")]


def test_keeps_what_was_added_and_is_fresh_until_it_was_filled(postgres_url: str) -> None:
    index = open_index(postgres_url)
    assert index.is_fresh
    index.add(make(1))
    index.close()
    index = open_index(postgres_url)
    assert index.is_fresh and index.add(make(2)) is None and index.counts() == Counts(1, 1, 1, 2)
    index.mark_complete()
    index.close()
    index = open_index(postgres_url)
    assert not index.is_fresh
    index.close()


def test_rebuilding_puts_the_new_index_in_the_place_of_the_old(postgres_url: str, postgres: PostgresServer) -> None:
    fill(postgres_url, 1, 2)
    with rebuild_index(postgres_url) as index:
        assert index.is_fresh
        index.add_many([make(3), make(4), make(5)])
        assert postgres.execute("SELECT count(*) FROM dicom_server.instances") == [(2,)]
    assert schemas(postgres) == ["dicom_server"] and numbers(postgres_url) == [3, 4, 5]
    index = open_index(postgres_url)
    assert not index.is_fresh and index.remove(["1.2.3.1.3"], [3]) == 1
    index.close()


def test_a_rebuild_that_fails_leaves_the_old_index(postgres_url: str, postgres: PostgresServer) -> None:
    fill(postgres_url, 1)
    with pytest.raises(KeyError), rebuild_index(postgres_url) as index:
        index.add(make(3))
        raise KeyError
    assert numbers(postgres_url) == [1]
    with rebuild_index(postgres_url) as index:      # what that one has left is in nobody's way
        assert index.counts() == Counts(0, 0, 0, 0)
    assert schemas(postgres) == ["dicom_server"] and numbers(postgres_url) == []


def test_rebuilds_where_nothing_was_and_what_is_damaged(postgres_url: str, postgres: PostgresServer) -> None:
    with rebuild_index(postgres_url) as index:
        index.add(make(3))
    assert numbers(postgres_url) == [3]
    postgres.execute("DROP TABLE dicom_server.instances CASCADE")
    with pytest.raises(IndexUnavailable):
        numbers(postgres_url)
    with rebuild_index(postgres_url) as index:
        index.add(make(4))
    assert numbers(postgres_url) == [4]
