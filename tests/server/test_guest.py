import socket
import struct

import pytest

from dicomserver.server.guest import Guest, Verdict

LONGEST = 1000


@pytest.fixture
def guest():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Guest(ours, ("::ffff:10.0.0.7", 4711), 0.0)


def take(guest: Guest, data: bytes) -> Verdict:
    return guest.take(memoryview(data), LONGEST)


def request(length: int) -> bytes:
    return struct.pack(">BBI", 1, 0, length) + bytes(length)


@pytest.mark.parametrize("length", [68, 500, LONGEST])
@pytest.mark.parametrize("behind", [b"", b"behind"])
def test_a_request_whole(guest, length, behind):
    assert take(guest, request(length) + behind) is Verdict.COMPLETE
    assert guest.request() == (request(length), behind)


def test_a_request_byte_by_byte_never_asks_for_more_than_it_needs(guest):
    whole = request(68)
    for at, byte in enumerate(whole[:-1]):
        assert guest.wanted(65536) == (65536 if at < 6 else len(whole) - at)
        assert take(guest, bytes((byte,))) is Verdict.INCOMPLETE
    assert take(guest, whole[-1:]) is Verdict.COMPLETE
    assert guest.request() == (whole, b"")


@pytest.mark.parametrize("length", [0, 67, LONGEST + 1, 0xFFFFFFFF])
def test_a_length_is_judged_before_anything_of_it_comes(guest, length):
    assert take(guest, struct.pack(">BBI", 1, 0, length)) is Verdict.REFUSED
    assert guest.reason == 1 and str(length) in guest.complaint


@pytest.mark.parametrize("first, verdict, reason", [
    (0, Verdict.REFUSED, 1), (2, Verdict.REFUSED, 2), (4, Verdict.REFUSED, 2), (6, Verdict.REFUSED, 2),
    (7, Verdict.ABORTED, 0), (8, Verdict.REFUSED, 1), (0x47, Verdict.REFUSED, 1), (255, Verdict.REFUSED, 1)])
def test_the_first_byte_is_enough_to_know(guest, first, verdict, reason):
    assert take(guest, bytes((first,))) is verdict
    assert guest.reason == reason


def test_people_know_ipv4_peers_by_their_plain_address(guest):
    assert (guest.host, guest.port) == ("10.0.0.7", 4711)


def test_ipv6_peers_keep_theirs():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Guest(ours, ("fe80::1%eth0", 1, 0, 2), 0.0).host == "fe80::1%eth0"
