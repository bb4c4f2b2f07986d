"""The receive buffer in memory: what the codecs' tests stand on."""
from __future__ import annotations

import pytest

from dicomserver.wire import stream
from dicomserver.wire.inlet import BytesInlet, Inlet


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
