"""P-DATA-TF on an accepted association, in every way that it can be wrong, and in the odd ways that are right."""
from __future__ import annotations

import struct

import pytest

from tests.hostile.cases import Case, covers, run_established, table
from tests.hostile.objects import dataset, new_identity
from tests.hostile.peer import (
    ABORT, CLOSED, COMMAND, DATASET, ECHO, LAST, RELEASE_RP, RELEASE_RQ, STORE, Peer, aborted, abstract, associate_rq,
    APPLICATION, MAXIMUM_LENGTH, context, echo, echo_command, p_data, pdu, pdv, store_command, storage_rq, transfer,
    user_information,
)

SOMEWHERE = "1.2.826.0.1.3680043.10.1717.9999999"
ANNOUNCED = 16384


def store_begun(*dataset_pdvs: bytes) -> bytes:
    """A C-STORE-RQ whose command is complete, and the first PDVs of its dataset."""
    return p_data(pdv(STORE, COMMAND | LAST, store_command(SOMEWHERE))) + b"".join(map(p_data, dataset_pdvs))


LENGTHS = "PDU and PDV lengths"
BAD_LENGTHS = [
    Case(LENGTHS, "PDU one byte longer than announced", p_data(pdv(ECHO, COMMAND, b"\0" * (ANNOUNCED - 5))),
         aborted(6)),
    Case(LENGTHS, "PDU of length FFFFFFFF", b"\4\0\xff\xff\xff\xff" + b"\0" * 100, aborted(6)),
    Case(LENGTHS, "PDU of length 80000000", b"\4\0\x80\0\0\0" + b"\0" * 100, aborted(6)),
    *(Case(LENGTHS, f"PDV length {length:X}", pdu(4, pdv(ECHO, COMMAND | LAST, echo_command(), length=length)),
           aborted(6))
      for length in (0, 1, 0xFFFFFFFE, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF)),
    Case(LENGTHS, "PDV one byte beyond its PDU",
         pdu(4, pdv(ECHO, COMMAND | LAST, echo_command(), length=len(echo_command()) + 3)), aborted(6)),
    Case(LENGTHS, "a second PDV beyond its PDU",
         pdu(4, pdv(ECHO, COMMAND, b"\0\0") + pdv(ECHO, COMMAND, b"ab", length=5)), aborted(6)),
    *(Case(LENGTHS, f"{n} bytes left for a PDV", pdu(4, pdv(ECHO, COMMAND, b"\0\0") + b"\0" * n), aborted(6))
      for n in range(1, 6)),
    *(Case(LENGTHS, f"PDU of length {n}", pdu(4, b"\0" * n), aborted(6)) for n in range(1, 6)),
    Case(LENGTHS, "dataset PDU one byte longer than announced",
         store_begun(pdv(STORE, DATASET, b"\0" * (ANNOUNCED - 5))), aborted(6)),
    Case(LENGTHS, "dataset PDV of length 1", store_begun() + pdu(4, pdv(STORE, DATASET, b"ab", length=1)), aborted(6)),
    Case(LENGTHS, "dataset PDV of length FFFFFFFF",
         store_begun() + pdu(4, pdv(STORE, DATASET, b"ab", length=0xFFFFFFFF)), aborted(6)),
]

EMPTY = "empty P-DATA, empty fragments"
EMPTIES = [
    Case(EMPTY, "P-DATA without a PDV", pdu(4, b""), aborted(6)),
    Case(EMPTY, "P-DATA without a PDV in the dataset", store_begun() + pdu(4, b""), aborted(6)),
    Case(EMPTY, "129 empty fragments of a command, one a PDU", p_data(pdv(ECHO, COMMAND)) * 129, aborted(6)),
    Case(EMPTY, "129 empty fragments of a command in one PDU", p_data(*[pdv(ECHO, COMMAND)] * 129), aborted(6)),
    Case(EMPTY, "129 empty fragments of a dataset", store_begun() + p_data(pdv(STORE, DATASET)) * 129, aborted(6)),
    Case(EMPTY, "2 000 PDUs of empty fragments", p_data(*[pdv(ECHO, COMMAND)] * 2000) * 2000, [aborted(6), CLOSED]),
    Case(EMPTY, "a command of nothing", p_data(pdv(ECHO, COMMAND | LAST)), aborted(6)),
]

DISORDER = "PDVs in disorder"
DISORDERS = [
    Case(DISORDER, name, data, aborted(6)) for name, data in {
        "context that nobody proposed": p_data(pdv(77, COMMAND | LAST, echo_command())),
        "context 0": p_data(pdv(0, COMMAND | LAST, echo_command())),
        "context 2": p_data(pdv(2, COMMAND | LAST, echo_command())),
        "context 255": p_data(pdv(255, COMMAND | LAST, echo_command())),
        "context changes within the command": p_data(pdv(ECHO, COMMAND, echo_command()[:20]),
                                                     pdv(STORE, COMMAND | LAST, echo_command()[20:])),
        "context changes between command and dataset": store_begun(pdv(ECHO, DATASET | LAST, b"ab")),
        "context changes within the dataset": store_begun(pdv(STORE, DATASET, b"\x08\0\x16\0"),
                                                          pdv(ECHO, DATASET | LAST, b"UI\2\0a\0")),
        "context changes to one that is unknown": store_begun(pdv(STORE, DATASET, b"ab"), pdv(9, DATASET, b"cd")),
        "dataset before command": p_data(pdv(STORE, DATASET | LAST, b"ab")),
        "dataset before command, not last": p_data(pdv(STORE, DATASET, b"ab")),
        "dataset in the middle of the command": p_data(pdv(STORE, COMMAND, store_command(SOMEWHERE)[:30]),
                                                       pdv(STORE, DATASET | LAST, b"ab")),
        "command in the middle of the dataset": store_begun(pdv(STORE, DATASET, b"ab"),
                                                            pdv(STORE, COMMAND | LAST, store_command(SOMEWHERE))),
        "command instead of the dataset": store_begun(pdv(STORE, COMMAND | LAST, store_command(SOMEWHERE))),
        "another message in the middle of the dataset": store_begun(pdv(STORE, DATASET, b"ab")) + echo(),
    }.items()
]
TABLES = [BAD_LENGTHS, EMPTIES, DISORDERS]


@table(*TABLES)
def test_broken_rule(server, case):
    run_established(server, case)


@covers(DISORDER)
def test_a_context_that_was_refused(server):
    request = associate_rq(APPLICATION, context(ECHO, abstract(), transfer()),
                           context(5, abstract("1.2.840.10008.3.1.2.3.3"), transfer()),
                           user_information(MAXIMUM_LENGTH))
    run_established(server, Case(DISORDER, "", p_data(pdv(5, COMMAND | LAST, echo_command())), aborted(6)), request)


@covers(LENGTHS)
@pytest.mark.parametrize("length, outcome", [(4096, "served"), (4097, aborted(6))], ids=["just below", "just above"])
def test_the_announced_maximum(tight, length, outcome):
    """The PDU-length field counts, PS3.8 D.1; the rest of the message follows in a second PDU."""
    identity = new_identity()
    whole = dataset(identity, {0x00204000: (b"UT", b" " * 8000)})
    pdus = [p_data(pdv(STORE, DATASET, whole[:length - 6])),
            p_data(pdv(STORE, DATASET, whole[length - 6:length + 3000])),
            p_data(pdv(STORE, DATASET | LAST, whole[length + 3000:]))]
    assert int.from_bytes(pdus[0][2:6], "big") == length
    with Peer(tight.port) as peer:
        peer.associate()
        peer.send(p_data(pdv(STORE, COMMAND | LAST, store_command(identity.instance))), *pdus)
        tight.others_are_served()
        if outcome == "served":
            assert peer.status() == 0
            tight.keep(identity)
            peer.release()
        else:
            assert peer.outcome() == outcome


@covers(EMPTY)
@pytest.mark.parametrize("empty", [0, 1, 127])
def test_some_empty_fragments_are_borne(server, empty):
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(p_data(*[pdv(ECHO, COMMAND)] * empty, pdv(ECHO, COMMAND, echo_command()), pdv(ECHO, COMMAND | LAST)))
        server.others_are_served()
        assert peer.status() == 0
        peer.release()


def pieces(whole: bytes, size: int, kind: int) -> list[bytes]:
    """PDVs of so many bytes each."""
    cut = [whole[n:n + size] for n in range(0, len(whole), size)]
    return [pdv(STORE, kind | (LAST if n == len(cut) - 1 else 0), piece) for n, piece in enumerate(cut)]


def one_a_pdu(command: bytes, data: bytes, size: int) -> list[bytes]:
    """Fragments of so many bytes, each in a PDU of its own."""
    return [p_data(piece) for piece in pieces(command, size, COMMAND) + pieces(data, size, DATASET)]


SHAPES = {
    "odd-length fragment: of 1": lambda command, data: one_a_pdu(command, data, 1),
    "odd-length fragment: of 7": lambda command, data: one_a_pdu(command, data, 7),
    "many PDUs in one segment: all PDVs in one PDU": lambda command, data: [
        p_data(*pieces(command, 50, COMMAND), *pieces(data, 33, DATASET))],
    "many PDUs in one segment: command and dataset in one PDU": lambda command, data: [
        p_data(*pieces(command, 9999, COMMAND), *pieces(data, 9999, DATASET))],
    "many PDUs in one segment: one PDU for each PDV": lambda command, data: [
        b"".join(map(p_data, pieces(command, 60, COMMAND) + pieces(data, 60, DATASET)))],
    "many PDUs in one segment: command ends in the PDU that begins the dataset": lambda command, data: [
        p_data(pdv(STORE, COMMAND, command[:10])),
        p_data(pdv(STORE, COMMAND | LAST, command[10:]), pdv(STORE, DATASET, data[:11])),
        p_data(pdv(STORE, DATASET | LAST, data[11:]))],
    "many PDUs in one segment: reserved bits of the control header": lambda command, data: [
        p_data(pdv(STORE, 0xFC | COMMAND | LAST, command)), p_data(pdv(STORE, 0xFC | LAST, data))],
}


@covers("odd-length fragment", "many PDUs in one segment")
@pytest.mark.parametrize("by_one", [False, True], ids=["at once", "one byte a segment"])
@pytest.mark.parametrize("shape", SHAPES)
def test_odd_but_right(server, shape, by_one):
    identity = new_identity()
    data = dataset(identity)
    stream = b"".join(SHAPES[shape](store_command(identity.instance), data))
    with Peer(server.port) as peer:
        peer.associate()
        (peer.send_by_one if by_one else peer.send)(stream)
        server.others_are_served()
        assert peer.status() == 0
        server.keep(identity)
        peer.release()
    assert server.holds(identity, data)


@covers("many PDUs in one segment")
def test_a_whole_conversation_byte_by_byte(server):
    with Peer(server.port) as peer:
        peer.send_by_one(storage_rq())
        assert peer.receive()[0] == 2
        peer.send_by_one(echo(1) + echo(2) + RELEASE_RQ)
        server.others_are_served()
        assert [peer.status(), peer.status(), peer.receive()] == [0, 0, RELEASE_RP]


@covers(LENGTHS)
def test_a_pdu_cut_by_an_abort_is_not_an_abort(server):
    """The ten bytes belong to the PDV that was announced; what follows is its end by a closed connection."""
    with Peer(server.port) as peer:
        peer.associate()
        peer.send(struct.pack(">BBI", 4, 0, 200) + pdv(ECHO, COMMAND, b"", length=150) + ABORT)
        server.others_are_served()
        peer.finish()
        assert peer.outcome() == CLOSED
