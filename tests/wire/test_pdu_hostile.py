"""Hostile and broken PDUs: each is a PduError with the right reason for the A-ABORT, or is taken in its stride."""
from __future__ import annotations

import struct
import tracemalloc

import pytest

from dicomserver.wire.errors import PduError
from dicomserver.wire.pdu import decode_pdu
from dicomserver.wire.pdus import AssociateAC, AssociateRQ, UserIdentityRQ

CONTEXT, ABSTRACT, TRANSFER, USER = 0x20, 0x30, 0x40, 0x50
FIXED = struct.pack(">HH16s16s32x", 1, 0, b"PACS".ljust(16), b"SCANNER".ljust(16))
INVALID, UNEXPECTED, UNRECOGNIZED = 6, 5, 1


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def item(kind: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BxH", kind, len(content) if length is None else length) + content


def context(number: int = 1, *items: bytes) -> bytes:
    return item(CONTEXT, bytes([number, 0, 0, 0]) + b"".join(items))


NAME = item(0x10, b"1.2.840.10008.3.1.1.1")
GOOD = context(1, item(ABSTRACT, b"1.2"), item(TRANSFER, b"1.3"))
LIMIT = item(0x51, struct.pack(">I", 16384))


def rq(*items: bytes) -> bytes:
    return pdu(1, FIXED + b"".join(items))


def ac(*items: bytes) -> bytes:
    return pdu(2, FIXED + b"".join(items))


def with_user(*items: bytes) -> bytes:
    return rq(NAME, GOOD, item(USER, b"".join(items)))


def result(number: int, reason: int, *items: bytes) -> bytes:
    return item(0x21, bytes([number, 0, reason, 0]) + b"".join(items))


HOSTILE = {
    "an unknown type": (pdu(8, b"\0" * 4), UNRECOGNIZED),
    "type 0": (pdu(0, b"\0" * 4), UNRECOGNIZED),
    "an HTTP request": (b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", UNRECOGNIZED),
    "a TLS hello": (bytes.fromhex("160301020001000001fc0303") + b"\0" * 500, UNRECOGNIZED),
    "nothing": (b"", INVALID),
    "RQ with length FFFFFFFF": (b"\1\0\xff\xff\xff\xff" + FIXED, INVALID),
    "RQ of 67 bytes": (pdu(1, FIXED[:67]), INVALID),
    "RQ of 68 bytes": (pdu(1, FIXED), INVALID),
    "no context at all": (rq(NAME, item(USER, LIMIT)), INVALID),
    "a context without abstract syntax": (rq(NAME, context(1, item(TRANSFER, b"1.3"))), INVALID),
    "a context with an empty abstract syntax": (rq(context(1, item(ABSTRACT, b""), item(TRANSFER, b"1.3"))), INVALID),
    "a context with two abstract syntaxes": (
        rq(context(1, item(ABSTRACT, b"1.2"), item(ABSTRACT, b"1.2"), item(TRANSFER, b"1.3"))), INVALID),
    "a context without transfer syntax": (rq(NAME, context(1, item(ABSTRACT, b"1.2"))), INVALID),
    "a context with an empty transfer syntax": (rq(context(1, item(ABSTRACT, b"1.2"), item(TRANSFER, b""))), INVALID),
    "an empty context": (rq(NAME, item(CONTEXT, b"")), INVALID),
    "a context that is only an id": (rq(NAME, item(CONTEXT, b"\1")), INVALID),
    "context id 0": (rq(NAME, context(0, item(ABSTRACT, b"1.2"), item(TRANSFER, b"1.3"))), INVALID),
    "context id even": (rq(NAME, context(2, item(ABSTRACT, b"1.2"), item(TRANSFER, b"1.3"))), INVALID),
    "context id twice": (rq(NAME, GOOD, GOOD), INVALID),
    "an item beyond its PDU": (rq(NAME, GOOD, item(USER, LIMIT, 9)), INVALID),
    "an item of FFFFH bytes": (rq(item(0x10, b"1.2", 0xFFFF), GOOD), INVALID),
    "half an item header": (rq(NAME, GOOD, b"\x50\0\0"), INVALID),
    "a child beyond its parent": (
        rq(NAME, context(1, item(ABSTRACT, b"1.2"), item(TRANSFER, b"1.3", 4)) + b"x"), INVALID),
    "a sub-item beyond user information": (rq(NAME, GOOD, item(USER, item(0x51, b"\0\0\x40\0", 5)) + b"\0"), INVALID),
    "a UID that is not ASCII": (rq(NAME, context(1, item(ABSTRACT, b"1.\xff"), item(TRANSFER, b"1.3"))), INVALID),
    "two application contexts": (rq(NAME, NAME, GOOD), UNEXPECTED),
    "two user informations": (rq(NAME, GOOD, item(USER, LIMIT), item(USER, LIMIT)), UNEXPECTED),
    "a maximum length of 3 bytes": (with_user(item(0x51, b"\0\x40\0")), INVALID),
    "a maximum length of 5 bytes": (with_user(item(0x51, b"\0\0\x40\0\0")), INVALID),
    "an empty maximum length": (with_user(item(0x51, b"")), INVALID),
    "two maximum lengths": (with_user(LIMIT, LIMIT), UNEXPECTED),
    "an operations window of 3 bytes": (with_user(item(0x53, b"\0\1\0")), INVALID),
    "an operations window of 5 bytes": (with_user(item(0x53, b"\0\1\0\1\0")), INVALID),
    "a role's UID length that is too short": (with_user(item(0x54, b"\0\2" + b"1.2" + b"\1\0")), INVALID),
    "a role's UID length that is too long": (with_user(item(0x54, b"\0\4" + b"1.2" + b"\1\0")), INVALID),
    "a role's UID length FFFFH": (with_user(item(0x54, b"\xff\xff" + b"1.2" + b"\1\0")), INVALID),
    "a role without roles": (with_user(item(0x54, b"\0\3" + b"1.2")), INVALID),
    "an extended negotiation's UID length": (with_user(item(0x56, b"\0\4" + b"1.2")), INVALID),
    "a common negotiation's list beyond its item": (
        with_user(item(0x57, b"\0\x031.2" + b"\0\x031.3" + b"\0\x09" + b"\0\x031.4")), INVALID),
    "a related UID beyond its list": (
        with_user(item(0x57, b"\0\x031.2" + b"\0\x031.3" + b"\0\x04" + b"\0\x031.4")), INVALID),
    "an identity field beyond its item": (with_user(item(0x58, b"\1\0" + b"\0\5user" + b"\0\0")), INVALID),
    "an identity without its second field": (with_user(item(0x58, b"\1\0" + b"\0\4user")), INVALID),
    "an identity with a rest": (with_user(item(0x58, b"\1\0" + b"\0\4user" + b"\0\0" + b"x")), INVALID),
    "two identities": (with_user(*[item(0x58, b"\1\0\0\1u\0\0")] * 2), UNEXPECTED),
    "the AC's identity in an RQ": (with_user(item(0x59, b"\0\0")), UNEXPECTED),
    "the RQ's identity in an AC": (ac(NAME, item(USER, item(0x58, b"\1\0\0\1u\0\0"))), UNEXPECTED),
    "AC: accepted without transfer syntax": (ac(NAME, result(1, 0)), INVALID),
    "AC: two transfer syntaxes": (ac(NAME, result(1, 0, item(TRANSFER, b"1.3"), item(TRANSFER, b"1.3"))), INVALID),
    "AC: context id even": (ac(NAME, result(4, 0, item(TRANSFER, b"1.3"))), INVALID),
    "AC: context id twice": (ac(NAME, result(1, 3), result(1, 3)), INVALID),
    "RJ of 3 bytes": (pdu(3, b"\0\1\1"), INVALID),
    "RJ of 5 bytes": (pdu(3, b"\0\1\1\1\0"), INVALID),
    "RELEASE-RQ without its reserved field": (pdu(5, b""), INVALID),
    "ABORT of 8 bytes": (pdu(7, b"\0" * 8), INVALID),
    "empty P-DATA": (pdu(4, b""), INVALID),
    "PDV length 0": (pdu(4, b"\0\0\0\0"), INVALID),
    "PDV length 1": (pdu(4, b"\0\0\0\1\1"), INVALID),
    "PDV length FFFFFFFE": (pdu(4, b"\xff\xff\xff\xfe\1\3ab"), INVALID),
    "PDV beyond its PDU": (pdu(4, b"\0\0\0\5\1\3ab"), INVALID),
    "a second PDV cut": (pdu(4, b"\0\0\0\4\1\3ab\0\0"), INVALID),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_is_refused_with_the_right_reason(name: str) -> None:
    octets, reason = HOSTILE[name]
    with pytest.raises(PduError) as error:
        decode_pdu(octets)
    assert error.value.abort_reason == reason
    assert error.value.field
    assert 0 <= error.value.offset <= len(octets)


def test_what_must_pass_passes() -> None:
    strange = decode_pdu(rq(item(0x11, b"what"), NAME, item(0x77, b""), GOOD,
                            context(9, item(0x99, b"?"), item(TRANSFER, b"1.3 "), item(ABSTRACT, b"1.2\0")),
                            item(USER, item(0x99, b"new") + LIMIT)))
    assert isinstance(strange, AssociateRQ)
    assert [proposal.context_id for proposal in strange.presentation_contexts] == [1, 9]
    assert strange.presentation_contexts[1].abstract_syntax == "1.2"
    assert strange.presentation_contexts[1].transfer_syntaxes == ["1.3"]
    assert strange.user_information.maximum_length == 16384
    assert strange.user_information.unknown == [(0x99, b"new")]


def test_what_negotiation_judges_is_read_as_it_came() -> None:
    octets = bytearray(rq(item(0x10, b"1.2.3"), GOOD))
    octets[6:8] = b"\xff\xfe"
    octets[10:26] = b"../x\0\x01\xff\x80\n;  \0   "
    read = decode_pdu(octets)
    assert read.protocol_version == 0xFFFE
    assert read.called_ae_title == "../x\0\x01\xff\x80\n;"
    assert read.application_context == "1.2.3"
    assert read.user_information.maximum_length is None
    assert decode_pdu(rq(GOOD)).application_context == ""


def test_a_refused_context_of_an_ac_needs_no_transfer_syntax() -> None:
    read = decode_pdu(ac(NAME, result(1, 3), result(3, 4, item(TRANSFER, b""))))
    assert isinstance(read, AssociateAC)
    assert [(each.context_id, each.result, each.transfer_syntax) for each in read.presentation_contexts] == [
        (1, 3, ""), (3, 4, "")]


def test_an_identity_of_unknown_type_and_of_64_kilobytes_is_read() -> None:
    token = b"x" * (0xFFFF - 4 - 6)
    read = decode_pdu(with_user(item(0x58, bytes([99, 1]) + struct.pack(">H", len(token)) + token + b"\0\0")))
    assert read.user_information.user_identity == UserIdentityRQ(99, True, token, b"")


def test_many_items_cost_linear_memory() -> None:
    """100 000 items that mean nothing, and as many sub-items as fit: what is kept is in proportion to what was sent."""
    ignored = rq(NAME, GOOD, item(0x77, b"") * 100_000)
    kept = with_user(item(0x99, b"") * (0xFFFF // 4))
    tracemalloc.start()
    try:
        assert decode_pdu(ignored).presentation_contexts[0].context_id == 1
        assert tracemalloc.get_traced_memory()[1] < 100_000
        tracemalloc.reset_peak()
        assert len(decode_pdu(kept).user_information.unknown) == 0xFFFF // 4
        assert tracemalloc.get_traced_memory()[1] < 100 * len(kept)
    finally:
        tracemalloc.stop()


def test_a_length_that_lies_allocates_nothing() -> None:
    liars = [b"\4\0\xff\xff\xff\xff", b"\1\0\xff\xff\xff\xff", pdu(4, b"\xff\xff\xff\xff\1\3"),
             rq(item(0x10, b"", 0xFFFF))]
    tracemalloc.start()
    try:
        for octets in liars * 3:
            with pytest.raises(PduError):
                decode_pdu(octets)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
