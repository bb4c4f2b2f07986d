"""The receive buffer in memory: what the codecs' tests stand on."""
from __future__ import annotations

import pytest

from dicomserver.wire import stream
from dicomserver.wire.errors import PduError
from dicomserver.wire.inlet import BytesInlet, Inlet, spare_buffers


def test_a_buffer_has_a_least_size():
    with pytest.raises(ValueError):
        BytesInlet(63, b"")


def test_a_plain_inlet_has_nothing_to_give():
    assert stream.PduStream(Inlet(300_000)).next() == (stream.CLOSED, None)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_all_bytes_come_out_and_are_counted(chunk):
    release = b"\x05\0\0\0\0\4\0\0\0\0"
    inlet = BytesInlet(300_000, release * 3, chunk)
    source = stream.PduStream(inlet)
    assert [source.next() for _ in range(4)] == [(stream.PDU, release)] * 3 + [(stream.CLOSED, None)]
    assert inlet.received == 30


@pytest.mark.parametrize("length", [1, 65_536, 65_537, 300_000])
def test_the_next_inlet_gets_the_buffer_of_one_that_is_gone_and_no_byte_of_what_was_in_it(length):
    capacity = 300_000 + length         # no other test's
    for _ in range(3):
        source = stream.PduStream(BytesInlet(capacity, b"\x04\0\0\0\0\1" + b"\xff" * length))
        with pytest.raises(PduError):
            source.next()
        del source
        left = [data for data in spare_buffers() if len(data) == capacity]
        assert left == [bytes(capacity)]


def test_few_buffers_are_kept():
    inlets = [Inlet(400_000) for _ in range(20)]
    inlets.clear()
    assert 0 < [len(data) for data in spare_buffers()].count(400_000) <= len(spare_buffers()) <= 8
    inlets = [Inlet(400_000) for _ in range(20)]
    assert not [data for data in spare_buffers() if len(data) == 400_000]
    assert len(inlets) == 20
