"""A-ASSOCIATE-RQs that are complete, and wrong in what they say."""
from __future__ import annotations

import struct

import pytest

from dicomserver.wire.pdu import decode_pdu
from tests.hostile.cases import Case, covers, early, run_early, table
from tests.hostile.peer import (
    ACCEPTED, APPLICATION, CLOSED, MAXIMUM_LENGTH, VERIFICATION_CONTEXT, Peer, abstract, associate_rq, context, echo,
    item, rejected, transfer, user_information,
)

INFORMATION = user_information(MAXIMUM_LENGTH)


def with_contexts(*contexts: bytes) -> bytes:
    return associate_rq(APPLICATION, *contexts, INFORMATION)


def with_information(*items: bytes) -> bytes:
    return associate_rq(APPLICATION, VERIFICATION_CONTEXT, user_information(*items))


VERSION = "protocol version"
VERSIONS = [
    Case(VERSION, f"{version:04X}", associate_rq(version=version), rejected(1, 2, 2) if not version & 1 else ACCEPTED)
    for version in (0, 2, 0xFFFE, 0x8000, 1, 3, 0xFFFF, 0x8001)
] + [Case(VERSION, "reserved bytes FF", associate_rq(reserved=b"\xff"), ACCEPTED)]

NAME = "application context"
NAMES = [
    Case(NAME, name, associate_rq(content, VERIFICATION_CONTEXT, INFORMATION), rejected(1, 1, 2))
    for name, content in {
        "another": item(0x10, b"1.2.840.10008.3.1.1.2"), "private": item(0x10, b"1.2.3"), "empty": item(0x10),
        "none": b"", "of 60 000 bytes": item(0x10, b"1." * 30000)}.items()
] + [
    Case(NAME, "twice", associate_rq(APPLICATION, APPLICATION, VERIFICATION_CONTEXT, INFORMATION), early(5)),
    Case(NAME, "not ASCII", associate_rq(item(0x10, b"\xff\xfe"), VERIFICATION_CONTEXT, INFORMATION), early(6)),
]

TITLES = "AE title"
BAD_TITLES = {"blank": b" " * 16, "NUL": b"\0" * 16, "control characters": b"A\x1b[31mB\r\n", "a way up": b"../x",
              "two ways up": b"../../etc/passwd", "dots": b"..", "dot": b".", "slash": b"/", "absolute": b"/etc/passwd",
              "bytes above 80h": b"\xc3\x84\xff\x80", "backslash": b"A\\B", "DEL": b"A\x7fB", "NUL inside": b"A\0B",
              "format": b"\t%s%n"}
AE_TITLES = [Case(TITLES, f"calling: {name}", associate_rq(calling=title), rejected(1, 1, 3))
             for name, title in BAD_TITLES.items()]
AE_TITLES += [Case(TITLES, f"called: {name}", associate_rq(called=title), rejected(1, 1, 7))
              for name, title in BAD_TITLES.items()]
AE_TITLES += [Case(TITLES, f"calling, allowed: {title}", associate_rq(calling=title.encode()), ACCEPTED)
              for title in ("A", "A B", "SIXTEEN_LETTERS_", "%s%n$(x)`y`", "';--", "<script>", "a/b")]

CONTEXTS = "contexts"
NO_CONTEXTS = [
    Case(CONTEXTS, name, with_contexts(*contexts), early(6)) for name, contexts in {
        "none at all": [],
        "without a transfer syntax": [context(1, abstract())],
        "without an abstract syntax": [context(1, transfer())],
        "with two abstract syntaxes": [context(1, abstract(), abstract("1.2.3"), transfer())],
        "an empty abstract syntax": [context(1, abstract(""), transfer())],
        "an empty transfer syntax": [context(1, abstract(), transfer(""))],
        "an empty transfer syntax among good ones": [context(1, abstract(), transfer(), transfer(""))],
        "id 0": [context(0, abstract(), transfer())],
        "id 2": [context(2, abstract(), transfer())],
        "id 254": [context(254, abstract(), transfer())],
        "id 1 twice": [VERIFICATION_CONTEXT, VERIFICATION_CONTEXT],
        "id 255 twice, far apart": [context(n, abstract(), transfer()) for n in (255, *range(1, 255, 2), 255)],
        "the second without a transfer syntax": [VERIFICATION_CONTEXT, context(3, abstract())],
        "129 of them": [context(n % 256, abstract(), transfer()) for n in range(1, 259, 2)],
        "an item without its id": [item(0x20)],
        "an abstract syntax that is not ASCII": [context(1, item(0x30, b"1.2.\xe9"), transfer())],
    }.items()
]

OVERRUN = "overrun"
OVERRUNS = [
    Case(OVERRUN, name, data, early(6)) for name, data in {
        "item overruns the PDU": with_contexts(item(0x20, VERIFICATION_CONTEXT[4:], length=4000)),
        "item of length FFFF": with_contexts(item(0x20, VERIFICATION_CONTEXT[4:], length=0xFFFF)),
        "header of an item is cut": associate_rq(APPLICATION, VERIFICATION_CONTEXT, INFORMATION, b"\x20\0"),
        "abstract syntax overruns its context": with_contexts(
            context(1, item(0x30, b"1.2.840.10008.1.1", length=200)), VERIFICATION_CONTEXT),
        "transfer syntax overruns its context by one": with_contexts(
            context(1, abstract(), item(0x40, b"1.2.840.10008.1.2", length=18)), context(3, abstract(), transfer())),
        "context is shorter than its children": with_contexts(item(0x20, VERIFICATION_CONTEXT[4:], length=20)),
        "user information overruns the PDU": associate_rq(
            APPLICATION, VERIFICATION_CONTEXT, item(0x50, MAXIMUM_LENGTH, length=9)),
        "sub-item overruns user information": with_information(MAXIMUM_LENGTH, item(0x55, b"X", length=16)),
        "header of a sub-item is cut": with_information(MAXIMUM_LENGTH, b"\x55"),
        "role selection: UID length beyond the item": with_information(item(0x54, struct.pack(">H", 500) + b"1.2\1\0")),
        "role selection: UID length FFFF": with_information(item(0x54, b"\xff\xff1.2.840\1\1")),
        "role selection: UID length too short": with_information(item(0x54, struct.pack(">H", 1) + b"1.2\1\0")),
        "role selection without roles": with_information(item(0x54, struct.pack(">H", 3) + b"1.2")),
        "role selection of nothing": with_information(item(0x54)),
        "extended negotiation: UID length beyond the item": with_information(item(0x56, b"\1\0001.2")),
        "common extended negotiation: lengths lie": with_information(item(0x57, b"\0\3" b"1.2" b"\xff\xff" b"1")),
        "user identity: length lies": with_information(item(0x58, b"\1\0\xff\xff" b"bob\0\0")),
        "asynchronous operations of 3 bytes": with_information(item(0x53, b"\0\1\0")),
    }.items()
]

LENGTH = "maximum length"
MAXIMUM_LENGTHS = [
    Case(LENGTH, f"item of {n} bytes", with_information(item(0x51, b"\0" * n)), early(6)) for n in (0, 1, 3, 5, 8, 400)
] + [
    Case(LENGTH, f"{n}", with_information(item(0x51, struct.pack(">I", n))), [rejected(1, 2, 1), rejected(1, 1, 1)])
    for n in range(1, 8)
] + [Case(LENGTH, "twice", with_information(MAXIMUM_LENGTH, MAXIMUM_LENGTH), early(5))]

IGNORED = "unknown sub-item"
UNKNOWN_ITEMS = [
    Case(IGNORED, f"{kind:02X}", with_information(MAXIMUM_LENGTH, item(kind, b"\xffanything\0")), ACCEPTED)
    for kind in (0x00, 0x01, 0x50, 0x5A, 0x7F, 0x80, 0xFF)
] + [Case(IGNORED, f"item {kind:02X} of the PDU", associate_rq(APPLICATION, VERIFICATION_CONTEXT, INFORMATION,
                                                                item(kind, b"x" * 300)), ACCEPTED)
     for kind in (0x00, 0x11, 0x21, 0x60, 0xFF)]


def identity(kind: int, primary: bytes, secondary: bytes = b"") -> bytes:
    lengths = [struct.pack(">H", len(field)) for field in (primary, secondary)]
    return item(0x58, bytes((kind, 1)) + lengths[0] + primary + lengths[1] + secondary)


BULK = "user identity and bulk"
BULKS = [
    Case(BULK, "identity of 64 KiB", with_information(identity(2, b"u" * 32000, b"p" * 33000)), ACCEPTED),
    Case(BULK, "identity of no bytes", with_information(identity(1, b"")), ACCEPTED),
    *(Case(BULK, f"identity of type {kind}", with_information(identity(kind, b"bob")), ACCEPTED)
      for kind in (0, 6, 255)),
    Case(BULK, "16 000 unknown sub-items", with_information(item(0x7E) * 16000), ACCEPTED),
    Case(BULK, "65 000 unknown items", associate_rq(APPLICATION, VERIFICATION_CONTEXT, INFORMATION, item(0x7E) * 65000),
         ACCEPTED),
    Case(BULK, "100 000 sub-items", associate_rq(APPLICATION, VERIFICATION_CONTEXT, item(0x7E) * 100000), early(1)),
    Case(BULK, "5 000 role selections", with_information(*(
        item(0x54, struct.pack(">H", 4) + b"%04d" % n + b"\1\1") for n in range(5000))), ACCEPTED),
    Case(BULK, "one role 5 900 times", with_information(item(0x54, struct.pack(">H", 3) + b"1.2\1\1") * 5900),
         ACCEPTED),
    Case(BULK, "4 000 common extended negotiations", with_information(
        item(0x57, b"\0\3" b"1.2" b"\0\3" b"1.3" b"\0\0") * 4000), ACCEPTED),
    Case(BULK, "a context with 13 000 transfer syntaxes",
         with_contexts(context(1, abstract(), item(0x40, b"1") * 13000)),
         ACCEPTED),
    Case(BULK, "an abstract syntax of 60 000 bytes", with_contexts(
        context(1, abstract("1." * 30000), transfer())), ACCEPTED),
]
TABLES = [VERSIONS, NAMES, AE_TITLES, NO_CONTEXTS, OVERRUNS, MAXIMUM_LENGTHS, UNKNOWN_ITEMS, BULKS]


@table(*TABLES)
def test_request(server, case):
    run_early(server, case)


@covers("128 contexts x 50 transfer syntaxes")
def test_many_contexts(server):
    names = [transfer(f"1.2.840.10008.1.2.4.{n}") for n in range(49)] + [transfer()]
    with Peer(server.port) as peer:
        peer.send(with_contexts(*(context(n, abstract(), *names) for n in range(1, 256, 2))))
        answer = decode_pdu(peer.receive())
        assert [result.result for result in answer.presentation_contexts] == [0] * 128
        server.others_are_served()
        peer.release()


@covers(LENGTH)
@pytest.mark.parametrize("items", [[], [item(0x51, struct.pack(">I", 0))], [item(0x51, struct.pack(">I", 8))],
                                   [item(0x51, b"\xff\xff\xff\xff")]], ids=["absent", "0", "8", "FFFFFFFF"])
def test_maximum_lengths_that_hold(server, items):
    with Peer(server.port) as peer:
        peer.associate(with_information(*items))
        peer.send(echo(9))
        server.others_are_served()
        response = peer.response()
        assert (response.status, response.message_id_being_responded_to) == (0, 9)
        peer.release()


POLICY = "unknown AE by policy"


@covers(POLICY)
@pytest.mark.parametrize("titles, outcome", [
    ({"calling": b"STRANGER"}, rejected(1, 1, 3)), ({"calling": b"hostile"}, rejected(1, 1, 3)),
    ({"calling": b"BLOCKED"}, rejected(1, 1, 3)), ({"called": b"ANY-SCP"}, rejected(1, 1, 7)),
    ({"called": b"HOSTILE_SC"}, rejected(1, 1, 7)), ({}, ACCEPTED), ({"calling": b" HOSTILE"}, ACCEPTED),
], ids=str)
def test_policy(tight, titles, outcome):
    with Peer(tight.port) as peer:
        peer.send(associate_rq(**titles))
        tight.others_are_served()
        assert peer.outcome() == outcome
        if outcome == ACCEPTED:
            peer.release()
            tight.lines.expect(number=0)        # in good order: that is for the verbose log
        else:
            peer.finish()
            assert peer.outcome() == CLOSED
