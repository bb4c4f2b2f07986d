"""P-DATA-TF PDUs joined to messages: every cut of the byte stream, and every rule of HOSTILE's PDU rows."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings, strategies as st

from dicomserver.wire import stream
from dicomserver.wire.errors import PduError
from dicomserver.wire.inlet import BytesInlet

COMMAND, DATASET, LAST = 1, 0, 2
RELEASE_RQ = b"\x05\0\0\0\0\4\0\0\0\0"


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def pdu(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BBI", 4, 0, len(body)) + body


def open_stream(data: bytes, chunk: int = 1 << 20, **limits) -> stream.PduStream:
    opened = stream.PduStream(BytesInlet(1 << 19, data, chunk), **limits)
    opened.accept([1, 3])
    return opened


def split(data: bytes, context_id: int, kind: int, sizes: list[int]) -> list[bytes]:
    """data as PDVs of these sizes, the rest in the last one."""
    pieces = []
    for size in sizes:
        if size >= len(data):
            break
        pieces.append(pdv(context_id, kind, data[:size]))
        data = data[size:]
    return [*pieces, pdv(context_id, kind | LAST, data)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.binary(min_size=1, max_size=3000), st.lists(st.integers(1, 700), max_size=8),
       st.lists(st.integers(1, 5), max_size=6), st.integers(1, 4000))
def test_a_message_comes_whole_however_it_was_cut(command, dataset, sizes, grouping, chunk):
    pdvs = split(command, 3, COMMAND, sizes[:3]) + split(dataset, 3, DATASET, sizes)
    pdus = []
    while pdvs:
        n = grouping.pop() if grouping else 1
        pdus.append(pdu(*pdvs[:n]))
        pdvs = pdvs[n:]
    opened = open_stream(b"".join(pdus) + RELEASE_RQ, chunk)
    assert opened.next() == (stream.COMMAND, command)
    assert opened.context_id == 3
    opened.expect_dataset()
    assert opened.read_dataset(1 << 20) == dataset
    assert opened.drain() == 0
    assert opened.next() == (stream.PDU, RELEASE_RQ)
    assert opened.next() == (stream.CLOSED, None)


def test_several_messages_may_share_a_pdu():
    opened = open_stream(pdu(pdv(1, COMMAND | LAST, b"c"), pdv(1, DATASET | LAST, b"d"), pdv(3, COMMAND | LAST, b"e")))
    assert not opened.in_pdu
    assert opened.next() == (stream.COMMAND, b"c")
    opened.expect_dataset()
    assert opened.read_dataset(10) == b"d"
    assert opened.in_pdu
    assert opened.next() == (stream.COMMAND, b"e")
    assert not opened.in_pdu


def test_a_dataset_beyond_the_limit_is_read_to_its_end_and_not_kept():
    opened = open_stream(pdu(pdv(1, COMMAND | LAST, b"c")) + pdu(pdv(1, DATASET, b"x" * 100), pdv(1, LAST, b"y"))
                         + pdu(pdv(1, COMMAND | LAST, b"next")))
    opened.next()
    opened.expect_dataset()
    assert opened.read_dataset(100) is None
    assert opened.next() == (stream.COMMAND, b"next")


def test_drain_says_how_much_it_forgot():
    opened = open_stream(pdu(pdv(1, COMMAND | LAST, b"c")) + pdu(pdv(1, DATASET, b"x" * 70000))
                         + pdu(pdv(1, LAST, b"yy")))
    opened.next()
    opened.expect_dataset()
    assert opened.drain() == 70002


SMALL = pdu(pdv(1, COMMAND | LAST, b"cc")) + pdu(pdv(1, DATASET, b"x"), pdv(1, LAST, b"y"))


@pytest.mark.parametrize("cut", range(len(SMALL)))
def test_a_stream_cut_anywhere_ends_as_closed(cut):
    opened = open_stream(SMALL[:cut], 1)
    event, _ = opened.next()
    if event == stream.COMMAND:
        opened.expect_dataset()
        with pytest.raises(stream.StreamEnded) as ended:
            opened.drain()
        event = ended.value.event
    assert event == stream.CLOSED


def test_another_pdu_interrupts_a_dataset():
    abort = b"\x07\0\0\0\0\4\0\0\0\0"
    opened = open_stream(pdu(pdv(1, COMMAND | LAST, b"c")) + pdu(pdv(1, DATASET, b"half")) + abort)
    opened.next()
    opened.expect_dataset()
    with pytest.raises(stream.StreamEnded) as ended:
        opened.drain()
    assert ended.value.event == stream.PDU
    assert opened.next() == (stream.PDU, abort)


BROKEN_RULES = {
    "PDV length 0": (b"\4\0\0\0\0\6" + struct.pack(">IBB", 0, 1, 3), 6),
    "PDV length 1": (b"\4\0\0\0\0\6" + struct.pack(">IBB", 1, 1, 3), 6),
    "PDV length FFFFFFFE": (b"\4\0\0\0\0\6" + struct.pack(">IBB", 0xFFFFFFFE, 1, 3), 6),
    "PDV beyond its PDU": (b"\4\0\0\0\0\7" + struct.pack(">IBB", 4, 1, 3) + b"abc", 6),
    "a rest too short for a PDV": (pdu(pdv(1, COMMAND, b"ab") + b"\0\0\0")[:6] + pdv(1, COMMAND, b"ab") + b"\0\0\0", 6),
    "empty P-DATA-TF": (b"\4\0\0\0\0\0", 6),
    "unknown presentation context": (pdu(pdv(5, COMMAND | LAST, b"c")), 6),
    "context changes": (pdu(pdv(1, COMMAND, b"c"), pdv(3, COMMAND | LAST, b"d")), 6),
    "dataset before command": (pdu(pdv(1, DATASET | LAST, b"d")), 6),
    "dataset within the command": (pdu(pdv(1, COMMAND, b"c"), pdv(1, DATASET, b"d")), 6),
    "unknown PDU type": (b"\x08\0\0\0\0\4\0\0\0\0", 1),
    "an HTTP request": (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", 1),
    "A-RELEASE-RQ of another length": (b"\5\0\0\0\0\5\0\0\0\0\0", 6),
    "A-ASSOCIATE-RQ of length FFFFFFFF": (b"\1\0\xff\xff\xff\xff" + b"\0" * 80, 6),
    "empty fragments without end": (pdu(*[pdv(1, COMMAND, b"")] * 129), 6),
}


@pytest.mark.parametrize("case", BROKEN_RULES)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_a_broken_rule_names_the_abort_reason(case, chunk):
    data, reason = BROKEN_RULES[case]
    with pytest.raises(PduError) as error:
        open_stream(data, chunk).next()
    assert error.value.abort_reason == reason


def test_limits_hold_to_the_byte():
    longest = pdu(pdv(1, COMMAND | LAST, b"c" * 94))
    assert open_stream(longest, maximum_length=100).next()[0] == stream.COMMAND
    with pytest.raises(PduError):
        open_stream(pdu(pdv(1, COMMAND | LAST, b"c" * 95)), maximum_length=100).next()
    assert open_stream(longest, maximum_command=94).next()[0] == stream.COMMAND
    with pytest.raises(PduError):
        open_stream(longest, maximum_command=93).next()
    assert open_stream(pdu(*[pdv(1, COMMAND, b"")] * 127, pdv(1, COMMAND | LAST, b""))).next() == (stream.COMMAND, b"")
    associate = b"\1\0" + struct.pack(">I", 200) + b"\0" * 200
    assert open_stream(associate, maximum_control=200).next() == (stream.PDU, associate)
    with pytest.raises(PduError):
        open_stream(associate, maximum_control=199).next()


def test_a_dataset_that_was_not_announced_is_refused():
    opened = open_stream(pdu(pdv(1, COMMAND | LAST, b"c")) + pdu(pdv(1, DATASET | LAST, b"d")))
    assert opened.next() == (stream.COMMAND, b"c")
    with pytest.raises(PduError):
        opened.next()


def test_an_interleaved_command_is_refused():
    opened = open_stream(pdu(pdv(1, COMMAND | LAST, b"c")) + pdu(pdv(1, DATASET, b"d"), pdv(1, COMMAND | LAST, b"c")))
    opened.next()
    opened.expect_dataset()
    with pytest.raises(PduError):
        opened.drain()
