"""A PostgreSQL database as it is before an index is in it."""
from __future__ import annotations

from tests.postgres import PostgresServer


def emptied(server: PostgresServer) -> str:
    """The URL of the server's database, in which no index is left."""
    for schema in ("dicom_server", "dicom_server_new"):
        server.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    return server.url


def cleared(server: PostgresServer) -> str:
    """The same with an index that has nothing in it: made once, emptied then, as making one takes longer."""
    names = dict(server.execute("""SELECT c.relname, c.relkind::text FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'dicom_server' AND c.relkind IN ('r', 'S')"""))
    tables = {name for name, kind in names.items() if kind == "r"} - {"version", "state", "scrub"}
    if "unfinished" in tables:
        return emptied(server)
    if tables:
        server.execute("; ".join([
            "SET search_path = dicom_server; SET session_replication_role = replica",       # no triggers
            *(f"DELETE FROM {name}" for name in tables),
            *(f"ALTER SEQUENCE {name} RESTART" for name, kind in names.items() if kind == "S"),
            "UPDATE state SET marker = 0, complete = 0, origin = NULL",
            "UPDATE scrub SET began_at = 0, position = 0, ended = 1"]))
    return server.url
