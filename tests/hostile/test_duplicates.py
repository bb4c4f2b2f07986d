"""The same instance again, and the same UID with other bytes."""
from __future__ import annotations

import contextlib

import pytest

from tests.hostile.cases import covers, failure
from tests.hostile.objects import SERIES, SOP_CLASS, SOP_INSTANCE, STUDY, dataset, explicit, implicit, new_identity, uid
from tests.hostile.peer import Peer, storage_rq, store

AGAIN = "the same instance again"
OTHER = "the same UID with other bytes"


def send(server, identity, data: bytes, request: bytes | None = None) -> int:
    """-> the status, on an association of its own."""
    with Peer(server.port) as peer:
        peer.associate(request)
        peer.send(store(identity.instance, data))
        status = peer.status()
        peer.release()
    return status


@pytest.fixture
def stored(server):
    """An instance that is there, and its dataset."""
    identity = new_identity()
    data = dataset(identity)
    assert send(server, identity, data) == 0
    server.keep(identity)
    server.others_are_served()
    return identity, data


@covers(AGAIN)
@pytest.mark.parametrize("times", [1, 20])
def test_again(server, stored, times):
    identity, data = stored
    for _ in range(times):
        assert send(server, identity, data) == 0
    assert server.holds(identity, data)
    server.lines.expect("released", number=1 + times)


@covers(AGAIN)
def test_again_when_it_is_filed(server, stored):
    identity, data = stored
    server.wait_until_filed()
    assert send(server, identity, data) == 0
    server.lines.expect("released", number=2)


@covers(AGAIN)
def test_five_at_once(server):
    identity = new_identity()
    data = dataset(identity, {0x7FE00010: (b"OW", b"\0" * 300_000)})
    with contextlib.ExitStack() as peers:
        crowd = [peers.enter_context(Peer(server.port)).associate() for _ in range(5)]
        message = store(identity.instance, data)
        for peer in crowd:
            peer.send(message[:-100])
        server.others_are_served()
        for peer in crowd:
            peer.send(message[-100:])
        assert [peer.status() for peer in crowd] == [0] * 5
        server.keep(identity)
        for peer in crowd:
            peer.release()
    server.lines.expect("released", number=5)


@covers(AGAIN)
def test_again_on_the_same_association_in_one_segment(server):
    identity = new_identity()
    data = dataset(identity)
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(b"".join(store(identity.instance, data, n) for n in range(1, 11)))
        server.others_are_served()
        assert [peer.status() for _ in range(10)] == [0] * 10
        server.keep(identity)
        peer.release()


NEWCOMERS = {
    "one letter": lambda identity: dataset(identity, {0x00081030: (b"LO", b"Kneecap of the mayoR")}),
    "one byte more": lambda identity: dataset(identity, {0x00081030: (b"LO", b"Kneecap of the mayor ")}),
    "an element more": lambda identity: dataset(identity, None, explicit(0x00431010, b"LO", b"ab")),
    "another patient": lambda identity: dataset(identity, {0x00100020: (b"LO", b"PID-OTHER ")}),
    "another study": lambda identity: dataset(identity, {STUDY: (b"UI", uid(identity.study + ".7"))}),
    "another series": lambda identity: dataset(identity, {SERIES: (b"UI", uid(identity.series + ".7"))}),
    "elements in another order": lambda identity: explicit(SOP_INSTANCE, b"UI", uid(identity.instance)) + dataset(
        identity, {SOP_INSTANCE: None}),
}


@covers(OTHER)
@pytest.mark.parametrize("filed", [False, True], ids=["at once", "when the first is filed"])
@pytest.mark.parametrize("newcomer", NEWCOMERS)
def test_other_bytes(server, stored, newcomer, filed):
    identity, data = stored
    if filed:
        server.wait_until_filed()
    assert failure(send(server, identity, NEWCOMERS[newcomer](identity)))
    server.quarantined += 1
    assert server.holds(identity, data)
    assert send(server, identity, data) == 0
    server.lines.expect("other content", "quarantine/", "released", number=5)


@covers(OTHER)
@pytest.mark.parametrize("other", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"])
def test_another_transfer_syntax(server, stored, other):
    """The same bytes where they can be: they would mean something else."""
    identity, data = stored
    bytes_now = dataset(identity, write=implicit) if other == "1.2.840.10008.1.2" else data
    assert failure(send(server, identity, bytes_now, storage_rq(other)))
    server.quarantined += 1
    server.lines.expect("other content", number=4)


@covers(OTHER)
def test_another_sop_class(server, stored):
    identity, _ = stored
    ct = "1.2.840.10008.5.1.4.1.1.2"
    with Peer(server.port) as peer:
        peer.associate(storage_rq(sop_class=ct))
        peer.send(store(identity.instance, dataset(identity, {SOP_CLASS: (b"UI", uid(ct))}), sop_class_uid=ct))
        assert failure(peer.status())
        peer.release()
    server.quarantined += 1
    server.lines.expect("other content", number=4)
