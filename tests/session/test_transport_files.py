"""Datasets that are sent from their files: fragments of every size, and files that are not what they should be."""
from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from dicomserver.archive.checksum import xxh3_64
from dicomserver.session.transport import Abandoned, FileUnusable, SocketInlet
from tests.session.peers import reset

COMMAND = bytes.fromhex("04000000001a" "00000016" "0503" "00000000 04000000 0c000000" "00000008 02000000 0100")
PIECE = 1 << 20         # what is read and sent at once


@pytest.fixture
def file(tmp_path: Path):
    """Makes an open file of some bytes behind a header of 13, and opens it."""
    opened: list[int] = []

    def one(data: bytes) -> int:
        path = tmp_path / str(len(opened))
        path.write_bytes(b"x" * 13 + data)
        opened.append(os.open(path, os.O_RDWR))
        return opened[-1]
    yield one
    for fd in opened:
        os.close(fd)


class Reader:
    """Reads all that the peer gets, on a thread, until the connection ends."""

    def __init__(self, peer: socket.socket) -> None:
        self.received = bytearray()
        self._peer = peer
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while chunk := self._peer.recv(1 << 20):
            self.received += chunk

    def all(self) -> bytes:
        self._thread.join(30)
        return bytes(self.received)


def data_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def sent(pair, file: int, data: bytes, maximum: int, before: bytes = b"") -> bytes:
    """What arrives of a file."""
    ours, peer = pair
    reader = Reader(peer)
    inlet = SocketInlet(1 << 16, ours)
    inlet.send_file(before, 5, file, 13, len(data), xxh3_64(data), maximum)
    ours.shutdown(socket.SHUT_WR)
    received = reader.all()
    assert inlet.sent == len(received)
    return received


def fragments(stream: bytes) -> list[tuple[int, int, bytes]]:
    """(context id, control, data) of each PDU, which has one PDV."""
    found, at = [], 0
    while at < len(stream):
        length = int.from_bytes(stream[at + 2:at + 6], "big")
        assert stream[at:at + 2] == b"\4\0" and int.from_bytes(stream[at + 6:at + 10], "big") == length - 4
        found.append((stream[at + 10], stream[at + 11], stream[at + 12:at + 6 + length]))
        at += 6 + length
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 9, 10, 11, 4096, 70_001])
@pytest.mark.parametrize("maximum", [8, 9, 10, 11, 16, 127, 4096, 16_384, 131_072, 0xFFFFFFFF, 0])
def test_every_length_in_pdus_of_every_length(pair, file, maximum: int, size: int) -> None:
    data = data_of(size if maximum > 16 else min(size, 4096))
    found = fragments(sent(pair, file(data), data, maximum))
    room = (maximum - 6) & ~1 if maximum else len(data)
    assert b"".join(fragment for _, _, fragment in found) == data
    assert {context_id for context_id, _, _ in found} == {5}
    assert [control for _, control, _ in found] == [0] * (len(found) - 1) + [2]
    assert {len(fragment) for _, _, fragment in found[:-1]} <= {room} and len(found[-1][2]) <= room


@pytest.mark.parametrize("maximum", [4096, 16_384, 1 << 19, 1 << 20, 0])
@pytest.mark.parametrize("size", [PIECE - 13, PIECE - 12, PIECE - 11, PIECE, PIECE + 1, 3 * PIECE + 5])
def test_around_what_is_read_at_once(pair, file, size: int, maximum: int) -> None:
    data = data_of(size)
    stream = sent(pair, file(data), data, maximum, COMMAND)
    assert stream.startswith(COMMAND)
    found = fragments(stream[len(COMMAND):])
    assert b"".join(fragment for _, _, fragment in found) == data
    assert [control for _, control, _ in found] == [0] * (len(found) - 1) + [2]


@pytest.mark.parametrize("maximum", [1, 7])
def test_no_room_for_a_fragment(pair, file, maximum: int) -> None:
    with pytest.raises(ValueError):
        SocketInlet(100, pair[0]).send_file(b"", 1, file(b"ab"), 13, 2, 0, maximum)


def test_what_no_caller_may_ask_for(pair, file) -> None:
    inlet = SocketInlet(100, pair[0])
    with pytest.raises(ValueError):
        inlet.send_file(b"", 1, file(b""), 13, 0, 0, 0)
    with pytest.raises(ValueError):
        inlet.send_file(bytes(PIECE), 1, file(b"ab"), 13, 2, 0, 0)


# The file, its length as it should be; whether anything of it was sent before it came out.
FAULTS = {"small, changed": (1000, "changed", False), "large, changed": (3 * PIECE, "changed", True),
          "small, too short": (1000, "too soon", False), "large, too short": (3 * PIECE, "too soon", True),
          "unreadable": (1000, "cannot be read", False)}


@pytest.mark.parametrize("size, why, is_begun", FAULTS.values(), ids=list(FAULTS))
def test_a_file_that_is_not_what_it_should_be(pair, file, size: int, why: str, is_begun: bool) -> None:
    ours, peer = pair
    reader = Reader(peer)
    data = data_of(size)
    fd = file(data[:-1] if why == "too soon" else data)
    if why == "cannot be read":
        fd = os.open("/", os.O_RDONLY)
    inlet = SocketInlet(100, ours)
    with pytest.raises(FileUnusable, match=why) as raised:
        inlet.send_file(COMMAND, 5, fd, 13, size, xxh3_64(data) ^ (why == "changed"), 16_384)
    assert raised.value.is_begun is is_begun
    if why == "cannot be read":
        os.close(fd)
    inlet.send(b"what comes then")
    ours.shutdown(socket.SHUT_WR)
    received = reader.all().removesuffix(b"what comes then")
    assert bool(received) is is_begun
    if is_begun:
        assert 2 not in [control for _, control, _ in fragments(received[len(COMMAND):])], "it was sent to its end"


def test_cut_while_it_is_sent(pair, file) -> None:
    ours, peer = pair
    # Small beside the file, but not below a segment of the loopback: the window would be probed 200 ms at a time.
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE // 4)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE // 4)
    data = data_of(16 * PIECE)
    fd = file(data)
    outcome: list[Exception] = []

    def send() -> None:
        try:
            SocketInlet(100, ours).send_file(b"", 5, fd, 13, len(data), xxh3_64(data), 0)
        except FileUnusable as error:
            outcome.append(error)
        ours.shutdown(socket.SHUT_WR)
    thread = threading.Thread(target=send)
    thread.start()
    assert peer.recv(1)
    os.ftruncate(fd, 1000)
    Reader(peer).all()
    thread.join(30)
    assert [str(error) for error in outcome] == ["it ends too soon"] and outcome[0].is_begun


def test_the_write_deadline(pair, file) -> None:
    data = data_of(32 * PIECE)
    with pytest.raises(TimeoutError):
        SocketInlet(100, pair[0], write=0.1).send_file(b"", 5, file(data), 13, len(data), xxh3_64(data), 0)


def test_a_broken_connection(pair, file) -> None:
    ours, peer = pair
    reset(peer)
    data = data_of(32 * PIECE)
    with pytest.raises(OSError) as raised:
        SocketInlet(100, ours).send_file(b"", 5, file(data), 13, len(data), xxh3_64(data), 0)
    assert not isinstance(raised.value, TimeoutError | Abandoned)


def test_abandoned_before_the_first_byte(pair, file) -> None:
    inlet = SocketInlet(100, pair[0])
    inlet.abandon()
    with pytest.raises(Abandoned):
        inlet.send_file(b"", 5, file(b"ab"), 13, 2, xxh3_64(b"ab"), 0)
    assert inlet.sent == 0


@pytest.mark.parametrize("from_file", [True, False])
def test_abandoned_while_the_peer_takes_nothing(pair, file, from_file: bool) -> None:
    inlet = SocketInlet(100, pair[0], write=600)
    data = data_of(32 * PIECE)
    fd = file(data)
    outcome: list[Exception] = []

    def send() -> None:
        try:
            inlet.send_file(b"", 5, fd, 13, len(data), xxh3_64(data), 0) if from_file else inlet.send(data)
        except Abandoned as error:
            outcome.append(error)
    thread = threading.Thread(target=send)
    thread.start()
    assert pair[1].recv(1)
    inlet.abandon()
    thread.join(30)
    assert len(outcome) == 1 and inlet.sent < len(data)


def test_a_peer_that_says_no_more_may_still_read(pair, file) -> None:
    """Its FIN looks like what wakes us."""
    ours, peer = pair
    peer.shutdown(socket.SHUT_WR)
    data = data_of(32 * PIECE)
    assert len(sent(pair, file(data), data, 0)) > len(data)
