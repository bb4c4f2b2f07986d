"""The connection of an association: deadlines, stalled sends, stops from another thread. Over real sockets."""
from __future__ import annotations

import os
import re
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from dicomserver.session.transport import Abandoned, SocketInlet
from dicomserver.wire import stream
from dicomserver.wire.inlet import spare_buffers

RELEASE_RQ = b"\x05\0\0\0\0\4\0\0\0\0"
COMMAND = b"\4\0\0\0\0\7\0\0\0\3\1\3c"


def opened(ours, **deadlines) -> tuple[SocketInlet, stream.PduStream]:
    inlet = SocketInlet(1 << 19, ours, **deadlines)
    source = stream.PduStream(inlet)
    source.accept([1])
    return inlet, source


def test_bytes_received_before_come_first(pair):
    ours, peer = pair
    inlet, source = opened(ours)
    inlet.take(COMMAND[:5])
    peer.sendall(COMMAND[5:] + RELEASE_RQ)
    assert source.next() == (stream.COMMAND, b"c")
    assert source.next() == (stream.PDU, RELEASE_RQ)
    assert inlet.received == len(COMMAND) + len(RELEASE_RQ)


def test_more_bytes_than_the_buffer_holds_are_refused(pair):
    with pytest.raises(ValueError):
        SocketInlet(64, pair[0]).take(b"x" * 65)


def test_closing_gives_the_buffer_back(pair):
    def anonymous() -> int:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10

    inlet = SocketInlet(64 << 20, pair[0])
    inlet.take(bytes(48 << 20))
    full = anonymous()
    inlet.close()
    assert anonymous() < full - (40 << 20)


def test_what_came_after_the_end_is_forgotten_for_good(pair):
    ours, peer = pair
    inlet = SocketInlet(700_000, ours)
    peer.sendall(b"x" * 1000)
    inlet.wait_for_close(0.05)
    inlet.close()
    del inlet
    assert [data for data in spare_buffers() if len(data) == 700_000] == [bytes(700_000)]


def test_a_silent_peer_is_idle_between_messages_and_stuck_inside_one(pair):
    ours, peer = pair
    _, source = opened(ours, idle=0.05, progress=60)
    assert source.next() == (stream.TIMEOUT, None)
    _, source = opened(ours, idle=60, progress=0.05)
    peer.sendall(COMMAND[:-1])
    assert source.next() == (stream.TIMEOUT, None)


def test_a_peer_that_trickles_is_too_slow(pair):
    ours, peer = pair
    _, source = opened(ours, idle=60, progress=0.2, minimum_rate=1000)
    peer.sendall(struct.pack(">BBIIBB", 4, 0, 5000, 4996, 1, 1))
    ended = threading.Event()

    def trickle():
        while not ended.wait(0.02):     # a byte now and then: each is progress, all together are too few
            peer.sendall(b"x")

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        assert source.next() == (stream.TIMEOUT, None)
    finally:
        ended.set()
        thread.join()


def test_a_closed_and_a_broken_connection_are_told_apart(pair):
    ours, peer = pair
    inlet, source = opened(ours)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    assert source.next() == (stream.FAILED, None)
    assert inlet.failure != 0


def test_sending_stops_at_the_write_deadline(pair):
    ours, peer = pair
    inlet, _ = opened(ours, write=0.1)
    with pytest.raises(TimeoutError):
        inlet.send(b"x" * (64 << 20))
    assert 0 < inlet.sent < 64 << 20


RATE = 100_000      # bytes a second
AT_ONCE = 1_000_000


@pytest.fixture
def slow():
    """An inlet's socket, and a peer that takes AT_ONCE as fast as it can and then RATE, a little all the time."""
    ended = threading.Event()

    def take(peer: socket.socket) -> None:
        taken, begin = -AT_ONCE, time.monotonic()
        while not ended.wait(0.005):
            while taken < RATE * (time.monotonic() - begin) and (some := len(peer.recv(1000))):
                taken += some

    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(listening.getsockname())
        ours, _ = listening.accept()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        thread = threading.Thread(target=take, args=[peer])
        thread.start()
        yield ours
        ended.set()
        ours.close()        # or it may wait for more to come
        thread.join()


def in_one(inlet: SocketInlet, data: bytes) -> None:
    inlet.send(data)


def in_many(inlet: SocketInlet, data: bytes) -> None:
    """As responses to a query are: one alone is soon taken."""
    for begin in range(0, len(data), 500):
        inlet.send(data[begin:begin + 500])


@pytest.mark.parametrize("send", [in_one, in_many])
def test_a_peer_that_takes_less_than_the_minimum_is_too_slow(slow, send):
    """However fast it was before."""
    inlet, _ = opened(slow, write=0.5, sending_rate=2 * RATE)
    with pytest.raises(TimeoutError):
        send(inlet, b"x" * (AT_ONCE + 5 * RATE))
    assert inlet.sent > AT_ONCE


@pytest.mark.parametrize("send", [in_one, in_many])
def test_a_peer_that_takes_more_than_the_minimum_gets_all(slow, send):
    inlet, _ = opened(slow, write=1, sending_rate=RATE / 2)
    send(inlet, b"x" * (AT_ONCE + 3 * RATE))
    assert inlet.sent == AT_ONCE + 3 * RATE


def test_sending_without_a_wait_takes_what_there_is_room_for(pair):
    ours, peer = pair
    inlet, _ = opened(ours)
    sent = inlet.send(b"x" * (64 << 20), wait=False)
    assert 0 < sent == inlet.sent < 64 << 20
    assert inlet.send(b"", wait=False) == 0
    assert inlet.send(b"y" * (64 << 20), wait=False) < 64 << 20


def arrived(inlet: SocketInlet) -> bool:
    """Whether something is pending, by the time that it must have arrived."""
    until = time.monotonic() + 10
    while not inlet.pending and time.monotonic() < until:
        time.sleep(0.001)
    return inlet.pending


def received(inlet: SocketInlet, count: int) -> None:
    """Asks until so many bytes are there: none of them may be a whole PDU."""
    while inlet.received < count:
        assert not inlet.pending
    assert not inlet.pending


@pytest.mark.parametrize("cut", [0, 1, 5, 6, len(COMMAND) - 1])
def test_pending_is_a_whole_pdu_and_no_part_of_one(pair, cut):
    ours, peer = pair
    inlet, source = opened(ours)
    peer.sendall(COMMAND[:cut])
    received(inlet, cut)
    peer.sendall(COMMAND[cut:])
    assert arrived(inlet)
    assert source.next() == (stream.COMMAND, b"c")
    assert not inlet.pending


def test_of_two_that_are_pending_one_is_left(pair):
    ours, peer = pair
    inlet, source = opened(ours)
    peer.sendall(COMMAND + RELEASE_RQ)
    assert arrived(inlet)
    assert source.next() == (stream.COMMAND, b"c")
    assert arrived(inlet)
    assert source.next() == (stream.PDU, RELEASE_RQ)
    assert not inlet.pending


def test_what_was_received_before_is_pending(pair):
    inlet, _ = opened(pair[0])
    inlet.take(RELEASE_RQ)
    assert inlet.pending


@pytest.mark.parametrize("sends", [b"", RELEASE_RQ[:7]])
def test_the_end_of_the_connection_is_pending(pair, sends):
    ours, peer = pair
    inlet, source = opened(ours)
    peer.sendall(sends)
    received(inlet, len(sends))
    peer.close()
    assert arrived(inlet)
    assert source.next() == (stream.CLOSED, None)


def test_a_reset_is_pending(pair):
    ours, peer = pair
    inlet, source = opened(ours)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    assert arrived(inlet)


def test_a_stop_is_pending(pair):
    inlet, source = opened(pair[0])
    inlet.stop()
    assert arrived(inlet)
    assert source.next() == (stream.STOPPED, None)


def test_a_pdu_longer_than_the_buffer_is_pending_when_that_is_full(pair):
    ours, peer = pair
    inlet = SocketInlet(4096, ours)
    peer.sendall(struct.pack(">BBI", 4, 0, 1 << 20) + bytes(8192))
    assert arrived(inlet)
    assert inlet.received == 4096


def test_sending_on_a_broken_connection_is_an_error(pair):
    ours, peer = pair
    inlet, _ = opened(ours)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    with pytest.raises(OSError):
        for _ in range(3):
            inlet.send(b"x" * 100_000)


def waiting(source) -> tuple[threading.Thread, list]:
    got: list = []
    thread = threading.Thread(target=lambda: got.append(source.next()))
    thread.start()
    return thread, got


def test_stop_wakes_an_idle_association_and_sending_still_works(pair):
    ours, peer = pair
    inlet, source = opened(ours)
    thread, got = waiting(source)
    inlet.stop()
    thread.join(10)
    assert got == [(stream.STOPPED, None)]
    inlet.send(b"abort")
    assert peer.recv(10) == b"abort"


def test_stop_lets_a_message_come_to_its_end(pair):
    ours, peer = pair
    inlet, source = opened(ours)
    peer.sendall(COMMAND[:-1])
    thread, got = waiting(source)
    while not inlet.busy:
        time.sleep(0.001)
    inlet.stop()
    peer.sendall(COMMAND[-1:])
    thread.join(10)
    assert got == [(stream.COMMAND, b"c")]
    assert source.next() == (stream.STOPPED, None)


def test_abandon_does_not_wait_for_the_message(pair):
    ours, peer = pair
    inlet, source = opened(ours)
    peer.sendall(COMMAND[:-1])
    thread, got = waiting(source)
    while not inlet.busy:
        time.sleep(0.001)
    inlet.abandon()
    thread.join(10)
    assert got == [(stream.STOPPED, None)]


@pytest.mark.parametrize("before", [lambda inlet, peer: inlet.stop(),
                                    lambda inlet, peer: peer.shutdown(socket.SHUT_WR)], ids=["stop", "shutdown"])
def test_abandon_wakes_a_send_that_was_woken_before(pair, before):
    ours, peer = pair
    inlet, _ = opened(ours, write=60)
    failures: list[OSError] = []

    def send():
        try:
            inlet.send(b"x" * (64 << 20))
        except OSError as failure:
            failures.append(failure)

    thread = threading.Thread(target=send)
    thread.start()
    until = time.monotonic() + 10
    sent = -1
    while sent != inlet.sent and time.monotonic() < until:      # until it waits
        sent = inlet.sent
        time.sleep(0.05)
    before(inlet, peer)
    time.sleep(0.05)            # it looks, and waits again
    inlet.abandon()
    thread.join(10)
    is_over = not thread.is_alive()
    peer.close()
    thread.join(10)
    assert is_over and isinstance(failures[0], Abandoned)


def test_what_is_sent_after_the_end_goes_to_nobody_else(pair):
    ours, peer = pair
    inlet, _ = opened(ours)
    number = ours.fileno()
    inlet.close()
    strangers = socket.socketpair()
    is_free = number not in [stranger.fileno() for stranger in strangers]
    if is_free:
        os.dup2(strangers[0].fileno(), number)
    with pytest.raises(OSError):
        inlet.send(b"an answer")
    assert inlet.pending
    if is_free:
        os.close(number)
    for stranger in strangers:
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(100)
    for stranger in strangers:
        stranger.close()


def test_no_connection_is_closed_while_it_is_woken():
    """Its number may be another one's when the system call begins."""
    class Connection:
        closed = threading.Event()
        fileno = staticmethod(lambda: 0)
        close = closed.set

        def shutdown(self, how):
            closer.start()
            self.was_closed = self.closed.wait(0.2)

    connection = Connection()
    inlet = SocketInlet(100, connection)
    closer = threading.Thread(target=inlet.close)
    inlet.stop()
    closer.join()
    assert connection.closed.is_set() and not connection.was_closed


def test_waiting_for_the_peer_to_close_ends_either_way(pair):
    ours, peer = pair
    inlet, _ = opened(ours)
    peer.sendall(b"what nobody reads")
    inlet.wait_for_close(0.05)
    peer.close()
    inlet.wait_for_close(30)
    inlet.close()
    assert ours.fileno() == -1
