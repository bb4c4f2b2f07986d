from __future__ import annotations

import pickle
import signal
from multiprocessing import Pipe

import pytest

from dicomserver.transcoding.children import Child, Children
from dicomserver.transcoding.decoder import decode, serve
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image
from tests.transcoding.compressed import HTJ2K, gradient

IMAGE = Image(24, 20, 1, "MONOCHROME2", 16, 12, 0, 1, False)
SYNTAX = "1.2.840.10008.1.2.4.201"


def test_decodes() -> None:
    assert decode(SYNTAX, IMAGE, HTJ2K) == ("MONOCHROME2", gradient().tobytes())


def test_a_failure_is_named() -> None:
    with pytest.raises(ConversionFailed, match=r"^a frame cannot be decoded \(\w+\)$"):
        decode(SYNTAX, IMAGE, HTJ2K[:-150])


def test_it_ends_when_nothing_comes() -> None:
    ours, theirs = Pipe()
    with ours, theirs:
        assert serve(theirs, decode, idle_seconds=0) is None


@pytest.mark.parametrize("before", [b"", b"\0\0"])
def test_it_ends_with_the_server(before: bytes) -> None:
    """Even if that ends in the middle of a request."""
    ours, theirs = Pipe()
    with theirs:
        with ours:
            if before:
                ours._send(before)
        assert serve(theirs, decode) is None


def test_an_end_without_work_is_no_failure() -> None:
    child = Child("tests.transcoding.obedient")
    child._connection.close()
    assert child._process.wait(60) == 0


def test_what_the_process_may_do() -> None:
    children = Children("tests.transcoding.obedient", 1)
    _, pixels = children.decode(SYNTAX, Image(1, 2000, 1, "MONOCHROME2", 8, 8, 0, 1, False), b"limits")
    for child in children._idle:
        assert child.end() in (0, -signal.SIGKILL)      # it may hear of the connection's end first
    assert pickle.loads(pixels) == {
        "core": (0, 0), "file": (0, 0), "adjusted": 1000, "leads its session": True, "folder": "/",
        "streams": {"/dev/null"}, "descriptors": 4, "signals": [signal.SIG_DFL] * 2, "blocked": set()}
