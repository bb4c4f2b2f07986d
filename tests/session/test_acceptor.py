"""The acceptor over real connections: what peers send, how it ends, what they get, what is logged."""
from __future__ import annotations

import gc
import logging
import math
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.association import Deadlines, MessageLimits
from dicomserver.session.negotiator import Negotiator
from dicomserver.session.policy import AcceptorPolicy
from dicomserver.wire.command import CommandSet, encode_command
from dicomserver.wire.commands import response_to
from tests.interop.sender import APPLICATION_CONTEXT, associate_rq, command_set, data_tf
from tests.session.peers import RELEASE_RP, RELEASE_RQ, abort, read_to_end, reset, tcp_pair

VERIFICATION, CT, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
CONTEXTS = [(VERIFICATION, [IMPLICIT]), (CT, [IMPLICIT])]
C_ECHO_RQ, C_STORE_RQ, C_CANCEL_RQ, C_ECHO_RSP = 0x0030, 0x0001, 0x0FFF, 0x8030
ECHO = command_set(VERIFICATION, C_ECHO_RQ, 1, 0x0101)
STORE = command_set(CT, C_STORE_RQ, 1, 1, "1.2.3")
RESPONSE, CANCEL = (encode_command(CommandSet(
    command_field=field, message_id_being_responded_to=1, command_data_set_type=0x0101, status=0)) for field in (
        C_ECHO_RSP, C_CANCEL_RQ))


def echo(acceptor: AssociationAcceptor, context, request: CommandSet) -> int:
    acceptor.respond(context, response_to(request, 0))
    return 0


def forgetful(acceptor: AssociationAcceptor, context, request: CommandSet) -> int:
    """Answers without a look at the dataset."""
    return echo(acceptor, context, request)


def careful(acceptor: AssociationAcceptor, context, request: CommandSet) -> int:
    """Reads the dataset first."""
    acceptor.association.stream.drain()
    return echo(acceptor, context, request)


def broken(acceptor: AssociationAcceptor, context, request: CommandSet) -> int:
    raise KeyError("a fault of ours")


def chatty(acceptor: AssociationAcceptor, context, request: CommandSet) -> int:
    """Answers with more than any buffer takes."""
    while True:
        acceptor.respond(context, response_to(request, 0xFF00), bytes(1 << 20))


class Served:
    """One association served on a thread; `ended` is what `run` raised, `answered` what it told."""

    def __init__(self, handlers: dict | None = None, request: bytes = associate_rq(CONTEXTS, "PEER", "US"), *,
                 policy: AcceptorPolicy = AcceptorPolicy("US"), deadlines: Deadlines = Deadlines(),
                 limits: MessageLimits = MessageLimits(), behind: bytes = b"") -> None:
        ours, self.peer = tcp_pair()
        self.answered: list[tuple[int, int]] = []
        self.failure: Exception | None = None
        self.acceptor = AssociationAcceptor(
            ours, request, behind, Negotiator(policy),
            {C_ECHO_RQ: echo, C_STORE_RQ: careful} if handlers is None else handlers,
            deadlines=deadlines, limits=limits, on_answered=lambda *told: self.answered.append(told),
            peer="there", log=logging.getLogger("test.acceptor"))
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def accepted(self) -> Served:
        """Reads the A-ASSOCIATE-AC."""
        header = self._read(6)
        assert header[0] == 2
        self._read(int.from_bytes(header[2:], "big"))
        return self

    def says(self, data: bytes) -> bytes:
        """Sends and closes the sending side; -> everything that comes back."""
        self.peer.sendall(data)
        self.peer.shutdown(socket.SHUT_WR)
        return read_to_end(self.peer)

    def end(self) -> None:
        self.peer.close()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += self.peer.recv(count - len(data))
        return data

    def _run(self) -> None:
        try:
            self.acceptor.run()
        except Exception as failure:
            self.failure = failure


@pytest.fixture
def serve(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Served]]:
    caplog.set_level(logging.DEBUG, "test.acceptor")
    made: list[Served] = []

    def one(*arguments, **settings) -> Served:
        made.append(Served(*arguments, **settings))
        return made[-1]

    yield one
    for served in made:
        served.end()


# what the peer sends once the association stands, what it gets, the level of the log line and a part of it
ENDS = {
    "release": (RELEASE_RQ, RELEASE_RP, "DEBUG", "released"),
    "abort": (abort(2, 6), b"", "WARNING", "aborted by the peer (source 2, reason 6)"),
    "close": (b"", b"", "WARNING", "closed the connection without a release"),
    "an unknown PDU": (b"\x08\0\0\0\0\0", abort(2, 1), "WARNING", "PDU type"),
    "a second request": (associate_rq(CONTEXTS, "PEER", "US"), abort(2, 2), "WARNING", "a PDU of type 1"),
    "an acceptance": (b"\2\0\0\0\0\1\0", abort(2, 2), "WARNING", "a PDU of type 2"),
    "a rejection": (b"\3\0\0\0\0\4\0\1\1\1", abort(2, 2), "WARNING", "a PDU of type 3"),
    "a release response": (RELEASE_RP, abort(2, 2), "WARNING", "a PDU of type 6"),
    "a PDU longer than announced": (data_tf(1, 3, bytes(17000)), abort(2, 6), "WARNING", "P-DATA-TF PDU length"),
    "a context that was not accepted": (data_tf(5, 3, ECHO), abort(2, 6), "WARNING", "presentation context id"),
    "a dataset first": (data_tf(1, 2, b"data"), abort(2, 6), "WARNING", "dataset before command"),
    "a malformed command": (data_tf(1, 3, b"\0\0\0"), abort(2, 6), "WARNING", "aborted by us"),
    "a response that nobody asked for": (
        data_tf(1, 3, RESPONSE), abort(0, 0), "WARNING", "nobody asked for"),
    "release within a dataset": (
        data_tf(3, 3, STORE) + data_tf(3, 0, b"da") + RELEASE_RQ, RELEASE_RP, "DEBUG", "released"),
    "abort within a dataset": (data_tf(3, 3, STORE) + data_tf(3, 0, b"da") + abort(0, 0), b"", "WARNING",
                               "aborted by the peer (source 0, reason 0)"),
    "close within a dataset": (data_tf(3, 3, STORE) + data_tf(3, 0, b"da"), b"", "WARNING", "closed the connection"),
    "an unknown PDU within a dataset": (
        data_tf(3, 3, STORE) + data_tf(3, 0, b"da") + b"\x08\0\0\0\0\0", abort(2, 1), "WARNING", "PDU type"),
    "a cut PDU within a dataset": (
        data_tf(3, 3, STORE) + data_tf(3, 0, b"da") + RELEASE_RQ[:7], b"", "WARNING", "closed the connection"),
    "a command within a dataset": (
        data_tf(3, 3, STORE) + data_tf(3, 0, b"da") + data_tf(3, 3, STORE), abort(2, 6), "WARNING", "interleaved"),
}


@pytest.mark.parametrize("sends, gets, level, told", ENDS.values(), ids=list(ENDS))
def test_how_it_ends(sends: bytes, gets: bytes, level: str, told: str, serve, caplog) -> None:
    served = serve().accepted()
    assert served.says(sends) == gets
    served.end()
    (line,) = caplog.records
    assert (line.levelname, served.failure, served.answered) == (level, None, [])
    assert told in line.getMessage() and line.getMessage().startswith("association of PEER at there: ")


def test_a_reset(serve, caplog) -> None:
    served = serve().accepted()
    reset(served.peer)
    served.end()
    assert "the connection broke" in caplog.messages[0]


# deadlines, what the peer sends, a part of the log line
DEADLINES = {
    "between messages": (Deadlines(idle=0.05), b"", abort(0, 0)),
    "inside a command": (Deadlines(progress=0.05), data_tf(1, 1, ECHO[:5]), abort(0, 0)),
    "inside a dataset": (Deadlines(progress=0.05), data_tf(3, 3, STORE), abort(0, 0)),
    "inside a PDU": (Deadlines(progress=0.05), RELEASE_RQ[:7], abort(0, 0)),
}


@pytest.mark.parametrize("deadlines, sends, gets", DEADLINES.values(), ids=list(DEADLINES))
def test_silence(deadlines: Deadlines, sends: bytes, gets: bytes, serve, caplog) -> None:
    served = serve(deadlines=deadlines).accepted()
    served.peer.sendall(sends)
    assert served.peer.recv(100) == gets
    served.end()
    assert "silent or too slow" in caplog.messages[0]


def test_a_peer_that_takes_no_answer(serve, caplog) -> None:
    served = serve({C_ECHO_RQ: chatty}, deadlines=Deadlines(write=0.05)).accepted()
    served.peer.sendall(data_tf(1, 3, ECHO))
    served.thread.join(10)
    assert "the peer takes no data" in caplog.messages[0]


def test_a_peer_that_takes_too_little(serve, caplog) -> None:
    served = serve({C_ECHO_RQ: chatty}, deadlines=Deadlines(write=0.1, sending_rate=math.inf)).accepted()
    served.peer.sendall(data_tf(1, 3, ECHO))
    taken = 0
    while taken < 100 << 20 and (some := len(served.peer.recv(1 << 16))):
        taken += some
        time.sleep(0.001)
    served.end()
    assert taken < 100 << 20
    assert "takes no data, or too little" in caplog.messages[0]


def test_messages_are_answered_and_counted(serve, caplog) -> None:
    served = serve().accepted()
    answers = served.says(2 * data_tf(1, 3, ECHO) + data_tf(3, 3, STORE) + data_tf(3, 2, b"data") + RELEASE_RQ)
    served.end()
    assert answers.endswith(RELEASE_RP)
    assert served.answered == [(C_ECHO_RQ, 0), (C_ECHO_RQ, 0), (C_STORE_RQ, 0)]
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("INFO", "association of PEER at there: 2 C-ECHO, 1 C-STORE, released")]


@pytest.mark.parametrize("handlers", [{C_ECHO_RQ: echo, C_STORE_RQ: forgetful}, {C_ECHO_RQ: echo}],
                         ids=["a handler that does not read it", "no handler"])
def test_a_dataset_that_nobody_reads_is_passed_over(handlers: dict, serve) -> None:
    served = serve(handlers).accepted()
    answers = served.says(data_tf(3, 3, STORE) + data_tf(3, 0, bytes(9000)) + data_tf(3, 2, bytes(9000))
                          + data_tf(1, 3, ECHO) + RELEASE_RQ)
    served.end()
    assert answers.endswith(RELEASE_RP)
    assert served.answered == [(C_STORE_RQ, 0 if C_STORE_RQ in handlers else 0x0211), (C_ECHO_RQ, 0)]


def test_a_cancel_has_no_response(serve) -> None:
    served = serve().accepted()
    assert served.says(data_tf(1, 3, CANCEL) + RELEASE_RQ) == RELEASE_RP
    assert served.answered == []


def test_a_fault_of_ours_closes_the_connection(serve) -> None:
    served = serve({C_ECHO_RQ: broken}).accepted()
    assert served.says(data_tf(1, 3, ECHO)) == b""
    served.end()
    assert isinstance(served.failure, KeyError)


def test_what_came_behind_the_request_is_not_lost(serve) -> None:
    served = serve(behind=data_tf(1, 3, ECHO)[:9]).accepted()
    assert served.says(data_tf(1, 3, ECHO)[9:] + RELEASE_RQ).endswith(RELEASE_RP)
    assert served.answered == [(C_ECHO_RQ, 0)]


@pytest.mark.parametrize("policy, rejection", [
    (AcceptorPolicy("US", blocked_calling=frozenset({"PEER"})), b"\3\0\0\0\0\4\0\1\1\3"),
    (AcceptorPolicy("OTHER", check_called_ae_title=True), b"\3\0\0\0\0\4\0\1\1\7"),
])
def test_a_rejection(policy: AcceptorPolicy, rejection: bytes, serve, caplog) -> None:
    served = serve(policy=policy)
    assert served.says(b"") == rejection
    served.end()
    assert "rejected" in caplog.messages[0] and caplog.records[0].levelname == "WARNING"


def test_a_malformed_request(serve, caplog) -> None:
    request = associate_rq(CONTEXTS, "PEER", "US").replace(APPLICATION_CONTEXT.encode(), b"\xff" * 21)
    served = serve(request=request)
    assert served.says(b"")[:8] == b"\7\0\0\0\0\4\0\0"
    served.end()
    assert "association of ? at there: aborted by us" in caplog.messages[0]


def test_a_calling_title_with_control_characters_is_escaped_in_the_log(serve, caplog) -> None:
    served = serve(request=associate_rq(CONTEXTS, "A\nB", "US"))
    assert served.says(b"") == b"\3\0\0\0\0\4\0\1\1\3"
    served.end()
    assert "association of A\\nB at there" in caplog.messages[0]


@pytest.mark.parametrize("policy, granted", [
    (AcceptorPolicy("US"), {CT: b"\2\0\3\0\0\0"}), (AcceptorPolicy("OTHER", check_called_ae_title=True), {})])
def test_handlers_can_see_what_was_granted(policy: AcceptorPolicy, granted: dict[str, bytes], serve) -> None:
    served = serve(request=associate_rq(CONTEXTS, "PEER", "US", {CT: b"\2\0", VERIFICATION: b"\1"}), policy=policy)
    served.says(RELEASE_RQ)
    served.end()
    assert served.acceptor.application_information == granted


def test_a_stop_ends_an_idle_association_at_once(serve, caplog) -> None:
    served = serve().accepted()
    served.acceptor.stop(grace_over=False)
    assert read_to_end(served.peer) == abort(0, 0)
    served.end()
    assert caplog.records[0].levelname == "DEBUG" and "the server stops" in caplog.messages[0]


def busy(served: Served) -> None:
    """The peer is inside a message."""
    served.peer.sendall(data_tf(3, 3, STORE) + data_tf(3, 0, b"da"))
    waiting = threading.Event()
    while not served.acceptor.inlet.busy:
        waiting.wait(0.002)


def test_a_stop_lets_a_message_come_to_its_answer(serve) -> None:
    served = serve().accepted()
    busy(served)
    served.acceptor.stop(grace_over=False)
    served.peer.sendall(data_tf(3, 2, b"ta"))
    received = read_to_end(served.peer)
    assert received[0] == 4 and received.endswith(abort(0, 0))
    served.end()
    assert served.answered == [(C_STORE_RQ, 0)]


def test_when_the_grace_is_over_a_message_is_cut_off(serve) -> None:
    served = serve().accepted()
    busy(served)
    served.acceptor.stop(grace_over=True)
    assert read_to_end(served.peer) == abort(0, 0)
    served.end()
    assert served.answered == []


def test_limits_are_those_of_the_settings(serve) -> None:
    served = serve(limits=MessageLimits(command=100)).accepted()
    assert served.says(data_tf(1, 1, bytes(101))) == abort(2, 6)


def acceptor_on(ours: socket.socket, request: bytes) -> AssociationAcceptor:
    return AssociationAcceptor(ours, request, b"", Negotiator(AcceptorPolicy("US")), {C_ECHO_RQ: echo},
                               log=logging.getLogger("test.acceptor"))


def test_to_begin_waits_for_nobody_and_what_is_left_of_the_answer_follows() -> None:
    with socket.socket() as door, socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        door.bind(("127.0.0.1", 0))
        door.listen()
        peer.connect(door.getsockname())
        ours, _ = door.accept()
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                ours.send(b"full")
        acceptor = acceptor_on(ours, associate_rq(CONTEXTS, "PEER", "US"))
        acceptor.begin()
        assert acceptor.inlet.sent == 0
        thread = threading.Thread(target=lambda: (acceptor.serve(), acceptor.close()))
        thread.start()
        peer.sendall(RELEASE_RQ)
        peer.shutdown(socket.SHUT_WR)
        answer = read_to_end(peer).lstrip(b"ful")
        thread.join(10)
    assert not thread.is_alive()
    assert answer[0] == 2 and answer.endswith(RELEASE_RP)


@pytest.mark.parametrize("request_pdu", [
    associate_rq(CONTEXTS, "PEER", "US"), associate_rq(CONTEXTS, "PEER", ".."),
    associate_rq(CONTEXTS, "PEER", "US").replace(APPLICATION_CONTEXT.encode(), b"\xff" * 21),
], ids=["accepted", "rejected", "malformed"])
def test_nothing_of_it_outlives_it(request_pdu: bytes) -> None:
    """Its receive buffer must not wait for the garbage collector."""
    ours, peer = tcp_pair()
    peer.close()
    gc.disable()
    try:
        acceptor = acceptor_on(ours, request_pdu)
        there = weakref.ref(acceptor)
        acceptor.run()
        del acceptor
        assert there() is None
    finally:
        gc.enable()
