"""The schema has the columns and the indexes that SQLite's has, so that the statements are the same."""
from __future__ import annotations

import apsw

from dicomserver.index import open_index
from dicomserver.index.sqlite.schema import migrate
from tests.postgres import PostgresServer

OWN = {"version", "nodes"}              # of PostgreSQL
OF_SQLITE = {"sqlite_sequence"}         # and the tables of FTS5
OF_FTS5 = ("study_texts", "patients_sounds", "studies_sounds")


def test_the_columns_are_sqlite_s(postgres: PostgresServer, postgres_url: str) -> None:
    open_index(postgres_url).close()
    found = postgres.execute("SELECT table_name, column_name FROM information_schema.columns"
                             " WHERE table_schema = 'dicom_server'")
    columns: dict[str, set[str]] = {}
    for table, column in found:
        columns.setdefault(table, set()).add(column)
    connection = apsw.Connection(":memory:")
    migrate(connection)
    wanted = {table: {column for column, in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
              for table, in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
              if table not in OF_SQLITE and not table.startswith(OF_FTS5)}
    assert {table: names for table, names in columns.items() if table not in OWN} == wanted


def test_the_indexes_are_sqlite_s(postgres: PostgresServer, postgres_url: str) -> None:
    open_index(postgres_url).close()
    found = {name for name, in postgres.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'dicom_server'")}
    connection = apsw.Connection(":memory:")
    migrate(connection)
    wanted = {name for name, in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND name NOT LIKE 'sqlite_%'")}
    assert wanted <= found


def test_texts_compare_by_code_points(postgres: PostgresServer, postgres_url: str) -> None:
    open_index(postgres_url).close()
    assert postgres.execute("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema ="
                            " 'dicom_server' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'") == []
