from __future__ import annotations

import threading

import apsw
import pytest

from dicomserver.index.errors import IndexUnavailable
from dicomserver.index.sqlite.readers import Readers


def memory(opened: list[apsw.Connection]) -> apsw.Connection:
    opened.append(apsw.Connection(":memory:"))
    return opened[-1]


def test_opens_only_what_is_wanted_at_once() -> None:
    opened: list[apsw.Connection] = []
    readers = Readers(lambda: memory(opened), 3)
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
    readers = Readers(lambda: memory(opened), 1)
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

    readers = Readers(connect, 1)
    with pytest.raises(IndexUnavailable, match="no"), readers.session():
        raise AssertionError("not opened")
    fail[0] = False
    with pytest.raises(KeyError), readers.session():
        raise KeyError
    with readers.session() as session:
        assert session.one("SELECT 1") == (1,)
    readers.close()
