"""The rows of the SQLite index, read with Python's own module: nothing of the product helps."""
from __future__ import annotations

import sqlite3
from pathlib import Path

# What a row refers to by number is told by its own name instead: numbers may differ from index to index.
TABLES = {
    "patients": "SELECT * FROM patients",
    "studies": "SELECT p.patient_id AS of_patient, p.issuer AS of_issuer, s.* FROM studies s "
               "JOIN patients p ON p.id = s.patient",
    "series": "SELECT t.uid AS of_study, y.instances, s.* FROM series s JOIN studies t ON t.id = s.study "
              "JOIN tallies y ON y.series = s.id",
    "instances": "SELECT t.uid AS of_study, s.uid AS of_series, c.text AS of_class, x.text AS of_syntax, "
                 "a.text AS by_ae, r.text AS to_ae, i.* FROM instances i JOIN series s ON s.id = i.series "
                 "JOIN studies t ON t.id = s.study JOIN labels c ON c.id = i.sop_class "
                 "JOIN labels x ON x.id = i.transfer_syntax JOIN labels a ON a.id = i.source_ae "
                 "JOIN labels r ON r.id = i.receiving_ae",
    "other_patients": "SELECT i.uid AS of_instance, t.uid AS of_study, o.* FROM other_patients o "
                      "JOIN instances i ON i.id = o.instance JOIN studies t ON t.id = o.study",
}
NUMBERS = {"id", "patient", "study", "sop_class", "transfer_syntax", "source_ae", "receiving_ae"}


def rows(data: Path) -> dict[str, list[dict[str, object]]]:
    """Every row of every table as {column: value}, sorted; the server must be stopped."""
    connection = sqlite3.connect(f"file:{data / 'dicom-server.db'}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return {name: sorted((_named(name, row) for row in connection.execute(query)), key=repr)
                for name, query in TABLES.items()}
    finally:
        connection.close()


def _named(table: str, row: sqlite3.Row) -> dict[str, object]:
    numbers = NUMBERS | {"instances": {"series"}, "other_patients": {"instance"}}.get(table, set())
    return {column: row[column] for column in row.keys() if column not in numbers}
