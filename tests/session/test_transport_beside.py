"""Waiting for the peer and for somebody else at once."""
from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dicomserver.session.transport import SocketInlet
from tests.session.peers import tcp_pair


@pytest.fixture
def sides() -> Iterator[tuple]:
    """Ours, the peer's, and both ends of a pipe."""
    ours, peer = tcp_pair()
    ends = os.pipe()
    yield ours, peer, *ends
    for end in ends:
        os.close(end)
    ours.close()
    peer.close()


def test_who_comes_first(sides: tuple) -> None:
    ours, peer, read, write = sides
    inlet = SocketInlet(1 << 16, ours)
    os.write(write, b"x")
    assert inlet.wait_beside(read)
    assert inlet.wait_beside(read)      # until it is read
    os.read(read, 1)
    peer.send(b"x")
    assert not inlet.wait_beside(read)


def test_what_was_received_already_counts(sides: tuple) -> None:
    ours, _, read, write = sides
    inlet = SocketInlet(1 << 16, ours)
    inlet.take(b"x")
    os.write(write, b"x")
    assert not inlet.wait_beside(read)


def test_a_peer_that_has_gone_is_heard(sides: tuple) -> None:
    ours, peer, read, _ = sides
    peer.close()
    assert not SocketInlet(1 << 16, ours).wait_beside(read)


def test_nobody_comes(sides: tuple) -> None:
    with pytest.raises(TimeoutError):
        SocketInlet(1 << 16, sides[0], idle=0.05).wait_beside(sides[2])


def test_stopped_before(sides: tuple) -> None:
    ours, _, read, write = sides
    inlet = SocketInlet(1 << 16, ours)
    inlet.stop()
    os.write(write, b"x")
    assert not inlet.wait_beside(read)
