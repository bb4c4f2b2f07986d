import os
import socket
import struct
import subprocess
import sys
import time

import pytest

from dicomserver.server.settings import LobbySettings

REJECTED = bytes.fromhex("03000000000400020302")
UNRECOGNIZED = bytes.fromhex("07000000000400000201")
UNEXPECTED = bytes.fromhex("07000000000400000202")


def test_a_complete_request_is_handed_over_with_what_follows(open_lobby, tools):
    lobby = open_lobby()
    peer = lobby.connect()
    peer.sendall(tools.associate_rq() + b"more")
    request = lobby.next_request()
    assert request.pdu == tools.associate_rq()
    assert request.rest == b"more"
    assert request.peer == peer.getsockname()
    assert request.socket.gettimeout() is None
    assert request.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert request.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    request.socket.sendall(b"yours now")
    assert peer.recv(100) == b"yours now"


def test_a_request_byte_by_byte(open_lobby, tools):
    lobby = open_lobby()
    peer = lobby.connect()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in tools.associate_rq(68):
        peer.sendall(bytes((byte,)))
    assert lobby.next_request().pdu == tools.associate_rq(68)


@pytest.mark.parametrize("length", [68, 65530, 65531, 256 << 10])
def test_lengths_that_are_taken(open_lobby, tools, length):
    lobby = open_lobby()
    lobby.connect().sendall(tools.associate_rq(length))
    request = lobby.next_request()
    assert request.pdu == tools.associate_rq(length)
    assert request.rest == b""


@pytest.mark.parametrize("length", [0, 67, (256 << 10) + 1, 0xFFFFFFFF])
def test_lengths_that_are_refused_at_once(open_lobby, tools, length):
    lobby = open_lobby()
    peer = lobby.connect()
    peer.sendall(struct.pack(">BBI", 1, 0, length) + bytes(60))
    assert tools.read_to_end(peer) == UNRECOGNIZED
    assert lobby.requests == []


def test_http_on_the_port(open_lobby, tools):
    lobby = open_lobby()
    peer = lobby.connect()
    peer.sendall(b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n" + bytes(50_000))
    assert tools.read_to_end(peer) == UNRECOGNIZED


@pytest.mark.parametrize("pdu_type", [0, 8, 0x16, 0xFF])
def test_unknown_pdu_types(open_lobby, tools, pdu_type):
    peer = open_lobby().connect()
    peer.sendall(bytes((pdu_type,)))
    assert tools.read_to_end(peer) == UNRECOGNIZED


@pytest.mark.parametrize("pdu_type", [2, 3, 4, 5, 6])
def test_other_pdus_before_the_request(open_lobby, tools, pdu_type):
    peer = open_lobby().connect()
    peer.sendall(struct.pack(">BBI", pdu_type, 0, 4) + bytes(4))
    assert tools.read_to_end(peer) == UNEXPECTED


def test_an_abort_as_first_pdu_is_not_answered(open_lobby, tools):
    peer = open_lobby().connect()
    peer.sendall(bytes.fromhex("07000000000400000000"))
    try:
        assert tools.read_to_end(peer) == b""
    except ConnectionResetError:
        pass    # it was closed with a byte unread: as silent


def test_artim_counts_from_accept_however_busy_the_peer_trickles(open_lobby, tools):
    lobby = open_lobby(artim_seconds=0.4)
    mute, trickling = lobby.connect(), lobby.connect()
    begin = time.monotonic()
    trickling.settimeout(0.05)
    closed = False
    for byte in tools.associate_rq():
        try:
            trickling.sendall(bytes((byte,)))
            closed = trickling.recv(10) == b""
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            closed = True
        if closed:
            break
    assert closed and time.monotonic() - begin >= 0.35
    assert tools.read_to_end(mute) == b""
    assert lobby.requests == [] and lobby.lobby.waiting == 0


def test_over_the_limit_the_request_is_refused_in_the_standards_words(open_lobby, tools):
    lobby = open_lobby(patience_seconds=0.05)
    lobby.full = True
    peer = lobby.connect()
    peer.sendall(tools.associate_rq() + b"unread bytes that would turn the close into a reset")
    assert tools.read_to_end(peer) == REJECTED
    snapshot = lobby.statistics.snapshot()
    assert (snapshot["connectionsTotal"], snapshot["connectionsRejected"], snapshot["associationsTotal"]) == (1, 1, 0)


def test_a_request_waits_for_an_association_that_is_just_ending(open_lobby, tools):
    lobby = open_lobby(patience_seconds=20)
    lobby.full = True
    peers = [lobby.connect() for _ in range(2)]
    for peer in peers:
        peer.sendall(tools.associate_rq())
    tools.wait_until(lambda: len(lobby.lobby._asking) == 2)
    lobby.full = False
    lobby.lobby.association_free()
    tools.wait_until(lambda: len(lobby.requests) == 2)
    assert {request.peer for request in lobby.requests} == {peer.getsockname() for peer in peers}


def test_an_association_that_ends_just_after_the_no_is_not_missed(open_lobby, tools):
    lobby = open_lobby(patience_seconds=600)
    answers = iter((False, True))

    def admit() -> bool:
        answer = next(answers)
        if not answer:
            lobby.lobby.association_free()      # in the moment behind the look at the places
        return answer

    lobby.admit = admit
    peer = lobby.connect()
    peer.sendall(tools.associate_rq())
    assert lobby.next_request().peer == peer.getsockname()


def test_nobody_is_refused_whose_place_is_free(open_lobby, tools):
    lobby = open_lobby(patience_seconds=0.05)
    answers = iter((False, True))
    lobby.admit = lambda: next(answers)
    peer = lobby.connect()
    peer.sendall(tools.associate_rq())
    assert lobby.next_request().peer == peer.getsockname()


def test_nobody_attends_until_whoever_got_a_request_has_left(open_lobby, tools):
    lobby = open_lobby()
    lobby.busy.set()
    first = lobby.connect()
    first.sendall(tools.associate_rq())
    assert lobby.next_request().peer == first.getsockname()
    second = lobby.connect()
    second.sendall(tools.associate_rq())
    assert not lobby.arrived.wait(0.05)
    lobby.busy.clear()
    lobby.lobby.leave()
    assert lobby.next_request().peer == second.getsockname()


def test_three_hundred_mute_connections_and_the_next_good_peer(open_lobby, tools):
    lobby = open_lobby(capacity_per_host=64)
    mute = [lobby.connect() for _ in range(300)]
    good = lobby.connect()
    good.sendall(tools.associate_rq())
    assert lobby.next_request().peer == good.getsockname()
    assert all(tools.read_to_end(peer) == REJECTED for peer in mute[:236])
    tools.wait_until(lambda: lobby.lobby.waiting <= 64)
    for peer in mute[237:]:
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)


def test_one_host_at_its_cap_costs_other_hosts_nothing(open_lobby, tools):
    lobby = open_lobby("", capacity=6, capacity_per_host=4)
    others = [lobby.connect("::1") for _ in range(2)]
    ours = [lobby.connect("127.0.0.1") for _ in range(5)]
    assert tools.read_to_end(ours[0]) == REJECTED
    others[0].sendall(tools.associate_rq())
    assert lobby.next_request().peer[0] == "::1"


def test_at_the_cap_of_all_hosts_the_oldest_makes_room(open_lobby, tools):
    lobby = open_lobby("", capacity=6, capacity_per_host=4)
    ours = [lobby.connect("127.0.0.1") for _ in range(4)]
    others = [lobby.connect("::1") for _ in range(3)]
    assert tools.read_to_end(ours[0]) == REJECTED
    for peer in (ours[1], others[2]):
        peer.sendall(tools.associate_rq())
        assert lobby.next_request().peer[:2] == peer.getsockname()[:2]


def test_ipv4_peers_of_a_dual_stack_door_have_their_plain_address(open_lobby, tools):
    lobby = open_lobby("")
    lobby.connect("127.0.0.1").sendall(tools.associate_rq())
    assert lobby.next_request().peer[0] == "127.0.0.1"


def test_a_refused_peer_that_does_not_leave_is_closed_after_the_linger(open_lobby):
    lobby = open_lobby(linger_seconds=0.1)
    peer = lobby.connect()
    peer.sendall(b"G")
    assert peer.recv(100) == UNRECOGNIZED
    assert peer.recv(100) == b""
    with pytest.raises(OSError):
        for _ in range(1000):
            peer.sendall(b"still here")
            time.sleep(0.005)


def test_peers_that_close_or_reset_leave_nothing(open_lobby, tools):
    lobby = open_lobby()
    descriptors = len(os.listdir("/proc/self/fd"))
    for reset in (False, True) * 100:
        peer = lobby.connect()
        peer.sendall(tools.associate_rq()[:50])
        if reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    tools.wait_until(lambda: lobby.lobby.waiting == 0
                     and lobby.statistics.snapshot()["connectionsRejected"] == 200)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert lobby.lobby._hosts == {}


def test_settings_change_while_it_runs(open_lobby, tools):
    lobby = open_lobby()
    mute = lobby.connect()
    tools.wait_until(lambda: lobby.lobby.waiting == 1)
    lobby.lobby.configure(LobbySettings(artim_seconds=0.05))
    lobby.connect().close()     # it looks at the clock when something happens
    assert tools.read_to_end(mute) == b""


def test_stop_closes_the_doors_and_everyone_inside(open_lobby, tools):
    lobby = open_lobby()
    peer = lobby.connect()
    tools.wait_until(lambda: lobby.lobby.waiting == 1)
    lobby.lobby.stop()
    assert tools.read_to_end(peer) == b""
    with pytest.raises(ConnectionRefusedError):
        lobby.connect()
    lobby.lobby.association_free()      # an association may end later than the lobby


OUT_OF_DESCRIPTORS = """
import logging, resource, socket, sys, threading, time
from dicomserver.server import doors
from dicomserver.server.lobby import Lobby
from dicomserver.server.settings import LobbySettings
from dicomserver.server.statistics import Statistics

logging.basicConfig(stream=sys.stderr)
arrived = threading.Event()
entrance = doors.bind("127.0.0.1", 0)
kept = []


def attend():
    while (request := lobby.next_request()) is not None:
        lobby.leave()
        kept.append(request)
        arrived.set()


lobby = Lobby(entrance, lambda: True, LobbySettings(), Statistics(), logging.getLogger("lobby"))
doors.listen(entrance)
threading.Thread(target=attend).start()
port = entrance[0].getsockname()[1]
if sys.argv[1] == "guest":
    peer = socket.create_connection(("127.0.0.1", port))
    while not lobby.waiting:
        time.sleep(0.001)
others = [socket.socket() for _ in range(5)]
limit = others[-1].fileno() + 2
hoard = []
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    while True:
        hoard.append(socket.socket())
except OSError:
    pass
before = time.process_time()
for other in others:
    other.connect(("127.0.0.1", port))
time.sleep(0.5)
spent = time.process_time() - before
for s in hoard:
    s.close()
others[-1].sendall(bytes.fromhex("010000000044") + bytes(68))
ok = arrived.wait(10)
lobby.stop()
print("served" if ok else "not served", "idle" if spent < 0.2 else f"spinning {spent}")
"""


@pytest.mark.parametrize("inside, says", [("nobody", "no descriptors left"), ("guest", "the oldest")])
def test_running_out_of_descriptors_is_survived_without_spinning(inside, says):
    done = subprocess.run([sys.executable, "-c", OUT_OF_DESCRIPTORS, inside], capture_output=True, text=True,
                          timeout=60)
    assert done.stdout == "served idle\n", done.stderr
    assert says in done.stderr
    assert done.stderr.count("no descriptors left") <= 1
