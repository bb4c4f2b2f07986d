from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import apsw
import pytest

from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.sqlite.readers import Readers


def memory(opened: list[apsw.Connection]) -> apsw.Connection:
    opened.append(apsw.Connection(":memory:"))
    return opened[-1]


def test_opens_only_what_is_wanted_at_once() -> None:
    opened: list[apsw.Connection] = []
    readers = Readers(lambda: memory(opened), 3, 3)
    for _ in range(5):
        with readers.session() as session:
            assert session.one("SELECT 1") == (1,)
    assert len(opened) == 1
    with readers.session() as one, readers.session() as other:
        assert one is not other
    assert len(opened) == 2
    readers.close()


def test_waits_when_all_are_in_use_and_closing_waits_too() -> None:
    opened: list[apsw.Connection] = []
    readers = Readers(lambda: memory(opened), 1, 1)
    done: list[str] = []

    def ask() -> None:
        with readers.session():
            done.append("asked")

    with readers.session():
        threads = [threading.Thread(target=ask)]
        threads[0].start()
        threads[0].join(0.05)
        assert done == []
    threads[0].join()
    with readers.session():
        closing = threading.Thread(target=readers.close)
        closing.start()
        closing.join(0.05)
        assert closing.is_alive()
    closing.join()
    with pytest.raises(IndexUnavailable, match="closed"), readers.session():
        raise AssertionError("closed")


def test_a_place_is_given_back_after_an_error() -> None:
    fail = [True]

    def connect() -> apsw.Connection:
        if fail[0]:
            raise IndexUnavailable("no")
        return apsw.Connection(":memory:")

    readers = Readers(connect, 1, 1)
    with pytest.raises(IndexUnavailable, match="no"), readers.session():
        raise AssertionError("not opened")
    fail[0] = False
    with pytest.raises(KeyError), readers.session():
        raise KeyError
    with readers.session() as session:
        assert session.one("SELECT 1") == (1,)
    readers.close()


class Counting:
    """A connection that says how often its memory was asked back. No statement is run on it."""

    execute = changes = None

    def __init__(self) -> None:
        self.released = 0

    def cursor(self) -> Counting:
        return self

    def release_memory(self) -> int:
        self.released += 1
        return 0

    def close(self) -> None:
        pass


def test_after_a_crowd_only_so_many_stay_warm() -> None:
    opened: list[Counting] = []

    def connect() -> Counting:
        opened.append(Counting())
        return opened[-1]

    readers = Readers(connect, 5, 2)
    for _ in range(3):
        with readers.session():
            pass
    assert [one.released for one in opened] == [0]
    with ExitStack() as crowd:
        for _ in range(5):
            crowd.enter_context(readers.session())
    assert sorted(one.released for one in opened) == [0, 0, 1, 1, 1]
    for _ in range(3):          # one or two at once have the warm ones for themselves
        with readers.session(), readers.session():
            pass
    assert sorted(one.released for one in opened) == [0, 0, 1, 1, 1]
    readers.close()


def test_memory_is_really_given_back(tmp_path: Path) -> None:
    def connect() -> apsw.Connection:
        connection = apsw.Connection(str(tmp_path / "x.db"))
        connection.execute("CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (zeroblob(1000000))")
        return connection

    readers = Readers(connect, 2, 1)
    used: list[int] = []
    with readers.session() as first:
        with readers.session() as second:
            for session in (first, second):
                session.rows("SELECT x FROM t")
        used.append(second._connection.status(apsw.SQLITE_DBSTATUS_CACHE_USED)[0])
    assert first._connection.status(apsw.SQLITE_DBSTATUS_CACHE_USED)[0] < used[0] / 2
    readers.close()
