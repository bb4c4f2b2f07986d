from __future__ import annotations

import pytest

from dicomserver.index.ledger import Ledger
from dicomserver.index.sqlite.engine import SqliteMemory
from dicomserver.index.tickets import Ticket
from dicomserver.index.unsynced import Unsynced
from tests.index.samples import make


@pytest.fixture
def engine() -> SqliteMemory:
    return SqliteMemory()


def replayed(engine: SqliteMemory, unsynced: Unsynced) -> list[tuple]:
    with engine.transaction() as session:
        unsynced.replay(session, Ledger(engine.statements))
    return engine.writer().rows("SELECT uid, slot FROM instances ORDER BY uid")


def test_what_is_missing_is_added_and_what_is_there_stays(engine: SqliteMemory) -> None:
    unsynced = Unsynced(engine.statements)
    for number in (1, 2):
        unsynced.note(Ticket(make(number), number))
    assert replayed(engine, unsynced) == [("1.2.3.1.1", 1), ("1.2.3.1.2", 2)]
    unsynced.note(Ticket(make(3), 3))
    unsynced.note(Ticket(make(1, slot=99), 1))
    for _ in range(2):
        assert replayed(engine, unsynced) == [("1.2.3.1.1", 1), ("1.2.3.1.2", 2), ("1.2.3.1.3", 3)]


def test_what_was_removed_or_synced_is_forgotten(engine: SqliteMemory) -> None:
    unsynced = Unsynced(engine.statements)
    for number in (1, 2):
        unsynced.note(Ticket(make(number), number))
    unsynced.forget([1, 77])
    assert replayed(SqliteMemory(), unsynced) == [("1.2.3.1.2", 2)]
    unsynced.clear()
    assert replayed(engine, unsynced) == []


def test_a_replacement_takes_its_place_again(engine: SqliteMemory) -> None:
    old, unsynced = Unsynced(engine.statements), Unsynced(engine.statements)
    old.note(Ticket(make(1), 1))
    assert replayed(engine, old) == [("1.2.3.1.1", 1)]
    unsynced.note(Ticket(make(1, slot=8), 1), replaced=1)
    unsynced.note(Ticket(make(1, slot=9), 1), replaced=8)
    assert list(unsynced._tickets) == [9]
