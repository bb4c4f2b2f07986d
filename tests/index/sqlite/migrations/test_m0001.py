from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from dicomserver.index.sqlite.migrations import m0001


@pytest.fixture
def tables() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.pragma("foreign_keys", 1)
    m0001.upgrade(connection)
    connection.execute("""
        INSERT INTO labels VALUES (1, 'x');
        INSERT INTO patients (patient_id, issuer, character_set, attributes) VALUES ('P', '', x'', x'');
        INSERT INTO studies (patient, uid, patient_issuer, character_set, attributes)
            VALUES (1, 's1', '', x'', x''), (1, 's2', '', x'', x'');
        INSERT INTO series (study, uid, character_set, attributes) VALUES (1, 'e1', x'', x''),
            (1, 'e2', x'', x''), (2, 'e3', x'', x'')""")
    for number, series in enumerate((1, 1, 2, 3), start=1):
        connection.execute(
            "INSERT INTO instances VALUES (?1, ?2, 'i' || ?1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, x'', x'')",
            (number, series))
    yield connection
    connection.close()


def state(tables: apsw.Connection) -> tuple[list, list, list]:
    return (tables.execute("SELECT id, studies FROM patients").fetchall(),
            tables.execute("SELECT id, series FROM studies").fetchall(),
            tables.execute("SELECT id, instances FROM series JOIN tallies ON series = id").fetchall())


def test_triggers_count(tables: apsw.Connection) -> None:
    assert state(tables) == ([(1, 2)], [(1, 2), (2, 1)], [(1, 2), (2, 1), (3, 1)])
    tables.execute("INSERT INTO instances SELECT 9, 1, 'i1', 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, x'', x'' "
                   "WHERE true ON CONFLICT (uid) DO NOTHING")
    assert state(tables)[2] == [(1, 2), (2, 1), (3, 1)]


def test_triggers_remove_what_stands_empty(tables: apsw.Connection) -> None:
    tables.execute("DELETE FROM instances WHERE id = 1")
    assert state(tables) == ([(1, 2)], [(1, 2), (2, 1)], [(1, 1), (2, 1), (3, 1)])
    tables.execute("DELETE FROM instances WHERE id = 2")
    assert state(tables) == ([(1, 2)], [(1, 1), (2, 1)], [(2, 1), (3, 1)])
    tables.execute("DELETE FROM instances WHERE id = 3")
    assert state(tables) == ([(1, 1)], [(2, 1)], [(3, 1)])
    tables.execute("DELETE FROM instances")
    assert state(tables) == ([], [], [])
    assert tables.execute("SELECT count(*) FROM tallies").get == 0


@pytest.mark.parametrize("sql", [
    "INSERT INTO instances VALUES (9, 99, 'i9', 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, x'', x'')",
    "INSERT INTO instances VALUES (9, 1, 'i9', 99, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, x'', x'')",
    "DELETE FROM series WHERE id = 1", "DELETE FROM studies", "DELETE FROM patients", "DELETE FROM labels",
])
def test_nothing_refers_to_what_is_not_there(tables: apsw.Connection, sql: str) -> None:
    with pytest.raises(apsw.ConstraintError):
        tables.execute(sql)


def test_ids_that_are_remembered_are_never_used_again(tables: apsw.Connection) -> None:
    tables.execute("DELETE FROM instances")
    tables.execute("INSERT INTO patients (issuer, character_set, attributes) VALUES ('', x'', x'')")
    assert tables.last_insert_rowid() == 2
