"""An index of version 1, upgraded, is what it had been if it had been filled today."""
from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from dicomserver.index import Instance, open_index
from dicomserver.index.sqlite.migrations import m0001, m0002
from dicomserver.index.sqlite.schema import migrate
from tests.index.samples import (
    ACCESSION_NUMBER, CT, ISSUER, MODALITY, PATIENT_ID, PATIENT_NAME, STUDY_DATE, STUDY_DESCRIPTION, make,
)
from tests.index.sqlite.migrations.version_1 import make_version_1

PHYSICIAN = 0x00080090
NAMES = ["Müller^Jörg", "Yamada^Tarou=山田^太郎=やまだ^たろう", "=山田^太郎", "", "DOE^JOHN", "==ﾔﾏﾀﾞ", "^^"]
TABLES = ("state", "labels", "patients", "studies", "series", "instances", "tallies", "sqlite_sequence")


def instances() -> list[Instance]:
    """Patients of several studies, named differently in one; series of several SOP classes; odd values."""
    found = []
    for number, name in enumerate(NAMES * 2):
        for instance in range(number % 4 + 1):
            found.append(make(
                instance + 1, study=f"1.{number}", series=f"1.{number}.{instance // 2}",
                slot=100 * number + instance + 1, character_set=b"ISO_IR 192", sop_class_uid=f"{CT}.{instance % 3}",
                patient={PATIENT_NAME: name.encode(), PATIENT_ID: b"P%d" % (number % 5) if number else b"",
                         ISSUER: b"here"},
                of_study={STUDY_DATE: b"20240229", STUDY_DESCRIPTION: "Knie, großes".encode(),
                          ACCESSION_NUMBER: b"A%d" % number, PHYSICIAN: NAMES[number % 3].encode()},
                of_series={MODALITY: b"CT" if instance else b"MR"}))
    # The same patient in other bytes: the study keeps its own.
    found.append(make(1, study="2.1", character_set=b"ISO_IR 100", slot=9001,
                      patient={PATIENT_NAME: "Müller^Jörg".encode("latin_1"), PATIENT_ID: b"P1", ISSUER: b"here"}))
    return found


@pytest.fixture
def upgraded(tmp_path: Path) -> Path:
    """A file of version 1 that was opened and closed."""
    make_version_1(tmp_path / "upgraded.db", instances())
    open_index(f"sqlite://{tmp_path}/upgraded.db").close()
    return tmp_path / "upgraded.db"


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    index = open_index(f"sqlite://{tmp_path}/fresh.db")
    for instance in instances():
        index.add(instance)
    index.close()
    return tmp_path / "fresh.db"


def content(path: Path) -> dict[str, list[tuple]]:
    """Every row of every table, what can be found in the middle of texts, and the schema."""
    connection = apsw.Connection(str(path))
    connection.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, study_texts, instance)")
    found = {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES}
    found["state"] = [(row[2], *row[4:]) for row in found["state"]]     # no marker, no identity
    found["terms"] = connection.execute("SELECT term, doc, col FROM terms ORDER BY 1, 2, 3").fetchall()
    found["schema"] = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2").fetchall()
    connection.close()
    return found


def test_row_by_row_as_a_fresh_one(upgraded: Path, fresh: Path) -> None:
    one, other = content(upgraded), content(fresh)
    assert len(one["patients"]) > 4 and len(one["tallies"]) > 20 and len(one["terms"]) > 50
    for name, rows in one.items():
        assert rows == other[name], name


def test_it_stays_so_when_something_goes_and_comes(upgraded: Path, fresh: Path) -> None:
    """Triggers and references work on."""
    for path in (upgraded, fresh):
        index = open_index(f"sqlite://{path}")
        gone = [one for one in instances() if one.slot % 3]
        assert index.remove([one.sop_instance_uid for one in gone], [one.slot for one in gone]) == len(gone)
        index.add(make(1, study="3.1", patient={PATIENT_NAME: b"NEW^ONE", PATIENT_ID: b"P1", ISSUER: b"here"}))
        index.close()
    one, other = content(upgraded), content(fresh)
    assert 0 < len(one["studies"]) < 12
    assert one == other


@pytest.mark.parametrize("sql", [
    "INSERT INTO tallies VALUES (99999, 1, 1)", "INSERT INTO tallies VALUES (1, 99999, 1)", "DELETE FROM labels",
    "DELETE FROM patients", "DELETE FROM studies", "DELETE FROM series"])
def test_nothing_refers_to_what_is_not_there(upgraded: Path, sql: str) -> None:
    connection = apsw.Connection(str(upgraded))
    connection.pragma("foreign_keys", 1)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    with pytest.raises(apsw.ConstraintError):
        connection.execute(sql)
    connection.close()


def test_an_empty_index_of_version_1(tmp_path: Path) -> None:
    make_version_1(tmp_path / "old.db", [])
    open_index(f"sqlite://{tmp_path}/old.db").close()
    open_index(f"sqlite://{tmp_path}/new.db").close()
    assert content(tmp_path / "old.db") == content(tmp_path / "new.db")


def test_more_than_a_page_of_rows(tmp_path: Path) -> None:
    many = [make(1, study=f"1.{number}", patient={PATIENT_ID: b"%d" % number}) for number in range(1, 2102)]
    make_version_1(tmp_path / "old.db", many)
    index = open_index(f"sqlite://{tmp_path}/old.db")
    assert index.counts() == (2101, 2101, 2101, 2101)
    index.close()
    connection = apsw.Connection(str(tmp_path / "old.db"))
    assert connection.execute("SELECT count(*) FROM studies WHERE patient_name_folded = 'doe^john'").get == 2101
    connection.close()


def test_a_full_disk_half_way_leaves_version_1(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    make_version_1(path, instances())
    connection = apsw.Connection(str(path))

    def state() -> list:
        schema = connection.execute("SELECT * FROM sqlite_schema ORDER BY 1, 2").fetchall()
        rows = [connection.execute(f"SELECT * FROM {name}").fetchall() for kind, name, *_ in schema if kind == "table"]
        return [connection.pragma("user_version"), schema, rows]
    before = state()
    room = connection.pragma("page_count")
    failed = 0
    for more in range(40):
        connection.pragma("max_page_count", room + more)
        try:
            migrate(connection, (m0001, m0002))
            break
        except apsw.FullError:
            failed += 1
            assert not connection.in_transaction
            assert state() == before
    assert failed > 5 and connection.pragma("user_version") == 2
    connection.close()
