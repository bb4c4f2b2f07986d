from __future__ import annotations

from pathlib import Path

import apsw

from dicomserver.index.sqlite.migrations import m0001, m0002, m0003
from dicomserver.index.sqlite.schema import migrate


def test_an_index_of_version_2_knows_what_came_when(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "old.db"))
    migrate(connection, (m0001, m0002))
    connection.execute("PRAGMA foreign_keys = 0")
    for number, day in ((1, 3), (2, 3), (3, 5)):
        connection.execute(
            "INSERT INTO instances (series, uid, sop_class, transfer_syntax, slot, file_length, dataset_offset,"
            " checksum, received_at, source_ae, receiving_ae, flags, character_set, attributes)"
            " VALUES (1, ?, 1, 1, ?, 1000, 1, 1, ?, 1, 1, 0, x'', x'')", (f"1.{number}", number, day * 86400 * 10**6))
    migrate(connection, (m0001, m0002, m0003))
    assert connection.execute("SELECT * FROM arrivals ORDER BY 1").fetchall() == [(3, 2000), (5, 1000)]
    assert connection.execute("SELECT * FROM scrub").fetchall() == [(1, 0, 0, 1)]
    assert connection.execute("SELECT count(*) FROM integrity").get == 0
    connection.close()
