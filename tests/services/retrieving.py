"""What the tests of C-GET and C-MOVE share: what is stored, and how a stored file is damaged."""
from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.interop.sender import Sender
from tests.interop.stored import Sent
from tests.interop.synthetic import instance

STUDY = instance(1, 1).study
LARGE = 3 << 20         # bytes, more than is read at once


def fill(provider, several: list[Sent]) -> list[Sent]:
    """Stores them, as a peer does."""
    pairs = sorted({(one.sop_class, one.transfer_syntax) for one in several})
    with Sender(provider.port, [(sop_class, [syntax]) for sop_class, syntax in pairs]) as sender:
        for one in several:
            context_id = 2 * pairs.index((one.sop_class, one.transfer_syntax)) + 1
            assert sender.store(context_id, one.sop_class, one.sop_instance, one.dataset).status == 0
    return several


def study(count: int = 3, size: int = 1000) -> list[Sent]:
    """So many instances of one series."""
    return [instance(1, number, size=size) for number in range(1, count + 1)]


def stored_file(provider, sent: Sent) -> Path:
    """Where an instance is that no mover has moved."""
    for path in Path(provider.archive.path, "intake").iterdir():
        if path.read_bytes().endswith(sent.dataset):
            return path
    raise AssertionError("it is in no slot")


def flip_a_bit(provider, sent: Sent, at: int = -1) -> None:
    """In one byte of its file: the last one of its dataset, or another."""
    path = stored_file(provider, sent)
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)


def cut(provider, sent: Sent) -> None:
    """The file loses its second half."""
    path = stored_file(provider, sent)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def replace(provider, sent: Sent) -> None:
    """The whole file of another instance in its place."""
    path = stored_file(provider, sent)
    others = (other for other in path.parent.iterdir() if other != path and other.stat().st_size)
    path.write_bytes(next(others).read_bytes())


HARMS = [
    pytest.param(flip_a_bit, id="dataset"), pytest.param(partial(flip_a_bit, at=20), id="preamble"),
    pytest.param(partial(flip_a_bit, at=3), id="magic"), pytest.param(partial(flip_a_bit, at=200), id="meta header"),
    pytest.param(cut, id="cut"),
    pytest.param(lambda provider, sent: stored_file(provider, sent).unlink(), id="missing"),
    pytest.param(replace, id="another")]
