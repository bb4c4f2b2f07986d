"""More peers than there is room for: those that ask are told, those that are mute go first."""
from __future__ import annotations

import contextlib

import pytest

from tests.hostile.cases import covers
from tests.hostile.peer import ACCEPTED, CLOSED, Peer, associate_rq, echo, rejected

ROW = "hundreds of connects"
LOCAL_LIMIT = rejected(2, 3, 2)


def is_open(peer: Peer) -> bool:
    """Whether the server has said nothing yet and not closed."""
    peer.socket.settimeout(0.05)
    try:
        peer.socket.recv(1)
        return False
    except TimeoutError:
        return True


@covers(ROW)
def test_five_hundred_mute_connections_from_one_host(server):
    """64 of one host may wait; each one more costs the oldest its place."""
    with contextlib.ExitStack() as peers:
        mute = [peers.enter_context(Peer(server.port)) for _ in range(500)]
        server.others_are_served()
        with Peer(server.port) as good:     # from the host of the mute ones
            good.associate().send(echo())
            assert good.status() == 0
            good.release()
        assert {peer.outcome() for peer in mute[:430]} == {LOCAL_LIMIT}
        assert all(is_open(peer) for peer in mute[-20:])
    server.lines.expect("too many connections", number=None)


@covers(ROW)
def test_hundreds_of_mute_connections_from_many_hosts(server):
    """256 may wait in all."""
    with contextlib.ExitStack() as peers:
        mute = [peers.enter_context(Peer(server.port, f"127.0.1.{n % 40 + 1}")) for n in range(400)]
        server.others_are_served()
        assert {peer.outcome() for peer in mute[:140]} == {LOCAL_LIMIT}
        assert all(is_open(peer) for peer in mute[-20:])
    server.lines.expect("too many connections", number=None)


@covers(ROW)
@pytest.mark.parametrize("number, evicted", [(8, 0), (9, 1), (12, 4)])
def test_the_limit_of_one_host(running_tight, tight, number, evicted):
    with contextlib.ExitStack() as peers:
        mute = [peers.enter_context(Peer(tight.port)) for _ in range(number)]
        outcomes = [peer.outcome() for peer in mute]
        tight.others_are_served()
    assert outcomes == [LOCAL_LIMIT] * evicted + [CLOSED] * (number - evicted)     # ARTIM ends the others
    tight.lines.expect(number=number)


@covers(ROW)
@pytest.mark.parametrize("number, evicted", [(24, 0), (25, 1)])
def test_the_limit_of_all_hosts(tight, number, evicted):
    with contextlib.ExitStack() as peers:
        mute = [peers.enter_context(Peer(tight.port, f"127.0.2.{n + 1}")) for n in range(number)]
        outcomes = [peer.outcome() for peer in mute]
        tight.others_are_served()
    assert outcomes == [LOCAL_LIMIT] * evicted + [CLOSED] * (number - evicted)
    tight.lines.expect(number=number)


@covers(ROW)
def test_as_many_associations_as_allowed_and_one_more(tight):
    with Peer(tight.port) as first, Peer(tight.port) as second:
        first.associate()
        second.associate()
        tight.others_are_served()           # the third
        with Peer(tight.port) as third, Peer(tight.port) as fourth:
            third.associate()
            fourth.send(associate_rq())
            assert fourth.outcome() == LOCAL_LIMIT
            third.release()
        with Peer(tight.port) as again:
            again.associate().release()
        first.release()
        second.release()
    tight.lines.expect("as many as allowed are busy")


@covers(ROW)
def test_a_request_waits_a_moment_for_an_association_that_is_ending(tight):
    for _ in range(30):
        with Peer(tight.port) as peer:
            peer.associate()
            peer.release()
    tight.others_are_served()
    tight.lines.expect(number=0)


@covers(ROW)
def test_hundreds_of_requests_at_once(server):
    """Each is accepted or told to come again; no one hangs."""
    with contextlib.ExitStack() as peers:
        crowd = [peers.enter_context(Peer(server.port, f"127.0.3.{n % 40 + 1}")) for n in range(200)]
        for peer in crowd:
            peer.send(associate_rq())
        outcomes = [peer.outcome() for peer in crowd]
        assert set(outcomes) == {ACCEPTED, LOCAL_LIMIT}
        assert outcomes.count(ACCEPTED) == 10
        for peer, outcome in zip(crowd, outcomes):
            if outcome == ACCEPTED:
                peer.release()
                peer.socket.close()
        server.others_are_served()
    server.lines.expect("busy", "released", number=200)


@covers(ROW)
def test_more_connections_than_associations_that_say_nothing(tight):
    """Mute connections take no association's place."""
    with contextlib.ExitStack() as peers:
        for _ in range(8):
            peers.enter_context(Peer(tight.port))
        for _ in range(3):
            peers.enter_context(Peer(tight.port, "127.0.4.1")).associate()
        for n in range(3):
            with Peer(tight.port, "127.0.4.2") as late:
                late.send(associate_rq())
                assert late.outcome() == LOCAL_LIMIT
        peers.close()
        tight.others_are_served()
    tight.lines.expect("busy", number=None)
