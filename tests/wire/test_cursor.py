"""The checked cursor, through the decoders that read with it: what its errors say, and its reading of text."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st

from dicomserver.wire.command import decode_command
from dicomserver.wire.errors import CommandError, MetaError, PduError
from dicomserver.wire.part10 import decode_file_meta
from dicomserver.wire.pdu import decode_pdu


@pytest.mark.parametrize("octets, field, offset", [
    (b"", "PDU type", 0),
    (b"\1", "reserved", 1),
    (b"\1\0\0", "PDU length", 2),
    (b"\4\0\0\0\0\6" + b"\0\0\0\5\1\3", "PDV", 10),
    (b"\4\0\0\0\0\7" + b"\0\0\0\3\1\3a"[:7], None, None),
    (b"\4\0\0\0\0\x0c" + b"\0\0\0\2\1\3" + b"\0\0\0\1\1\3", "message control header", 17),
])
def test_an_error_names_the_field_and_its_byte(octets: bytes, field: str | None, offset: int | None) -> None:
    if field is None:
        assert decode_pdu(octets).pdvs[0].data == b"a"
        return
    with pytest.raises(PduError) as error:
        decode_pdu(octets)
    assert (error.value.field, error.value.offset) == (field, offset)
    assert str(error.value).startswith(f"{field}: ") and f"byte {offset}" in str(error.value)


def test_each_decoder_has_its_own_error() -> None:
    for decode, kind in ((decode_pdu, PduError), (decode_command, CommandError), (decode_file_meta, MetaError)):
        with pytest.raises(kind):
            decode(b"\2")


def test_offsets_count_from_the_begin_of_the_buffer_at_any_depth() -> None:
    abstract = b"\x30\0\0\4" + b"1.\xe92"
    context = b"\x20\0" + struct.pack(">H", 4 + len(abstract)) + b"\1\0\0\0" + abstract
    with pytest.raises(PduError) as error:
        decode_pdu(b"\1\0" + struct.pack(">I", 68 + len(context)) + b"\0\1" + b"\0" * 66 + context)
    assert (error.value.field, error.value.offset) == ("abstract syntax name", 74 + 4 + 4 + 4 + 2)


@given(st.binary(max_size=20))
def test_text_loses_its_padding_and_nothing_else(value: bytes) -> None:
    octets = (struct.pack("<HHIH", 0, 0x0100, 2, 0x30) + struct.pack("<HHIH", 0, 0x0110, 2, 1)
              + struct.pack("<HHI", 0, 0x0600, len(value)) + value + struct.pack("<HHIH", 0, 0x0800, 2, 0x0101))
    assert decode_command(octets).move_destination == value.decode("latin-1").rstrip(" \0").lstrip(" ")


@pytest.mark.parametrize("length", [1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 8, (1 << 32) - 1])
def test_a_huge_length_never_wraps(length: int) -> None:
    with pytest.raises(CommandError):
        decode_command(struct.pack("<HHI", 0, 0x0902, length) + b"ab")
    with pytest.raises(PduError):
        decode_pdu(b"\4\0\0\0\0\x08" + struct.pack(">I", length) + b"\1\3ab")
