"""Hides the URLs of databases in the arguments of this process, as `ps` and /proc show them to every user."""

from __future__ import annotations

import ctypes
import re

_URL = re.compile(rb"postgres(?:ql)?://([^\0]*)", re.IGNORECASE)
_ARG_START, _ARG_END = 48, 49       # fields of /proc/[pid]/stat, from 1 (proc(5))


def conceal_arguments() -> None:
    """Overwrites all of such a URL but its scheme. What Python read of the arguments before stays as it is.

    Without /proc nothing is done. Until then everybody could read it: a password belongs into ~/.pgpass.
    """
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as stream:
            # The name of the program, which may have anything in it, ends with the last bracket and is field 2.
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return
    start, end = int(fields[_ARG_START - 3]), int(fields[_ARG_END - 3])
    if 0 < start < end:
        # Our own memory: the system reads the arguments from there whenever somebody asks.
        for url in _URL.finditer(ctypes.string_at(start, end - start)):
            ctypes.memset(start + url.start(1), ord("*"), len(url[1]))
