"""Messages as P-DATA: never above the peer's limit, and whole when pynetdicom and we put them together."""
from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given, settings, strategies as st
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu import P_DATA_TF

from dicomserver.wire.command import encode_command
from dicomserver.wire.errors import PduError
from dicomserver.wire.pdata import encode_message
from dicomserver.wire.pdu import decode_pdu
from tests.wire.samples import COMMANDS, INSTANCE


def split(octets: bytes) -> list[bytes]:
    """The PDUs in a row of them."""
    pdus = []
    while octets:
        size = 6 + struct.unpack_from(">I", octets, 2)[0]
        pdus.append(octets[:size])
        octets = octets[size:]
    return pdus


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 255), st.binary(max_size=200), st.none() | st.binary(max_size=3000),
       st.just(0) | st.integers(8, 700))
def test_a_message_is_whole_within_the_limit(
        context_id: int, command: bytes, dataset: bytes | None, limit: int) -> None:
    pdus = split(encode_message(context_id, command, dataset, limit))
    pdvs = [pdv for pdu in pdus for pdv in decode_pdu(pdu).pdvs]
    assert all(len(pdu) - 6 <= limit for pdu in pdus) or limit == 0
    assert {pdv.context_id for pdv in pdvs} == {context_id}
    for bit, content in ((1, command), (0, dataset)):
        fragments = [pdv for pdv in pdvs if pdv.control & 1 == bit]
        if content is None:
            assert fragments == []
            continue
        assert b"".join(fragment.data for fragment in fragments) == content
        assert [fragment.control >> 1 for fragment in fragments] == [0] * (len(fragments) - 1) + [1]
        assert all(len(fragment.data) % 2 == 0 for fragment in fragments[:-1])
        assert all(fragment.data for fragment in fragments) or len(fragments) == 1
    assert [pdv.control & 1 for pdv in pdvs] == sorted((pdv.control & 1 for pdv in pdvs), reverse=True)


def test_no_limit_is_one_pdu_each() -> None:
    assert [len(pdu) for pdu in split(encode_message(1, b"c" * 100, b"d" * 1_000_000, 0))] == [112, 1_000_012]


@pytest.mark.parametrize("limit, sizes", [(8, [2, 2, 1]), (9, [2, 2, 1]), (10, [4, 1]), (11, [4, 1]), (12, [5])])
def test_fragments_are_even(limit: int, sizes: list[int]) -> None:
    assert [len(decode_pdu(pdu).pdvs[0].data) for pdu in split(encode_message(1, b"abcde", None, limit))] == sizes


@pytest.mark.parametrize("limit", [16, 100, 16384, 0])
def test_pynetdicom_puts_the_message_together(limit: int) -> None:
    command = encode_command(COMMANDS["C_STORE_RQ"])
    message = C_STORE_RQ()
    complete = False
    for octets in split(encode_message(3, command, bytearray(b"dataset " * 100), limit)):
        assert not complete
        pdu = P_DATA_TF()
        pdu.decode(octets)
        complete = message.decode_msg(pdu.to_primitive())
    assert complete
    primitive = message.message_to_primitive()
    assert message.context_id == 3
    assert primitive.AffectedSOPInstanceUID == INSTANCE
    assert primitive.DataSet.getvalue() == BytesIO(b"dataset " * 100).getvalue()


@pytest.mark.parametrize("limit", [1, 2, 6, 7, -1, 1 << 32])
def test_a_limit_without_room_is_refused_and_never_a_loop(limit: int) -> None:
    with pytest.raises(PduError):
        encode_message(1, b"abcd", None, limit)


@pytest.mark.parametrize("context_id", [0, 256, -1])
def test_a_context_id_that_no_pdv_can_say(context_id: int) -> None:
    with pytest.raises(PduError):
        encode_message(context_id, b"abcd", None, 0)


def test_the_dataset_is_given_back() -> None:
    dataset = bytearray(b"abcd")
    encode_message(1, b"", memoryview(dataset), 0)
    dataset.clear()         # an exported buffer could not be resized
    with pytest.raises(TypeError):
        encode_message(1, b"", "text", 0)
