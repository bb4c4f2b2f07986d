from __future__ import annotations

import pytest

from dicomserver.index.engine import Engine, Session
from dicomserver.index.postgres.connection import PostgresSession
from dicomserver.index.postgres.engine import Postgres
from dicomserver.index.sqlite.connection import SqliteSession
from dicomserver.index.sqlite.engine import SqliteFile, SqliteMemory


def names(of: type) -> set[str]:
    return {name for name in vars(of) if not name.startswith("_")}


@pytest.mark.parametrize("engine", [SqliteFile, SqliteMemory, Postgres])
def test_engines_have_the_names_of_the_protocol_and_no_more(engine: type) -> None:
    assert names(engine) == names(Engine) | {"statements", "dialect", "warnings", "may_forget", "may_linger",
                                           "replay", "order", "nodes"}


@pytest.mark.parametrize("session", [SqliteSession, PostgresSession])
def test_sessions_have_the_names_of_the_protocol_and_no_more(session: type) -> None:
    assert names(session) == names(Session)
