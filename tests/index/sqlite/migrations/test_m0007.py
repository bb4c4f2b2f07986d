from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from dicomserver.index.sqlite.schema import STEPS, migrate
from tests.index.samples import make
from tests.index.sqlite.migrations.version_1 import make_version_1


@pytest.mark.parametrize("table, column, index", [
    ("patients", "birth_date", "patients_by_birth_date"), ("studies", "patient_birth_date", "studies_by_birth_date"),
    ("studies", "study_id", "studies_by_study_id")])
def test_an_older_index_gets_the_new_ways_to_look_up(tmp_path: Path, table: str, column: str, index: str) -> None:
    make_version_1(tmp_path / "index.db", [make(1, study="1.1"), make(2, study="1.2")])
    connection = apsw.Connection(str(tmp_path / "index.db"))
    migrate(connection, STEPS[:6])
    sql = f"SELECT count(*) FROM {table} WHERE {column} = '19700101'"
    before = connection.execute(sql).get
    migrate(connection, STEPS)
    assert connection.execute(sql).get == before
    assert any(index in step for *_, step in connection.execute("EXPLAIN QUERY PLAN " + sql))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()
