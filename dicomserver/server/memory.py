"""How the C library keeps what threads give back."""
from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8       # malloc.h of glibc
_ARENAS = 2


def share_arenas() -> bool:
    """From now on all threads allocate from two arenas. -> whether the C library knows of such a thing.

    By itself glibc gives up to eight a processor, and each keeps what its thread once needed; Python's lock lets one
    thread allocate at a time anyway.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, _ARENAS) == 1
