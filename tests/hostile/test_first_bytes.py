"""What may come first on a connection: anything."""
from __future__ import annotations

import struct

import pytest

from tests.hostile.cases import Case, covers, early, run_early, run_established, table
from tests.hostile.peer import (
    ABORT, ACCEPTED, APPLICATION, CLOSED, RELEASE_RP, RELEASE_RQ, VERIFICATION_CONTEXT, MAXIMUM_LENGTH, Peer, aborted,
    associate_rq, echo, item, p_data, pdu, pdv, user_information,
)

UNKNOWN = "unknown PDU type; HTTP"
HTTP = b"GET /instances HTTP/1.1\r\nHost: pacs\r\nUser-Agent: curl\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030102000100 01fc0303") + bytes(range(256)) * 2
FOREIGN = [
    Case(UNKNOWN, "HTTP request", HTTP, early(1)),
    Case(UNKNOWN, "HTTP of 2 MB", b"POST / HTTP/1.1\r\n\r\n" + b"x" * 2_000_000, [*early(1), CLOSED]),
    Case(UNKNOWN, "TLS ClientHello", TLS_HELLO, early(1)),
    Case(UNKNOWN, "SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n", early(1)),
    Case(UNKNOWN, "type 0", pdu(0, b"\0" * 68), early(1)),
    Case(UNKNOWN, "type 8", pdu(8, b"\0" * 68), early(1)),
    Case(UNKNOWN, "type FF, length FFFFFFFF", b"\xff\0\xff\xff\xff\xff", early(1)),
    Case(UNKNOWN, "one byte", b"\x99", early(1)),
]
ESTABLISHED = [
    Case(UNKNOWN, f"type {kind:02X}, length {length:X}", struct.pack(">BBI", kind, 0, length) + b"\0" * 20, aborted(1))
    for kind, length in ((0, 4), (8, 4), (0xFF, 0xFFFFFFFF), (0x84, 0x7FFFFFFF), (9, 0))
] + [Case(UNKNOWN, "HTTP request on an association", HTTP, aborted(1))]

LENGTHS = "RQ length"
WRONG_LENGTHS = [
    Case(LENGTHS, f"length {length:X}", struct.pack(">BBI", 1, 0, length) + b"\0\1" + b"\0" * 100, early(1))
    for length in (0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 262145, 67, 4, 0)
] + [
    Case(LENGTHS, "68 bytes, nothing but the fixed part", pdu(1, b"\0\1" + b"\0" * 66), early(6)),
    Case(LENGTHS, "256 KiB and one byte, all of it sent", pdu(1, b"\0\1" + b"\0" * 262143), early(1)),
    Case(LENGTHS, "longer than what follows, which another PDU ends",
         associate_rq(length=len(associate_rq()) - 6 + 10) + RELEASE_RQ, early(6)),
]

UNEXPECTED = "unexpected PDU"
TOO_EARLY = [
    Case(UNEXPECTED, "P-DATA first", echo(), early(2)),
    Case(UNEXPECTED, "A-ASSOCIATE-AC first", pdu(2, associate_rq()[6:]), early(2)),
    Case(UNEXPECTED, "A-ASSOCIATE-RJ first", pdu(3, b"\0\1\1\1"), early(2)),
    Case(UNEXPECTED, "A-RELEASE-RQ first", RELEASE_RQ, early(2)),
    Case(UNEXPECTED, "A-RELEASE-RP first", RELEASE_RP, early(2)),
    Case(UNEXPECTED, "A-ABORT first", ABORT, CLOSED),
]
TOO_LATE = [
    Case(UNEXPECTED, "second A-ASSOCIATE-RQ", associate_rq(), aborted(2)),
    Case(UNEXPECTED, "A-ASSOCIATE-AC to an acceptor", pdu(2, associate_rq()[6:]), aborted(2)),
    Case(UNEXPECTED, "A-ASSOCIATE-RJ to an acceptor", pdu(3, b"\0\1\1\1"), aborted(2)),
    Case(UNEXPECTED, "A-RELEASE-RP that nobody asked for", RELEASE_RP, aborted(2)),
    Case(UNEXPECTED, "second A-ASSOCIATE-RQ of length FFFFFFFF", b"\1\0\xff\xff\xff\xff", aborted(6)),
    Case(UNEXPECTED, "A-RELEASE-RQ of 5 bytes", pdu(5, b"\0" * 5), aborted(6)),
    Case(UNEXPECTED, "A-ABORT of 4 GB", b"\7\0\xff\xff\xff\xff", aborted(6)),
    Case(UNEXPECTED, "A-ABORT", ABORT, CLOSED),
    Case(UNEXPECTED, "A-ABORT of a source and a reason that do not exist", b"\7\0\0\0\0\4\xff\xff\xff\xff", CLOSED),
]
TABLES = [FOREIGN, ESTABLISHED, WRONG_LENGTHS, TOO_EARLY, TOO_LATE]


@table(FOREIGN, WRONG_LENGTHS, TOO_EARLY)
def test_first(server, case):
    run_early(server, case)


@table(ESTABLISHED, TOO_LATE)
def test_on_an_association(server, case):
    run_established(server, case)


def padded_rq(length: int) -> bytes:
    """An A-ASSOCIATE-RQ whose PDU-length is this, filled up with items of unknown types."""
    rest = length - len(associate_rq()) + 6
    fill = b""
    while rest > 60000:
        fill += item(0x77, b"\0" * 49996)
        rest -= 50000
    return associate_rq(APPLICATION, VERIFICATION_CONTEXT, user_information(MAXIMUM_LENGTH),
                        fill + item(0x77, b"\0" * (rest - 4)))


@covers(LENGTHS)
def test_the_longest_request(server):
    request = padded_rq(262144)
    assert int.from_bytes(request[2:6], "big") == 262144
    with Peer(server.port) as peer:
        peer.associate(request)
        server.others_are_served()
        peer.release()


@covers(LENGTHS)
@pytest.mark.parametrize("length, outcomes", [(4096, [ACCEPTED]), (4097, early(1))], ids=["just below", "just above"])
def test_the_configured_limit_of_a_request(tight, length, outcomes):
    with Peer(tight.port) as peer:
        peer.send(padded_rq(length))
        tight.others_are_served()
        assert peer.outcome() in outcomes


@covers("many PDUs in one segment")
def test_request_and_message_and_release_in_one_segment(server):
    with Peer(server.port) as peer:
        peer.send(associate_rq() + echo(7) + p_data(pdv(1, 1, echo(8)[12:40]), pdv(1, 3, echo(8)[40:])) + RELEASE_RQ)
        assert peer.outcome() == ACCEPTED
        assert [peer.response().message_id_being_responded_to for _ in range(2)] == [7, 8]
        server.others_are_served()
        assert peer.receive() == RELEASE_RP
