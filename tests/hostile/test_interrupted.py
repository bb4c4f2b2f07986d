"""A C-STORE that breaks off: at every byte, in every way. Nothing of it may stay."""
from __future__ import annotations

import pytest

from tests.hostile.cases import LogLines, covers
from tests.hostile.objects import Identity, dataset
from tests.hostile.peer import (
    ABORT, COMMAND, DATASET, LAST, RELEASE_RP, RELEASE_RQ, STORE, Peer, p_data, pdv, store_command, storage_rq,
)
from tests.hostile.server import wait_until

CUT = "cut at every byte"
INTERRUPTED = "interrupted in the dataset"
NEVER = Identity("1.2.826.0.1.3680043.10.1717.5", "1.2.826.0.1.3680043.10.1717.5.1",
                 "1.2.826.0.1.3680043.10.1717.5.1.1")
DATA = dataset(NEVER)
BEGIN = p_data(pdv(STORE, COMMAND | LAST, store_command(NEVER.instance)))
MESSAGE = BEGIN + p_data(pdv(STORE, DATASET, DATA[:100])) + p_data(pdv(STORE, DATASET, DATA[100:150]),
                                                                   pdv(STORE, DATASET | LAST, DATA[150:]))
ENDS = {"FIN": Peer.finish, "RST": Peer.reset}
GROUP = 40      # cuts between two looks at everything


@covers(CUT)
@pytest.mark.parametrize("first", range(0, len(MESSAGE), GROUP))
@pytest.mark.parametrize("end", ENDS)
def test_c_store_cut_at_every_byte(server, end, first):
    for cut in range(first, min(first + GROUP, len(MESSAGE))):
        server.begin_case()
        with Peer(server.port) as peer:
            peer.associate()
            peer.send(MESSAGE[:cut])
            if cut % 10 == 0:
                server.others_are_served()
            ENDS[end](peer)
            if end == "FIN":
                assert peer.receive() == b"", f"an answer to {cut} bytes"
        wait_until(server.log_lines, "nothing was logged")     # a reset may come before it has even accepted
        server.check_left_behind()
        assert len(server.log_lines()) == 1
    server.others_are_served()


@covers(CUT)
@pytest.mark.parametrize("first", range(0, len(storage_rq()), GROUP))
@pytest.mark.parametrize("end", ENDS)
def test_request_cut_at_every_byte(server, end, first):
    for cut in range(first, min(first + GROUP, len(storage_rq()))):
        server.begin_case()
        with Peer(server.port) as peer:
            peer.send(storage_rq()[:cut])
            ENDS[end](peer)
            if end == "FIN":
                assert peer.receive() == b""
        wait_until(server.log_lines, "nothing was logged")     # a reset may come before it has even accepted
        server.check_left_behind()
        assert len(server.log_lines()) == 1
    server.others_are_served()


PLACES = {
    "before the dataset": BEGIN,
    "after one fragment": BEGIN + p_data(pdv(STORE, DATASET, DATA[:100])),
    "after an empty fragment": BEGIN + p_data(pdv(STORE, DATASET)),
    "after all of it but the last empty fragment": BEGIN + p_data(pdv(STORE, DATASET, DATA)),
    "after 20 MB": BEGIN + p_data(pdv(STORE, DATASET, DATA + b"\xe0\x7f\x10\0OW\0\0\0\0\0\x10")) +
    p_data(pdv(STORE, DATASET, b"\0" * 16000)) * 1250,
    "in a command": p_data(pdv(STORE, COMMAND, store_command(NEVER.instance)[:50])),
}


WORDS = {"A-ABORT": ABORT, "A-ABORT of a provider": b"\7\0\0\0\0\4\0\0\2\6", "A-RELEASE-RQ": RELEASE_RQ,
         "A-ASSOCIATE-RQ": storage_rq(), "A-RELEASE-RP": RELEASE_RP, "unknown PDU": b"\x42\0\0\0\0\0",
         "A-RELEASE-RQ of 4 GB": b"\5\0\xff\xff\xff\xff"}
ANSWERS = {"A-RELEASE-RQ": b"\6", "A-ASSOCIATE-RQ": b"\7", "A-RELEASE-RP": b"\7", "unknown PDU": b"\7",
           "A-RELEASE-RQ of 4 GB": b"\7"}


@covers(INTERRUPTED)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("end", [*WORDS, *ENDS])
def test_interrupted(server, end, place):
    words = WORDS.get(end)
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(PLACES[place])
        server.others_are_served()
        if words is None:
            ENDS[end](peer)
        else:
            peer.send(words)
        if end != "RST":
            answer = peer.receive()
            assert answer[:1] == ANSWERS.get(end, b"")


@covers(INTERRUPTED)
@pytest.mark.parametrize("cut", range(1, 10))
@pytest.mark.parametrize("end", ENDS)
def test_interrupted_by_a_pdu_that_is_cut_itself(server, end, cut):
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(PLACES["after one fragment"], RELEASE_RQ[:cut])
        server.others_are_served()
        ENDS[end](peer)
        if end == "FIN":
            assert peer.receive() == b""
    server.lines.expect("connection")


@covers(INTERRUPTED)
def test_a_hundred_interrupted_at_once(server):
    """Ten rounds of ten associations, all in the middle of a dataset when they break off."""
    for _ in range(10):
        peers = [Peer(server.port).associate() for _ in range(9)]
        for peer in peers:
            peer.send(PLACES["after one fragment"])
        server.others_are_served()
        for number, peer in enumerate(peers):
            (peer.reset if number % 2 else peer.socket.close)()
    server.lines = LogLines()
    server.lines.expect(number=90)
