"""Command sets that are wrong, lie, or ask for what nobody serves."""
from __future__ import annotations

import struct

import pytest

from tests.hostile.cases import Case, covers, run_established, table
from tests.hostile.objects import dataset, new_identity
from tests.hostile.peer import (
    COMMAND, DATASET, ECHO, LAST, STORE, Peer, aborted, echo, echo_command, element, p_data, pdv, store,
    store_command, us,
)

CLASS = element(0x0002, b"1.2.840.10008.1.1\0")
ECHO_FIELD, MESSAGE_ID, NO_DATASET = us(0x0100, 0x0030), us(0x0110, 1), us(0x0800, 0x0101)


def command(*elements: bytes) -> bytes:
    """The P-DATA-TF PDUs of a command set on the context of C-ECHO."""
    whole = b"".join(elements)
    cut = [whole[n:n + 16000] for n in range(0, len(whole), 16000)] or [b""]
    pdvs = [pdv(ECHO, COMMAND, piece) for piece in cut[:-1]] + [pdv(ECHO, COMMAND | LAST, cut[-1])]
    return b"".join(map(p_data, pdvs))


def bulk(length: int) -> bytes:
    """An element that makes a C-ECHO-RQ of `length` bytes, length field of unknown (0000,F000)."""
    rest = length - len(CLASS + ECHO_FIELD + MESSAGE_ID + NO_DATASET) - 8
    return element(0xF000, b"\0" * rest)


LENGTH = "command length"
LONG = [
    Case(LENGTH, "64 KiB and one byte", command(CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET, bulk(65537)), aborted(6)),
    Case(LENGTH, "64 KiB and one byte, never last", p_data(pdv(ECHO, COMMAND, b"\0" * 16000)) * 4
         + p_data(pdv(ECHO, COMMAND, b"\0" * 1537)), aborted(6)),
    Case(LENGTH, "fragments of one byte, never last", p_data(pdv(ECHO, COMMAND, b"\0")) * 65537, aborted(6)),
    Case(LENGTH, "2 MB, never last", p_data(pdv(ECHO, COMMAND, b"\0" * 16000)) * 130, aborted(6)),
]

MALFORMED = "malformed command elements"
MALFORMED_COMMANDS = [
    Case(MALFORMED, name, command(*elements), aborted(6)) for name, elements in {
        "command field twice": [CLASS, ECHO_FIELD, ECHO_FIELD, MESSAGE_ID, NO_DATASET],
        "message id twice": [CLASS, ECHO_FIELD, MESSAGE_ID, MESSAGE_ID, NO_DATASET],
        "unordered": [ECHO_FIELD, CLASS, MESSAGE_ID, NO_DATASET],
        "group length last": [CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET, element(0, b"\0\0\0\0")],
        "explicit VR": [struct.pack("<HH2sH", 0, 2, b"UI", 18) + b"1.2.840.10008.1.1\0",
                        struct.pack("<HH2sHH", 0, 0x100, b"US", 2, 0x30),
                        struct.pack("<HH2sHH", 0, 0x800, b"US", 2, 0x101)],
        "big endian": [struct.pack(">HHIH", 0, 0x100, 2, 0x30), struct.pack(">HHIH", 0, 0x800, 2, 0x101)],
        "an element of group 0008": [CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET, b"\x08\0\x16\0\2\0\0\0ab"],
        "an element of group 0002": [b"\2\0\x10\0\2\0\0\0ab", CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET],
        "value beyond the end": [CLASS, ECHO_FIELD, MESSAGE_ID, element(0x0800, b"\1\1", length=4)],
        "value of length FFFFFFFF": [element(0x0002, b"1.2", length=0xFFFFFFFF), ECHO_FIELD, MESSAGE_ID, NO_DATASET],
        "header of an element is cut": [CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET, b"\0\0\0\xf0\0"],
        "command field of 4 bytes": [CLASS, element(0x0100, b"\x30\0\0\0"), MESSAGE_ID, NO_DATASET],
        "command field of no bytes": [CLASS, element(0x0100, b""), MESSAGE_ID, NO_DATASET],
        "message id of 1 byte": [CLASS, ECHO_FIELD, element(0x0110, b"\1"), NO_DATASET],
        "no command field": [CLASS, MESSAGE_ID, NO_DATASET],
        "no message id": [CLASS, ECHO_FIELD, NO_DATASET],
        "no data set type": [CLASS, ECHO_FIELD, MESSAGE_ID],
        "SOP class that is not ASCII": [element(0x0002, b"1.2.\xff\xfe"), ECHO_FIELD, MESSAGE_ID, NO_DATASET],
        "random bytes": [bytes(range(256))],
        "zeros": [b"\0" * 64],
    }.items()
]

UNANNOUNCED = "dataset that was not announced"
UNANNOUNCED_DATASETS = [
    Case(UNANNOUNCED, "after a C-ECHO, in the same PDU",
         p_data(pdv(ECHO, COMMAND | LAST, echo_command()), pdv(ECHO, DATASET | LAST, b"\x10\0\x10\0PN\2\0AB")),
         aborted(6)),
]

OTHERS = "unknown operation, message ids, responses"
RESPONSES = [
    Case(OTHERS, f"response {field:04X} that nobody asked for",
         command(CLASS, us(0x0100, field), us(0x0120, 1), NO_DATASET, us(0x0900, 0)), [aborted(0), ("aborted", 0, 0)])
    for field in (0x8001, 0x8030, 0x8020, 0x8021, 0x8FFF)
] + [Case(OTHERS, "a response without a status", command(CLASS, us(0x0100, 0x8030), us(0x0120, 1), NO_DATASET),
          aborted(6)),
     Case(OTHERS, "C-CANCEL without an id", command(us(0x0100, 0x0FFF), NO_DATASET), aborted(6))]
TABLES = [LONG, MALFORMED_COMMANDS, RESPONSES]


@table(*TABLES)
def test_broken_rule(server, case):
    run_established(server, case)


@table(UNANNOUNCED_DATASETS)
def test_a_dataset_although_there_is_none(server, case):
    """The command is answered, as it was complete; then the association ends."""
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(case.data)
        server.others_are_served()
        assert peer.status() == 0
        assert peer.outcome() == case.outcome


@covers(LENGTH)
@pytest.mark.parametrize("length", [65535, 65536])
def test_the_longest_command(server, length):
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(command(CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET, bulk(length)))
        server.others_are_served()
        assert peer.status() == 0
        peer.release()


@covers(LENGTH)
@pytest.mark.parametrize("length, served", [(1024, True), (1025, False)], ids=["just below", "just above"])
def test_the_configured_limit_of_a_command(tight, length, served):
    with Peer(tight.port) as peer:
        peer.associate()
        peer.send(command(CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET, bulk(length)))
        tight.others_are_served()
        if served:
            assert peer.status() == 0
            peer.release()
            tight.lines.expect(number=0)
        else:
            assert peer.outcome() == aborted(6)


@covers(LENGTH)
@pytest.mark.parametrize("tag", [0x0002, 0x1000])
def test_a_uid_of_nearly_64_kib_is_repeated(server, tag):
    uid = element(tag, b"1" * 65000)
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(command(*([uid, ECHO_FIELD, MESSAGE_ID, NO_DATASET] if tag < 0x0100 else
                            [CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET, uid])), echo(2))
        server.others_are_served()
        assert [peer.status(), peer.status()] == [0, 0]
        peer.release()


@covers("(0000,0000) lies")
@pytest.mark.parametrize("value", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0", b"\x38\0\0\x80", b"", b"\0\0",
                                   b"\0" * 8],
                         ids=lambda value: value.hex() or "empty")
def test_group_length_sizes_nothing(server, value):
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(command(element(0, value), CLASS, ECHO_FIELD, MESSAGE_ID, NO_DATASET), echo(2))
        server.others_are_served()
        assert [peer.status(), peer.status()] == [0, 0]
        peer.release()


@covers(OTHERS)
@pytest.mark.parametrize("with_dataset", [False, True], ids=["alone", "with a dataset"])
@pytest.mark.parametrize("field", [0x0000, 0x0002, 0x0100, 0x0140, 0x0150, 0x7FFF],
                         ids="{:04X}".format)
def test_an_operation_that_nobody_serves(server, field, with_dataset):
    kind = us(0x0800, 1) if with_dataset else NO_DATASET
    data = p_data(pdv(ECHO, DATASET, b"x" * 9000)) * 3 + p_data(pdv(ECHO, DATASET | LAST, b"y"))
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(command(CLASS, us(0x0100, field), MESSAGE_ID, kind), data if with_dataset else b"", echo(2))
        server.others_are_served()
        response = peer.response()
        assert (response.status, response.command_field) == (0x0211, 0x8000 | field)
        assert peer.status() == 0
        peer.release()


@covers(OTHERS)
def test_one_message_id_for_all(server):
    with Peer(server.port) as peer:
        peer.associate()
        for _ in range(3):
            peer.send(echo(1))
            assert peer.status() == 0
        peer.send(echo(1) * 3)
        server.others_are_served()
        assert [peer.status() for _ in range(3)] == [0, 0, 0]
        peer.release()


@covers(OTHERS)
@pytest.mark.parametrize("cancelled", [1, 2, 65535])
def test_a_cancel_of_nothing_is_ignored(server, cancelled):
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(command(us(0x0100, 0x0FFF), us(0x0120, cancelled), NO_DATASET), echo(2))
        server.others_are_served()
        assert peer.response().message_id_being_responded_to == 2
        peer.release()


@covers(UNANNOUNCED)
def test_a_c_store_without_a_dataset(server):
    without = store_command("1.2.3").replace(us(0x0800, 1), NO_DATASET)
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(STORE, COMMAND | LAST, without)), echo(2))
        server.others_are_served()
        assert peer.status() >> 12 == 0xC
        assert peer.status() == 0
        peer.release()
    server.lines.expect("C000H", "released", number=2)


@covers(OTHERS)
@pytest.mark.parametrize("context", [ECHO, STORE])
def test_a_message_on_the_other_ones_context(server, context):
    """C-STORE on the context of Verification fails; C-ECHO on that of a storage class is answered somehow."""
    identity = new_identity()
    stored = store(identity.instance, dataset(identity)) if context == ECHO else echo()
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(_moved(stored, context), echo(2))
        server.others_are_served()
        assert peer.status() in ((0x0122, 0x0211) if context == ECHO else (0, 0x0122, 0x0211))
        assert peer.status() == 0
        peer.release()
    server.lines.expect("released", number=None)


def _moved(message: bytes, context: int) -> bytes:
    """The PDUs of one PDV each, on another presentation context."""
    moved, at = b"", 0
    while at < len(message):
        end = at + 6 + int.from_bytes(message[at + 2:at + 6], "big")
        moved += message[at:at + 10] + bytes((context,)) + message[at + 11:end]
        at = end
    return moved
