from __future__ import annotations

import pytest

from dicomserver.index.engine import Engine, Session
from dicomserver.index.sqlite.connection import SqliteSession
from dicomserver.index.sqlite.engine import SqliteFile, SqliteMemory


def names(of: type) -> set[str]:
    return {name for name in vars(of) if not name.startswith("_")}


@pytest.mark.parametrize("engine", [SqliteFile, SqliteMemory])
def test_engines_have_the_names_of_the_protocol_and_no_more(engine: type) -> None:
    assert names(engine) == names(Engine) | {"statements", "dialect"}


def test_sessions_have_the_names_of_the_protocol_and_no_more() -> None:
    assert names(SqliteSession) == names(Session)
