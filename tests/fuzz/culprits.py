"""Targets with known faults, to show that the fuzzer finds them."""
from __future__ import annotations

import ctypes
import time

from tests.fuzz.targets import Target


def _raises(data: bytes) -> None:
    if len(data) == 8:
        raise KeyError("not on the list")


def _allocates(data: bytes) -> None:
    if data[:1] == b"\xff":
        bytearray(1 << 30)


def _crashes(data: bytes) -> None:
    if len(data) == 8:
        ctypes.string_at(0)


def _hangs(data: bytes) -> None:
    if len(data) == 8:
        time.sleep(60)


CORPUS = (b"12345678",)
RAISES = Target(_raises, CORPUS)
ALLOCATES = Target(_allocates, (b"\0" * 8,))
CRASHES = Target(_crashes, (b"1234567",))
HANGS = Target(_hangs, (b"1234567",))
ALLOWED = Target(_raises, CORPUS, (KeyError,))
