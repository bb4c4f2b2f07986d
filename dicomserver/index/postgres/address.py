"""Where a PostgreSQL index is: from its URL to what the driver takes. No error here quotes anything of the URL.

What the URL leaves out is libpq's to find: in the PG* environment, in a service's file, in ~/.pgpass and in its own
defaults.
"""
from __future__ import annotations

import os
from urllib.parse import parse_qsl, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from dicomserver.index.errors import UnknownEngine

# A server that has vanished is noticed within half a minute. By the variables that may say otherwise, as a service may.
_DEFAULTS = {
    "application_name": ("dicom-server", "PGAPPNAME"),
    "connect_timeout": ("5", "PGCONNECT_TIMEOUT"),
    "keepalives_idle": ("10", ""),
    "keepalives_interval": ("5", ""),
    "keepalives_count": ("3", ""),
    "tcp_user_timeout": ("30000", ""),
    "target_session_attrs": ("primary", "PGTARGETSESSIONATTRS"),    # of several hosts the one that takes writes
}


_MALFORMED = ("the URL of the PostgreSQL index is not well-formed, as in "
              "postgres://user:password@host:5432/database?sslmode=verify-full")


def parameters_of(url: str) -> dict[str, str]:
    """The parameters of a connection, the password among them if the URL has one. Raises UnknownEngine."""
    rest = url.partition("://")[2]
    where = rest.partition("?")[0]
    if "@" in where.partition("/")[2] or where.count("@") > 1:
        raise UnknownEngine("in the URL of a PostgreSQL index @ and / in a user's name or password are written %40 "
                            "and %2F")
    try:
        said = conninfo_to_dict("postgresql://" + rest)
    except psycopg.Error:
        raise UnknownEngine(_MALFORMED) from None
    # libpq would quote what stands there, and without an @ that is the password.
    if not str(said.get("port", 0)).replace(",", "0").isdecimal():
        raise UnknownEngine(_MALFORMED)
    serviced = "service" in said or "PGSERVICE" in os.environ
    known = {name: value for name, (value, variable) in _DEFAULTS.items()
             if variable not in os.environ and not (serviced and variable)}
    return known | {name: str(value) for name, value in said.items()} | {"client_encoding": "utf8"}


def without_password(url: str) -> str:
    """The same URL, well-formed, but for the passwords in it."""
    scheme, _, rest = url.partition("://")
    where, question, query = rest.partition("?")
    user, at, place = where.rpartition("@")
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True)
            if not ("password" in name or "secret" in name)]
    return f"{scheme}://{user.partition(':')[0]}{at}{place}{question if kept else ''}{urlencode(kept, safe='/')}"
