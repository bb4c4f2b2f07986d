from pathlib import Path

import pytest

from dicomserver.config import values


@pytest.mark.parametrize(
    "text, title",
    [
        ("A", "A"),
        ("  MY_PACS ", "MY_PACS"),
        ("X" * 16, "X" * 16),
        ("CT 1/ROOM-2", "CT 1/ROOM-2"),
        (" " * 9 + "X" * 16, "X" * 16),
    ],
)
def test_ae_titles_come_without_outer_spaces(text, title):
    assert values.ae_title(text) == title


@pytest.mark.parametrize(
    "text", ["", "   ", "X" * 17, "A\\B", "A\nB", "A\0", "É", "..", "a/../b", "/etc", "a//b", "./x", "\x7f"]
)
def test_what_is_no_ae_title(text):
    with pytest.raises(ValueError, match="an AE title: 1 to 16"):
        values.ae_title(text)


@pytest.mark.parametrize("text, port", [("1", 1), ("104", 104), ("11112", 11112), ("65535", 65535)])
def test_ports(text, port):
    assert values.port(text) == port


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "+1", "1.0", " 1", "٣", "9" * 5000, "0x10"])
def test_what_is_no_port(text):
    with pytest.raises(ValueError, match="a whole number from 1 to 65535"):
        values.port(text)


@pytest.mark.parametrize(
    "text, url",
    [
        ("sqlite:///var/lib/x.db", "sqlite:///var/lib/x.db"),
        ("sqlite:////var/lib/x.db", "sqlite:///var/lib/x.db"),
        ("sqlite:///var/../lib/./x.db", "sqlite:///lib/x.db"),
        ("sqlite:///a b/ü.db", "sqlite:///a b/ü.db"),
        ("memory:", "memory:"),
    ],
)
def test_database_urls_have_one_normal_form(text, url):
    assert values.database_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x.db",
        "/var/lib/x.db",
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///.",
        "sqlite:///var/lib/",
        "sqlite://relative.db",
        "sqlite:///:memory:",
        "sqlite:///a\0b",
        "sqlite:///a\nb",
        "memory",
        "memory:x",
        "mysql://host/db",
    ],
)
def test_what_is_no_database_url(text):
    with pytest.raises(ValueError):
        values.database_url(text)


def test_an_sqlite_url_names_the_absolute_path():
    assert values.sqlite_url(Path("/var/lib/x.db")) == "sqlite:///var/lib/x.db"
    assert values.database_url(values.sqlite_url(Path("/a/b.db"))) == "sqlite:///a/b.db"


@pytest.mark.parametrize("url, database", [
    ("memory:", "none"), ("sqlite:///x.db", "sqlite"), ("postgres://h/d", "postgres"), ("postgresql://", "postgres")])
def test_which_database_a_url_is_of(url, database):
    assert values.database_of(url) == database


@pytest.mark.parametrize("text", ["postgres://user:pw@host/db", "postgresql://host/db", "POSTGRES://x"])
def test_postgres_is_known_by_its_scheme(text):
    assert values.is_postgres(text)


@pytest.mark.parametrize("text", ["localhost", "10.0.0.5", "::1", "fe80::1%eth0", "a-b.example.org"])
def test_hosts(text):
    assert values.host(text) == text


@pytest.mark.parametrize("text", ["", "a b", "a/b", "user@host", "a\n", "ü", "x" * 254])
def test_what_is_no_host(text):
    with pytest.raises(ValueError, match="a host name or an IP address"):
        values.host(text)


@pytest.mark.parametrize("text, seconds", [("5", 5.0), ("0.5", 0.5), (".5", 0.5), ("86400", 86400.0)])
def test_seconds(text, seconds):
    assert values.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "1e3", "1.2.3", "86401", "٣", "."])
def test_what_is_no_number_of_seconds(text):
    with pytest.raises(ValueError):
        values.seconds(text)


def test_addresses_come_in_their_usual_spelling():
    assert values.ip_address("0:0:0:0:0:0:0:1") == "::1"
    with pytest.raises(ValueError):
        values.ip_address("localhost")


def test_paths(monkeypatch):
    monkeypatch.setenv("HOME", "/home/a")
    assert values.path("~/pacs") == "/home/a/pacs"
    assert values.path("./dicom-data") == "./dicom-data"
    for text in ("", "  ", "a\0b", "a\nb", "\udcff"):
        with pytest.raises(ValueError, match="a path"):
            values.path(text)
