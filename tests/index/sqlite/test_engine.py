from __future__ import annotations

import threading
from pathlib import Path

import apsw
import pytest

from dicomserver.index import Counts, Index, IndexDamaged, IndexFull, IndexUnavailable
from dicomserver.index.sqlite import engine as engines
from dicomserver.index.sqlite.engine import SqliteFile
from dicomserver.index.sqlite.errors import SyncFailed
from tests.index.samples import make, sizes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.db"


def log_state(engine: SqliteFile) -> tuple[int, int]:
    """Pages in the log, and how many of them are in the file."""
    with engine.lock:
        return engine._copy_log(apsw.SQLITE_CHECKPOINT_NOOP)


def with_a_log(path: Path) -> tuple[SqliteFile, Index]:
    """Of 49 instances."""
    engine = SqliteFile(path)
    index = Index(engine)
    for number in range(1, 50):
        index.add(make(number))
    return engine, index


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    engine = SqliteFile(path)
    with engine.transaction() as session:
        session.run("INSERT INTO labels VALUES (1, 'kept')")
    with pytest.raises(KeyError), engine.transaction() as session:
        session.run("INSERT INTO labels VALUES (2, 'lost')")
        raise KeyError
    with engine.reading() as session:
        assert session.rows("SELECT text FROM labels") == [("kept",)]
    engine.close()


def test_a_full_disk_refuses_adding_and_nothing_else(path: Path) -> None:
    engine = SqliteFile(path)
    index = Index(engine)
    index.add(make(1))
    room = engine._writing.pragma("page_count") + 2
    engine._writing.pragma("max_page_count", room)
    added = 1
    with pytest.raises(IndexFull, match="SQLITE_FULL"):
        for number in range(2, 1000):
            index.add(make(number))
            added = number
    with pytest.raises(IndexFull):
        index.add_many(make(number, study="6.6") for number in range(1, 500))
    assert index.counts() == Counts(1, 1, 1, added)
    assert len(list(index.select())) == added
    assert sizes(index) == [("1.2.3", 1, added)]
    index.make_durable()
    assert index.remove(["1.2.3.1.1"], [1]) == 1
    engine._writing.pragma("max_page_count", room * 10)
    assert index.add(make(added + 1)) is None
    assert index.add(make(1, study="5.5")) is None
    assert index.counts() == Counts(1, 2, 2, added + 1)
    index.close()


def test_damage_inside_the_file_is_said(path: Path) -> None:
    index = Index(SqliteFile(path))
    index.add_many(make(number) for number in range(1, 2000))
    index.close()
    content = bytearray(path.read_bytes())
    content[8 * 4096:] = b"\xa5" * (len(content) - 8 * 4096)
    path.write_bytes(content)
    with pytest.raises(IndexDamaged, match="SQLITE_CORRUPT"):
        index = Index(SqliteFile(path))
        try:
            list(index.select())
        finally:
            index.close()


def test_a_checkpoint_waits_until_it_is_worth_it(path: Path) -> None:
    engine = SqliteFile(path)
    index = Index(engine)
    index.add(make(1))
    before = log_state(engine)
    index.checkpoint()
    assert log_state(engine) == before
    index.add_many(make(number) for number in range(2, 6000))  # checkpoints on its way
    pages, _copied = log_state(engine)
    assert pages < 2 * engines.CHECKPOINT_PAGES
    index.close()


def test_a_checkpoint_begins_the_log_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CHECKPOINT_PAGES", 1)
    engine, index = with_a_log(path)
    assert log_state(engine)[0] > 100
    index.checkpoint()
    assert log_state(engine) == (1, 0)
    index.add(make(50))
    assert index.counts().instances == 50
    index.close()


def test_no_instance_begins_the_log_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would sync the new log's header, though it comes in the moment in which all of the old one is copied."""
    monkeypatch.setattr(engines, "CHECKPOINT_PAGES", 1)
    engine, index = with_a_log(path)
    begun = log_state(engine)[0]
    real, pages = engine._copy_log, []

    def copy_log(mode: int, *, beside_writer: bool = False) -> tuple[int, int]:
        copied = real(mode, beside_writer=beside_writer)
        if beside_writer:
            assert copied == (begun, begun)
            index.add(make(50))
            pages.append(log_state(engine)[0])
        return copied

    monkeypatch.setattr(engine, "_copy_log", copy_log)
    index.checkpoint()
    monkeypatch.undo()
    assert pages[0] > begun
    index.checkpoint()
    assert index.counts().instances == 50
    index.close()


def test_a_long_reader_keeps_the_log_and_nobody_waits(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CHECKPOINT_PAGES", 1)
    monkeypatch.setattr(engines, "LOG_LIMIT", 4096)
    engine = SqliteFile(path)
    index = Index(engine)
    index.add(make(1))
    reader = apsw.Connection(str(path))
    rows = reader.execute("BEGIN; SELECT id FROM instances")
    next(rows)
    for number in range(2, 20):
        index.add(make(number))
        index.checkpoint()
    assert log_state(engine)[0] > 36
    reader.close()
    index.checkpoint()
    assert log_state(engine)[0] == 1
    assert index.counts().instances == 19
    index.close()


def test_checkpoints_go_on_beside_adding(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CHECKPOINT_PAGES", 1)
    monkeypatch.setattr(engines, "LOG_LIMIT", 40 * 4096)
    engine = SqliteFile(path)
    index = Index(engine)
    stop = threading.Event()
    longest = [0]

    def move() -> None:
        while not stop.is_set():
            index.make_durable()
            index.checkpoint()
            longest[0] = max(longest[0], log_state(engine)[0])

    mover = threading.Thread(target=move)
    mover.start()
    for number in range(1, 2001):
        assert index.add(make(number)) is None
    stop.set()
    mover.join()
    assert index.counts().instances == 2000
    assert 0 < longest[0] < 4000  # of the nearly 10 000 pages that were written
    index.close()
    assert apsw.Connection(str(path)).execute("PRAGMA integrity_check").get == "ok"


def test_a_checkpoint_that_meets_a_commit_goes_on_later(path: Path) -> None:
    """SQLite says SQLITE_BUSY, even for a passive one, while the log's header is being written."""
    engine = SqliteFile(path)

    class Busy:
        def wal_checkpoint(self, mode: int) -> tuple[int, int]:
            raise apsw.BusyError("database is locked")

    logging, engine._logging = engine._logging, Busy()
    assert engine._copy_log(apsw.SQLITE_CHECKPOINT_PASSIVE, beside_writer=True) == (0, 0)
    with pytest.raises(IndexUnavailable):
        engine._copy_log(apsw.SQLITE_CHECKPOINT_TRUNCATE)
    engine._logging = logging
    engine.close()


def test_closing_leaves_one_file(path: Path) -> None:
    index = Index(SqliteFile(path))
    index.add(make(1))
    list(index.select())
    index.close()
    assert [name.name for name in path.parent.iterdir()] == [path.name]


def test_after_a_failed_sync_nothing_more_is_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the disk says so is in test_engine_durability; here is what follows."""
    engine = SqliteFile(path)
    index = Index(engine)
    index.add(make(1))

    def fail(_sql: str) -> int:
        raise SyncFailed("SQLite: SQLITE_IOERR_FSYNC")

    with monkeypatch.context() as patched:
        patched.setattr(type(engine._syncer), "run", lambda _self, sql, _values=(): fail(sql))
        with pytest.raises(IndexUnavailable, match="SQLITE_IOERR_FSYNC"):
            index.make_durable()
    for write in (index.make_durable, index.checkpoint, lambda: index.add(make(2)),
                  lambda: index.remove(["1.2.3.1.1"], [1]), lambda: index.add_many([make(3)])):
        with pytest.raises(IndexUnavailable, match="must be opened again"):
            write()
    assert index.find("1.2.3.1.1").slot == 1
    index.close()
    index = Index(SqliteFile(path))
    assert index.counts().instances == 1
    assert index.add(make(2)) is None
    index.close()
