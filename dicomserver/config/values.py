"""Checks of single values. Each returns the value in its one normal form or raises ValueError.

Apart from the schema, so that the quick commands (`status`, `stop`) can check an option without
loading pydantic.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

AE_TITLE = "an AE title: 1 to 16 printable ASCII characters, no backslash, not like a path"
PORT = "a whole number from 1 to 65535"
IN_MEMORY = "memory:"
POSTGRES = "postgresql://"     # whatever the PG* variables of the environment say
SQLITE = "sqlite:///"
_POSTGRES = ("postgres://", "postgresql://")


def ae_title(text: str) -> str:
    """`text` without leading and trailing spaces, which do not count (PS3.5 6.2, VR AE)."""
    title = text.strip(" ")
    like_a_path = not {part.strip(" ") for part in title.split("/")}.isdisjoint(("", ".", ".."))
    if like_a_path or len(title) > 16 or not all(" " <= c <= "~" and c != "\\" for c in title):
        raise ValueError(AE_TITLE)
    return title


def port(text: str) -> int:
    """A TCP port from what was typed."""
    if not text.isascii() or not text.isdigit() or len(text) > 5 or not 1 <= int(text) <= 65535:
        raise ValueError(PORT)
    return int(text)


def seconds(text: str) -> float:
    """A deadline from what was typed."""
    is_number = text.isascii() and len(text) <= 10 and text.replace(".", "", 1).isdigit()
    if not is_number or not 0 < float(text) <= 86400:
        raise ValueError("a number of seconds, more than 0 and at most 86400")
    return float(text)


def host(text: str) -> str:
    """A host name or address: no spaces, nothing unprintable. Names are not looked up."""
    if not 1 <= len(text) <= 253 or not all("!" <= c <= "~" and c not in "/\\@\"'" for c in text):
        raise ValueError("a host name or an IP address")
    return text


def ip_address(text: str) -> str:
    """An IPv4 or IPv6 address in its usual spelling."""
    return str(ipaddress.ip_address(text))


def path(text: str) -> str:
    """A path of the file system, `~` expanded; not empty, no control characters."""
    if not text.strip() or not text.isprintable():
        raise ValueError("a path")
    return os.path.expanduser(text)


def is_postgres(url: str) -> bool:
    """Whether `url` asks for PostgreSQL, well-formed or not."""
    return url.lower().startswith(_POSTGRES)


def database_of(url: str) -> str:
    """What `--database` calls the engine of a URL."""
    if url == IN_MEMORY:
        return "none"
    return "postgres" if is_postgres(url) else "sqlite"


def database_url(text: str) -> str:
    """`sqlite:///absolute/path` with the path normalized, `memory:`, or a PostgreSQL URL as it is."""
    if text == IN_MEMORY or (is_postgres(text) and text.isprintable()):
        return text
    file = text.removeprefix(SQLITE)
    if file == text or file.endswith("/") or not file.strip("/. ") or not file.isprintable():
        raise ValueError("a database URL")
    if file.lstrip("/").startswith(":"):
        raise ValueError("in memory is memory:, not an SQLite URL")
    return sqlite_url(Path("/" + file.lstrip("/")))


def sqlite_url(file: Path) -> str:
    """The URL of the SQLite file at an absolute path: `sqlite:///var/lib/x.db` is /var/lib/x.db."""
    return SQLITE + os.path.normpath(file).lstrip("/")
