"""Answers that do not fit into the buffers between the peers: cancelled, abandoned, talked over, or never read."""
from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import apsw
import pytest

from tests.hostile.cases import LogLines, covers
from tests.hostile.objects import STUDY, Identity, dataset, explicit, new_identity
from tests.hostile.peer import ABORT, RELEASE_RP, RELEASE_RQ, Peer, echo, storage_rq, store
from tests.hostile.queries import (
    CANCELLED, NOTHING, PATIENT_ID, PENDING, SUCCESS, answers, cancel, find, find_rq, key, level, messages,
)
from tests.hostile.server import Server, wait_until

STREAMED = "universal query, streamed and cancelled"
DEAF = "requester stops reading responses"
CANCEL = "C-CANCEL with a wrong id, or late"
TALK = "messages while a query is open"
INTERRUPTED = "interrupted in the responses"

STUDIES = 450
# Attributes of the study that are long, so that one response is some 12 KB and all of them are some 5 MB: Linux lets
# the buffer of a socket grow to 4 MB.
WORDS = {0x00081080: b"LO", 0x00102000: b"LO", 0x00102110: b"LO", 0x001021B0: b"LT", 0x00102180: b"SH",
         0x00080080: b"LO", 0x00321033: b"LO", 0x00321060: b"LO", 0x00324000: b"LT", 0x00380010: b"LO",
         0x00321032: b"PN", 0x00080050: b"SH"}
UNIVERSAL = level() + b"".join(key(tag, vr) for tag, vr in sorted({PATIENT_ID: b"LO", STUDY: b"UI", **WORDS}.items()))
BUFFER = 4096


def study(identity: Identity) -> bytes:
    """An instance whose study has much to say."""
    return dataset(identity, {tag: (vr, b"word " * 200) for tag, vr in WORDS.items()})


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory):
    """A server with so many studies; it waits a second for a peer that takes nothing."""
    server = Server(tmp_path_factory.mktemp("filled"), verbose=True, writeTimeoutSeconds=1)
    with Peer(server.port) as peer:
        peer.associate(storage_rq())
        for _ in range(STUDIES):
            identity = new_identity()
            peer.send(store(identity.instance, study(identity)))
            assert peer.status() == 0
            server.keep(identity)
        peer.release()
    # As many connections and pages at once as a case will need: what their caches keep is no leak.
    for _ in range(2):
        with ThreadPoolExecutor(8) as pool:     # side by side: none may leave its matches for a second
            list(pool.map(lambda _: ask_for_all(server), range(8)))
    server.wait_until_filed()
    server.take_baseline()
    yield server
    server.stop()


def ask_for_all(server) -> None:
    with asking(server) as peer:
        assert answers(peer) == (studies(server), SUCCESS)
        peer.release()


@pytest.fixture
def server(filled):
    """After the test nothing is left of it."""
    filled.begin_case()
    filled.lines = LogLines()
    filled.lines.expect(number=None)
    yield filled
    filled.check(filled.lines)


def asking(server, message_id: int = 1, buffer: int = BUFFER) -> Peer:
    """A peer with the universal query under way, into whose buffers the server cannot send far ahead."""
    peer = Peer(server.port, receive_buffer=buffer)
    peer.associate(find_rq())
    peer.send(find(UNIVERSAL, message_id))
    return peer


def studies(server) -> int:
    """How many the universal query finds."""
    return len({identity.study for identity in server.kept})


def take(peer: Peer, count: int) -> None:
    """Reads so many matches."""
    coming = messages(peer)
    for _ in range(count):
        response, _ = next(coming)
        assert response.status in PENDING


@covers(STREAMED)
def test_streamed(server):
    """While a peer reads slowly, what is still to come is not in the server's memory."""
    before = server.anonymous_memory()
    with asking(server) as peer:
        take(peer, 1)
        server.others_are_served()
        assert server.anonymous_memory() < before + (2 << 20)
        assert answers(peer) == (studies(server) - 1, SUCCESS)
        peer.release()


@covers(STREAMED)
@pytest.mark.parametrize("after", [0, 1, 20])
def test_cancelled(server, after):
    with asking(server) as peer:
        take(peer, after)
        peer.send(cancel())
        server.others_are_served()
        found, status = answers(peer)
        assert status == CANCELLED and after + found < STUDIES
        peer.send(echo(2), find(NOTHING, 3))
        assert peer.status() == 0
        assert answers(peer, 3) == (0, SUCCESS)
        peer.release()


@covers(STREAMED)
def test_cancelled_thirty_times_in_one_association(server):
    with asking(server) as peer:
        for message in range(1, 31):
            peer.send(cancel(message))
            found, status = answers(peer, message)
            assert status == CANCELLED and found < STUDIES
            peer.send(find(UNIVERSAL, message + 1))
        server.others_are_served()
        assert answers(peer, 31) == (studies(server), SUCCESS)
        peer.release()


@covers(CANCEL)
@pytest.mark.parametrize("wrong", [0, 2, 255, 65535])
def test_a_cancel_of_another_message(server, wrong):
    with asking(server) as peer:
        take(peer, 2)
        peer.send(cancel(wrong))
        server.others_are_served()
        assert answers(peer) == (studies(server) - 2, SUCCESS)
        peer.release()


@covers(CANCEL)
def test_a_cancel_that_comes_late(server):
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send(find(NOTHING))
        assert answers(peer) == (0, SUCCESS)
        peer.send(cancel(), cancel(), echo(2), cancel(2), find(NOTHING, 1))
        server.others_are_served()
        assert peer.status() == 0
        assert answers(peer) == (0, SUCCESS)
        peer.release()


@covers(CANCEL)
def test_thousands_of_cancels(server):
    """Wrong ones, and the right one at last, three times."""
    with asking(server) as peer:
        take(peer, 1)
        peer.send(*(cancel(number) for number in range(2, 3000)), cancel() * 3)
        server.others_are_served()
        _, status = answers(peer)
        assert status == CANCELLED
        peer.send(echo(2))
        assert peer.status() == 0
        peer.release()


@covers(CANCEL)
@pytest.mark.parametrize("context_id", [1, 3])
def test_a_cancel_on_another_context(server, context_id):
    """The id is what counts; or the context does: either ends as a query ends."""
    with asking(server) as peer:
        take(peer, 1)
        peer.send(cancel(context_id=context_id))
        server.others_are_served()
        assert answers(peer)[1] in (CANCELLED, SUCCESS)
        peer.release()


@covers(DEAF)
@pytest.mark.parametrize("read", [0, 1, 10])
def test_stops_reading(server, read):
    """The deadline ends the association, and with it the index's snapshot: what comes later can be checkpointed."""
    with asking(server) as peer:
        take(peer, read)
        server.others_are_served()
        wait_until(lambda: any("takes no data" in line for line in server.log_lines()), "it waits for ever")
        _store_one(server)
        wait_until(lambda: _is_checkpointed(server), "a snapshot of the index is still open")
    server.lines.expect("takes no data", number=None)


def _store_one(server) -> None:
    identity = new_identity()
    with Peer(server.port) as peer:
        peer.associate(storage_rq())
        peer.send(store(identity.instance, dataset(identity)))
        assert peer.status() == 0
        peer.release()
    server.keep(identity)


def _is_checkpointed(server) -> bool:
    """Whether no reader keeps the write-ahead log from being copied to its end."""
    connection = apsw.Connection(str(server.data / "dicom-server.db"))
    try:
        list(connection.execute("SELECT count(*) FROM sqlite_schema"))      # before, it does not know of the log
        frames, copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    finally:
        connection.close()
    return frames == copied >= 0


@covers(DEAF)
def test_many_that_stop_reading(server):
    with contextlib.ExitStack() as peers:
        for _ in range(8):
            take(peers.enter_context(asking(server)), 1)
        server.others_are_served()
        wait_until(lambda: sum("takes no data" in line for line in server.log_lines()) == 8, "some are still there")


@covers(DEAF)
def test_slow_but_reading(server):
    """Each read is a little late, none is too late."""
    with asking(server) as peer:
        for _ in range(3):
            take(peer, 5)
            server.others_are_served()
        peer.send(cancel())
        assert answers(peer)[1] == CANCELLED
        peer.release()


WORDS_OF_THE_PEER = {"A-ABORT": ABORT, "A-ASSOCIATE-RQ": find_rq(), "A-RELEASE-RP": RELEASE_RP,
                     "unknown PDU": b"\x42\0\0\0\0\0", "a PDU of 4 GB": b"\4\0\xff\xff\xff\xff"}
ENDS: dict[str, Callable[[Peer], None]] = {"FIN": Peer.finish, "RST": Peer.reset,
                                           "close": lambda peer: peer.socket.close()}


@covers(INTERRUPTED)
@pytest.mark.parametrize("read", [0, 1, 30])
@pytest.mark.parametrize("end", [*WORDS_OF_THE_PEER, *ENDS])
def test_interrupted(server, end, read):
    with asking(server) as peer:
        take(peer, read)
        server.others_are_served()
        if end in ENDS:
            ENDS[end](peer)
        else:
            peer.send(WORDS_OF_THE_PEER[end])
            drain(peer)


@covers(INTERRUPTED)
@pytest.mark.parametrize("read", [0, 1, 30])
def test_release_in_the_middle(server, read):
    """The peer may not (PS3.8 7.2): all that it waits for comes first, or the association is aborted."""
    with asking(server) as peer:
        take(peer, read)
        peer.send(RELEASE_RQ)
        server.others_are_served()
        assert drain(peer) in (b"\6", b"\7", b"")


def drain(peer: Peer) -> bytes:
    """Reads matches until something else comes; -> the type of that PDU, b"" for the end."""
    while (answer := peer.receive())[:1] == b"\4":
        pass
    return answer[:1]


@covers(INTERRUPTED)
def test_fifty_interrupted_one_after_the_other(server):
    for number in range(50):
        with asking(server) as peer:
            take(peer, number % 3)
            (peer.reset if number % 2 else peer.socket.close)()
    server.others_are_served()


MESSAGES = {"C-ECHO": echo(2), "C-ECHO of the same id": echo(1), "C-FIND": find(NOTHING, 2),
            "C-FIND of the same id": find(NOTHING, 1), "the same C-FIND again": find(UNIVERSAL, 1),
            "half a C-FIND": find(NOTHING, 2)[:40], "C-STORE": store("1.2.3", b"", 2)}


@covers(TALK)
@pytest.mark.parametrize("message", MESSAGES)
def test_another_request_while_one_is_open(server, message):
    """Nobody agreed to more than one at a time: it is served afterwards, refused (0210), or ends the association."""
    with asking(server) as peer:
        take(peer, 1)
        peer.send(MESSAGES[message])
        server.others_are_served()
        statuses = []
        with contextlib.suppress(AssertionError, TypeError):    # an abort is no response
            for response, _ in messages(peer):
                statuses += [response.status] if response.status not in PENDING else []
                if len(statuses) == (1 if message == "half a C-FIND" else 2):
                    break
        assert set(statuses) <= {SUCCESS, CANCELLED, 0x0210, 0xA900, 0xC000, 0x0117}
        server.lines.expect(number=None)


@covers(TALK)
def test_requests_in_a_row(server):
    """A peer that does not wait for answers gets them all, in the order of its requests."""
    with Peer(server.port) as peer:
        peer.associate(find_rq())
        peer.send(*(find(NOTHING, number) + echo(number + 1) for number in range(1, 40, 2)))
        server.others_are_served()
        for number in range(1, 40, 2):
            assert answers(peer, number) == (0, SUCCESS)
            response = peer.response()
            assert (response.message_id_being_responded_to, response.status) == (number + 1, 0)
        peer.release()


@covers(TALK)
def test_others_store_and_ask_meanwhile(server):
    identity = new_identity()
    with asking(server) as slow:
        take(slow, 1)
        with Peer(server.port) as peer:
            peer.associate(find_rq())
            peer.send(store(identity.instance, dataset(identity)))
            assert peer.status() == 0
            server.keep(identity)
            peer.send(find(level() + explicit(STUDY, b"UI", _padded(identity.study)), 2))
            assert answers(peer, 2) == (1, SUCCESS)
            peer.release()
        server.others_are_served()
        assert answers(slow)[1] == SUCCESS
        slow.release()


def _padded(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
