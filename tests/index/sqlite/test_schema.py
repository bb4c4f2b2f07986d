from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest

from dicomserver.index import IndexDamaged, IndexTooNew, open_index
from dicomserver.index.searchable import patient_of
from dicomserver.index.sqlite.migrations import m0001
from dicomserver.index.sqlite.schema import APPLICATION_ID, STEPS, migrate
from tests.index.samples import PATIENT_ID, PATIENT_NAME, make


def version(path: Path) -> int:
    connection = apsw.Connection(str(path))
    found = connection.pragma("user_version")
    connection.close()
    return found


def test_a_new_file_gets_every_step(url: str, tmp_path: Path) -> None:
    open_index(url).close()
    assert version(tmp_path / "index.db") == len(STEPS) == 8


def test_a_newer_schema_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    open_index(url).close()
    connection = apsw.Connection(str(tmp_path / "index.db"))
    connection.pragma("user_version", len(STEPS) + 1)
    connection.close()
    before = (tmp_path / "index.db").read_bytes()
    with pytest.raises(IndexTooNew, match=f"version {len(STEPS) + 1}, this program knows up to {len(STEPS)}"):
        open_index(url)
    assert (tmp_path / "index.db").read_bytes() == before


@pytest.mark.parametrize("number", [0, 1])
def test_another_programs_database_is_refused(url: str, tmp_path: Path, number: int) -> None:
    connection = apsw.Connection(str(tmp_path / "index.db"))
    connection.execute(f"CREATE TABLE theirs (x); PRAGMA user_version = {number}")
    connection.close()
    with pytest.raises(IndexDamaged, match="not an index of ours"):
        open_index(url)
    connection = apsw.Connection(str(tmp_path / "index.db"))
    assert connection.execute("SELECT name FROM sqlite_schema").get == "theirs"
    connection.close()


def test_a_later_step_fills_a_column_from_the_packed_attributes(url: str, tmp_path: Path) -> None:
    """What the next version will do to an index that is full of data."""
    index = open_index(url)
    for number in (1, 2):
        patient = {PATIENT_NAME: b"NAME%d" % number, PATIENT_ID: b"%d" % number}
        index.add(make(study=f"1.{number}", patient=patient))
    index.close()

    def upgrade(connection: apsw.Connection) -> None:
        connection.execute("ALTER TABLE patients ADD COLUMN nickname TEXT")
        for row, raw in connection.execute("SELECT id, attributes FROM patients").fetchall():
            name = patient_of(raw, b"").name
            connection.execute("UPDATE patients SET nickname = ? WHERE id = ?", (name, row))

    connection = apsw.Connection(str(tmp_path / "index.db"))
    migrate(connection, (*STEPS, SimpleNamespace(upgrade=upgrade)))
    assert connection.pragma("user_version") == len(STEPS) + 1
    assert connection.execute("SELECT nickname FROM patients").fetchall() == [("NAME1",), ("NAME2",)]
    assert connection.execute("SELECT count(*) FROM instances").get == 2
    connection.close()


def test_steps_are_run_one_after_the_other(tmp_path: Path) -> None:
    """Each committed with its number; those that were run before are not run again."""
    run = []

    def step(number: int) -> SimpleNamespace:
        return SimpleNamespace(upgrade=lambda connection: run.append((number, connection.pragma("user_version"))))

    path = tmp_path / "index.db"
    for known in (1, 3, 3):
        connection = apsw.Connection(str(path))
        migrate(connection, tuple(map(step, range(1, known + 1))))
        connection.close()
        assert version(path) == known
    assert run == [(1, 0), (2, 1), (3, 2)]


def test_a_step_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    def upgrade(connection: apsw.Connection) -> None:
        connection.execute("CREATE TABLE half (x)")
        raise KeyError("power cut")

    connection = apsw.Connection(str(tmp_path / "index.db"))
    with pytest.raises(KeyError):
        migrate(connection, (m0001, SimpleNamespace(upgrade=upgrade)))
    assert not connection.in_transaction
    assert connection.pragma("user_version") == 1
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").get == 0
    connection.close()
