"""Thousands of associations that begin and break off leave nothing behind; cycles.py runs more of them."""
from __future__ import annotations

from tests.hostile.cases import covers
from tests.hostile.cycles import cycle
from tests.hostile.peer import APPLICATION, VERIFICATION_CONTEXT, Peer, associate_rq, item

CYCLES = 2000


@covers("associate and abort")
def test_two_thousand_cycles(server):
    for number in range(CYCLES):
        cycle(server.port, number)
        if number % 500 == 0:
            server.others_are_served()
    server.lines.expect("aborted by the peer", "closed", number=CYCLES)


@covers("associate and abort")
def test_a_hundred_of_the_longest_requests(server):
    """Each of 250 kB, half of them refused: what they took is given back."""
    fill = item(0x77, b"\0" * 49996) * 5
    for number in range(100):
        with Peer(server.port) as peer:
            peer.send(associate_rq(APPLICATION, VERIFICATION_CONTEXT, fill, version=number % 2))
            peer.receive()
    server.others_are_served()
    server.lines.expect(number=100)

