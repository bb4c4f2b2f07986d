"""Deflated datasets: bombs, torn ones, and what is no deflated data at all."""
from __future__ import annotations

import zlib

import pytest

from tests.hostile.cases import Stored, cannot_understand, covers, failure, mismatch, run_store, success, table
from tests.hostile.objects import Identity, dataset, deflated, explicit, new_identity

ROW = "deflate bomb"
DEFLATED = "1.2.840.10008.1.2.1.99"
MEGABYTE = 1 << 20
CAPPED = 2


def bomb(identity: Identity, inflated: int, changed: dict | None = None) -> bytes:
    """A dataset whose last element inflates to so many zeros; made without ever holding them."""
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    pieces = [squeeze.compress(dataset(identity, changed, explicit(0x7FE00010, b"OB", b"", inflated)))]
    zeros = bytes(MEGABYTE)
    while inflated:
        taken = min(inflated, MEGABYTE)
        pieces.append(squeeze.compress(zeros[:taken]))
        inflated -= taken
    return b"".join([*pieces, squeeze.flush()])


TORN = [
    Stored(ROW, "not deflated", lambda identity: dataset(identity), failure, DEFLATED),
    Stored(ROW, "with zlib's header", lambda identity: zlib.compress(dataset(identity)), cannot_understand, DEFLATED),
    Stored(ROW, "with gzip's header", lambda identity: b"\x1f\x8b\x08" + deflated(dataset(identity)),
           cannot_understand, DEFLATED),
    Stored(ROW, "cut in the middle", lambda identity: deflated(dataset(identity))[:100], cannot_understand, DEFLATED),
    Stored(ROW, "its last byte is missing", lambda identity: deflated(dataset(identity))[:-1], cannot_understand,
           DEFLATED),
    Stored(ROW, "FF bytes", lambda identity: b"\xff" * 4000, cannot_understand, DEFLATED),
    Stored(ROW, "nothing", lambda identity: b"", cannot_understand, DEFLATED),
    Stored(ROW, "deflated nothing", lambda identity: deflated(b""), mismatch, DEFLATED),
    Stored(ROW, "deflated twice", lambda identity: deflated(deflated(dataset(identity))), failure, DEFLATED),
    Stored(ROW, "a padding byte behind", lambda identity: deflated(dataset(identity)) + b"\0", success, DEFLATED),
]
TABLES = [TORN]


@table(TORN)
def test_torn(server, case):
    run_store(server, case)


def flags(server, identity: Identity) -> int:
    return server.row("SELECT flags FROM instances WHERE uid = ?", identity.instance)[0]


@covers(ROW)
def test_a_bomb_of_300_megabytes(server):
    identity = new_identity()
    run_store(server, Stored(ROW, "", lambda _: bomb(identity, 300 * MEGABYTE), success, DEFLATED), identity)
    assert flags(server, identity) == CAPPED


@covers(ROW)
@pytest.mark.parametrize("above", [0, 1], ids=["just below", "just above"])
def test_the_configured_limit(tight, above):
    """The limit counts all that is inflated: what is before the pixels too."""
    identity = new_identity()
    head = len(dataset(identity, None, explicit(0x7FE00010, b"OB", b"", 0)))
    data = bomb(identity, MEGABYTE - head + above)
    run_store(tight, Stored(ROW, "", lambda _: data, success, DEFLATED), identity)
    assert flags(tight, identity) == (CAPPED if above else 0)


@covers(ROW)
def test_what_identifies_stands_behind_the_limit(tight):
    """Nobody has seen it, so it is not taken at its word."""
    changed = {0x00080008: (b"UT", b"\0" * (2 * MEGABYTE))}
    run_store(tight, Stored(ROW, "", lambda identity: deflated(dataset(identity, changed)), mismatch, DEFLATED))


@covers(ROW)
def test_a_bomb_of_nested_sequences(server):
    """100 MB of sequences that open, deflated to some kB."""
    opening = explicit(0x00400275, b"SQ", b"", 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    run_store(server, Stored(ROW, "", lambda identity: deflated(dataset(identity, None, opening * 5_000_000)),
                             cannot_understand, DEFLATED))
