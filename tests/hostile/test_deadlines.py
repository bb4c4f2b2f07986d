"""Peers that are silent, trickle, vanish or do not read: each deadline frees what they hold, and only theirs."""
from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from tests.hostile.cases import covers
from tests.hostile.objects import dataset, new_identity
from tests.hostile.peer import (
    CLOSED, COMMAND, DATASET, ECHO, LAST, STORE, Peer, associate_rq, echo, echo_command, p_data, pdu, pdv, store,
    store_command, storage_rq,
)

SILENT = "silent or trickling connect"
HALF_OPEN = "half-open, or stops reading"
ABORTS = [("aborted", 0, 0), ("aborted", 2, 0)]
INSIDE = "silent or too slow"
RQ = associate_rq()
BEGUN = p_data(pdv(STORE, COMMAND | LAST, store_command("1.2.826.0.1.3680043.10.1717.8888888")))
STRANDED = dataset(new_identity())
PIECE = p_data(pdv(STORE, DATASET, STRANDED[:200]))


@covers(SILENT)
@pytest.mark.parametrize("sent", [0, 1, 5, 6, 7, 74, len(RQ) - 1], ids="{} bytes, then silence".format)
def test_silent_before_the_request_is_complete(tight, sent):
    begin = time.monotonic()
    with Peer(tight.port) as peer:
        peer.send(RQ[:sent])
        tight.others_are_served()
        assert peer.outcome() == CLOSED
    assert time.monotonic() - begin > 0.9
    tight.lines.expect("in time")


@covers(SILENT)
@pytest.mark.parametrize("begin", [b"", RQ[:6]], ids=["from the first byte", "from the first byte of the body"])
def test_artim_is_absolute(tight, begin):
    """A byte every tenth of a second keeps nothing alive."""
    with Peer(tight.port) as peer:
        peer.send(begin)
        tight.others_are_served()
        assert trickle(peer, RQ[len(begin):]) == CLOSED
    tight.lines.expect("in time")


def trickle(peer: Peer, data: bytes, step: float = 0.1) -> tuple:
    """Sends byte by byte until the server answers or closes; -> its outcome."""
    peer.socket.settimeout(step)
    for n in range(len(data)):
        with contextlib.suppress(OSError):      # closed on us
            peer.socket.send(data[n:n + 1])
        with contextlib.suppress(TimeoutError):
            return peer.outcome()
    raise AssertionError("it took it all")


@covers(HALF_OPEN)
@pytest.mark.parametrize("before", [b"", echo()], ids=["after the accept", "after a message"])
def test_idle_on_an_association(tight, before):
    with Peer(tight.port) as peer:
        peer.associate()
        if before:
            peer.send(before)
            assert peer.status() == 0
        tight.others_are_served()
        assert peer.outcome() in ABORTS
    tight.lines.expect(INSIDE)


INCOMPLETE: dict[str, bytes] = {
    "one byte of a PDU": b"\4",
    "a PDU header": pdu(4, b"", length=200),
    "half a PDV header": pdu(4, pdv(ECHO, COMMAND)[:3], length=200),
    "a PDV header": pdu(4, pdv(ECHO, COMMAND, length=100), length=200),
    "half a command": p_data(pdv(ECHO, COMMAND, echo_command()[:30])),
    "a command whose dataset does not come": BEGUN,
    "a dataset that stops between PDUs": BEGUN + PIECE,
    "a dataset that stops within a PDU": BEGUN + PIECE + PIECE[:100],
    "half an A-RELEASE-RQ": b"\5\0\0\0\0\4\0\0",
    "half an A-ABORT": b"\7\0\0\0\0\4",
    "half a second A-ASSOCIATE-RQ": RQ[:90],
}


@covers(HALF_OPEN)
@pytest.mark.parametrize("begun", INCOMPLETE)
def test_silent_within_a_message(tight, begun):
    with Peer(tight.port) as peer:
        peer.associate()
        peer.send(INCOMPLETE[begun])
        tight.others_are_served()
        assert peer.outcome() in ABORTS
    tight.lines.expect(INSIDE)


@covers(HALF_OPEN)
@pytest.mark.parametrize("begun, rest", [
    (BEGUN, p_data(pdv(STORE, DATASET, STRANDED * 3))),
    (p_data(pdv(ECHO, COMMAND, echo_command()[:9])), p_data(pdv(ECHO, COMMAND | LAST, b"\0" * 900))),
    (b"", RQ * 5),
], ids=["in a dataset", "in a command", "in a PDU of another type"])
def test_trickling_within_a_message(tight, begun, rest):
    """There is progress all the time, but below the minimum rate."""
    with Peer(tight.port) as peer:
        peer.associate()
        peer.send(begun)
        tight.others_are_served()
        assert trickle(peer, rest) in ABORTS
    tight.lines.expect(INSIDE)


@covers(HALF_OPEN)
def test_slow_but_fast_enough(tight):
    """Pauses shorter than the deadline, at a rate above the minimum, for longer than the deadline."""
    identity = new_identity()
    whole = store(identity.instance, dataset(identity, {0x00204000: (b"UT", b" " * 12000)}))
    with Peer(tight.port) as peer:
        peer.associate()
        for n in range(0, len(whole), 1600):
            peer.send(whole[n:n + 1600])
            time.sleep(0.15)
        tight.others_are_served()
        assert peer.status() == 0
        tight.keep(identity)
        peer.release()


@covers(HALF_OPEN)
@pytest.mark.parametrize("requests", [echo(), store("1.2.826.0.1.3680043.10.1717.7777777", STRANDED)],
                         ids=["C-ECHO", "C-STORE that fails"])
def test_stops_reading(tight, requests):
    with Peer(tight.port, receive_buffer=4096) as peer:
        peer.associate()
        peer.socket.settimeout(8)
        _send_until_nobody_takes_it(peer, requests * 200)
        tight.others_are_served()
        ended = [line for line in tight.log_lines() if "association" in line and "takes no data" in line]
        assert len(ended) <= 1
    tight.lines.expect("takes no data", number=None)


def _send_until_nobody_takes_it(peer: Peer, data: bytes) -> None:
    with contextlib.suppress(OSError):      # the deadline of our socket, or the server's end
        while True:
            peer.socket.sendall(data)


@covers(HALF_OPEN)
@pytest.mark.parametrize("end", [lambda peer: peer.finish(), lambda peer: peer.reset(),
                                 lambda peer: peer.socket.close()],
                         ids=["FIN", "RST", "close"])
def test_gone_without_a_release(server, end: Callable[[Peer], None]):
    peer = Peer(server.port).associate(storage_rq())
    server.others_are_served()
    end(peer)
    server.lines.expect("connection")
    with contextlib.suppress(OSError):
        peer.socket.close()


@covers(HALF_OPEN)
def test_an_answered_peer_that_does_not_close(tight):
    """After A-RELEASE-RP and A-ABORT the peer closes; one that does not is not waited for without end."""
    with Peer(tight.port) as released, Peer(tight.port) as aborted:
        released.associate().release()
        aborted.associate().send(b"\xff" * 20)
        tight.others_are_served()
        assert aborted.outcome()[0] == "aborted"
        assert [released.receive(), aborted.receive()] == [b"", b""]
    tight.lines.expect("PDU type")
