from __future__ import annotations

import threading
import time

import pytest

from dicomserver.index import IndexAway, IndexUnavailable
from dicomserver.index.postgres.address import parameters_of
from dicomserver.index.postgres.readers import Readers
from tests.postgres import PostgresServer


OURS = "FROM pg_stat_activity WHERE application_name = 'dicom-server'"


def test_as_many_as_there_are_and_no_more(postgres: PostgresServer) -> None:
    made = []
    readers = Readers(parameters_of(postgres.url), "dicom_server", 2, 0.2, lambda: made.append(1))
    with readers.session() as one, readers.session() as another:
        assert one.one("SELECT 1") == another.one("SELECT 1") == (1,)
        with pytest.raises(IndexAway, match="free"), readers.session():
            pass
    with readers.session() as one:
        assert one.one("SHOW default_transaction_read_only") == ("on",)
    assert len(made) == 2
    readers.close()
    with pytest.raises(IndexUnavailable, match="closed"), readers.session():
        pass


def test_what_a_restart_broke_is_given_to_nobody(postgres: PostgresServer) -> None:
    made = []
    readers = Readers(parameters_of(postgres.url), "dicom_server", 3, 30, lambda: made.append(1))
    together = threading.Barrier(3)

    def use() -> None:
        with readers.session() as session:
            together.wait(60)
            assert session.one("SELECT 1") == (1,)

    for _ in range(2):
        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        before = len(made)
        postgres.execute(f"SELECT pg_terminate_backend(pid) {OURS}")
        deadline = time.monotonic() + 60
        while postgres.execute(f"SELECT 1 {OURS}"):
            assert time.monotonic() < deadline
        for _ in range(3):
            with readers.session() as session:
                assert session.one("SELECT 1") == (1,)
        assert len(made) > before
    readers.close()
