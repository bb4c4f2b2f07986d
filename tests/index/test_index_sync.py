"""An instance that is made durable while its row is made: in which order, and what is left where that fails."""
from __future__ import annotations

import errno
import os
import threading

import pytest

from dicomserver.index import Counts, Index, open_index
from tests.index.samples import make


def failing_sync() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_nobody_sees_the_row_before_the_sync(index: Index) -> None:
    seen: list[object] = []
    assert index.add(make(1), lambda: seen.append(index.find("1.2.3.1.1"))) is None
    assert index.add(make(2), lambda: seen.append(index.find("1.2.3.1.2"))) is None     # of a series that is known
    assert seen == [None, None]
    assert index.find("1.2.3.1.1").slot == 1 and index.find("1.2.3.1.2").slot == 2


def test_what_is_stored_already_is_told_after_the_sync(index: Index) -> None:
    index.add(make(1))
    synced: list[int] = []
    stored = index.add(make(1, slot=99), lambda: synced.append(1))
    assert stored == index.find("1.2.3.1.1") and stored.slot == 1 and synced == [1]
    assert index.counts() == Counts(1, 1, 1, 1)


def test_where_the_sync_fails_there_is_no_row_and_nothing_above_it(index: Index) -> None:
    for _ in range(2):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            index.add(make(1), failing_sync)
        assert index.counts() == Counts(0, 0, 0, 0)
    assert index.add(make(1)) is None       # nothing is remembered that is not there
    with pytest.raises(OSError):
        index.add(make(2), failing_sync)
    assert index.add(make(3)) is None
    assert index.counts() == Counts(1, 1, 1, 2)


def test_a_sync_does_not_wait_for_whoever_writes(index: Index) -> None:
    synced, added = threading.Event(), threading.Event()

    def add() -> None:
        index.add(make(1), synced.set)
        added.set()
    thread = threading.Thread(target=add)
    with index._engine.lock:
        thread.start()
        assert synced.wait(30)
        assert not added.wait(0.1)
    thread.join(30)
    assert index.find("1.2.3.1.1").slot == 1


def test_whoever_comes_during_the_sync_is_next(url: str) -> None:
    """The row is there, for nobody to see, while the disk works; others add theirs when it is committed."""
    index = open_index(url)
    threads = [threading.Thread(target=index.add, args=(make(number), lambda: None)) for number in (2, 3)]

    def sync() -> None:
        assert index._engine.lock.locked() and index._engine._writing.in_transaction
        for thread in threads:
            thread.start()
        threads[0].join(0.1)
        assert index.counts() == Counts(0, 0, 0, 0)
    index.add(make(1), sync)
    for thread in threads:
        thread.join(30)
    assert index.counts() == Counts(1, 1, 1, 3)
    index.close()
