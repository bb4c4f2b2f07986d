from __future__ import annotations

import pytest

from dicomserver.index import UnknownEngine, open_index
from dicomserver.index.postgres.address import parameters_of, without_password


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGAPPNAME", "PGCONNECT_TIMEOUT", "PGTARGETSESSIONATTRS", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("url, said", [
    ("postgres://user:password@localhost/pacsdb",
     {"user": "user", "password": "password", "host": "localhost", "dbname": "pacsdb"}),
    ("POSTGRESQL://h:5433/d?sslmode=verify-full",
     {"host": "h", "port": "5433", "dbname": "d", "sslmode": "verify-full"}),
    ("postgres://u:p%40%2Fw%3A@h", {"user": "u", "password": "p@/w:", "host": "h"}),
    ("postgres:///d?host=/run/x&user=u@example.org", {"dbname": "d", "host": "/run/x", "user": "u@example.org"}),
    ("postgresql://a,b/d?connect_timeout=9", {"host": "a,b", "port": ",", "dbname": "d", "connect_timeout": "9"}),
    ("postgres://u:p?w:x@h", {"user": "u", "password": "p?w:x", "host": "h"}),
    ("postgresql://", {}),
])
def test_what_a_url_says(url: str, said: dict[str, str]) -> None:
    parameters = parameters_of(url)
    assert said.items() <= parameters.items()
    assert set(parameters) - set(said) <= {
        "application_name", "connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout", "target_session_attrs", "client_encoding"}


def test_what_the_environment_says_is_libpq_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parameters_of("postgres://h")["connect_timeout"] == "5"
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "60")
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "any")
    assert {"connect_timeout", "password", "target_session_attrs"} & set(parameters_of("postgres://h")) == set()


def test_what_a_service_may_say_is_libpq_s(monkeypatch: pytest.MonkeyPatch) -> None:
    by_url = parameters_of("postgres://h?service=x")
    monkeypatch.setenv("PGSERVICE", "x")
    assert set(by_url) - {"service"} == set(parameters_of("postgres://h")) == {
        "host", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "client_encoding"}


@pytest.mark.parametrize("url", [
    "postgres://u:sec@ret@h/d", "postgres://u:sec/ret@h/d", "postgres://u:secret", "postgres://u:secret@h:port/d",
    "postgres://u:secret%zz@h/d", "postgres://h/d?passwort=secret", "postgres://u:secret@[h/d"])
def test_no_error_quotes_a_password(url: str) -> None:
    with pytest.raises(UnknownEngine) as refused:
        open_index(url)
    text = f"{refused.value!r} {refused.value.__cause__!r}"
    assert not any(part in text for part in ("secret", "sec@ret", "sec", "ret@"))


@pytest.mark.parametrize("url, shown", [
    ("postgres://pacs:se%40cret@db:5433/pacs", "postgres://pacs@db:5433/pacs"),
    ("postgresql://db/pacs?sslmode=require&password=secret&sslpassword=secret", "postgresql://db/pacs?sslmode=require"),
    ("postgres:///pacs?host=/run/postgresql&password=secret", "postgres:///pacs?host=/run/postgresql"),
    ("postgres://?password=secret", "postgres://"), ("postgres://", "postgres://"),
    ("postgres://a:secret@one,two/pacs", "postgres://a@one,two/pacs"),
    ("postgres://db/pacs?oauth_client_secret=secret", "postgres://db/pacs"),
])
def test_without_password(url: str, shown: str) -> None:
    assert without_password(url) == shown
