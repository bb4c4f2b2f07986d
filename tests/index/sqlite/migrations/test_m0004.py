from __future__ import annotations

from pathlib import Path

import apsw

from dicomserver.index import Person, open_index
from dicomserver.index.sqlite.schema import STEPS, migrate
from tests.index.samples import BIRTH_DATE, PATIENT_NAME, make
from tests.index.sqlite.migrations.version_1 import make_version_1

JANE = {PATIENT_NAME: b"ROE^JANE"}


def test_what_was_marked_before_is_listed_still(url: str, tmp_path: Path) -> None:
    """Nobody is named: version 3 did not keep it. Accepting it, and adding to it, works on."""
    make_version_1(tmp_path / "index.db", [
        make(1, study="1.1"), make(3, study="1.2", series="1.2.5", patient=JANE),
        make(4, study="1.2", series="1.2.4", patient=JANE), make(5, study="1.3")])
    index = open_index(url)
    assert [(one.study_instance_uid, one.sop_instance_uid, one.instances)
            for one in index.other_patients.disputed()] == [("1.2", "1.2.5.3", 1)]
    assert index.other_patients.of("1.2").others == {Person("", "", "", ""): ["1.2.5.3"]}
    assert index.other_patients.accept("1.2") == 1
    assert index.other_patients.count() == 0
    index.add(make(6, study="1.3", patient={BIRTH_DATE: b"19990101"}))
    assert index.other_patients.count() == 1
    index.close()


def test_the_mark_is_gone_and_all_references_hold(tmp_path: Path) -> None:
    make_version_1(tmp_path / "index.db", [make(1, study="1.1"), make(2, study="1.2", patient=JANE)])
    connection = apsw.Connection(str(tmp_path / "index.db"))
    migrate(connection, STEPS)
    assert "patient_differs" not in {row[1] for row in connection.execute("PRAGMA table_info(studies)")}
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    connection.close()
