"""What a peer sends while its request is being answered: a cancel, in time or not, or what it must not."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.standard.statuses import CANCEL, DUPLICATE_INVOCATION, PENDING, SUCCESS
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.commands import C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ, NO_DATA_SET, response_to
from dicomserver.wire.pdu import decode_pdu
from tests.interop.sender import command_set, data_tf
from tests.session.peers import RELEASE_RP, RELEASE_RQ, abort
from tests.session.test_acceptor import CT, ECHO, RESPONSE, STORE, VERIFICATION, Served
from tests.wire.test_pdata import split
from tests.wire.test_stream import pdu, pdv


def cancel(message: int) -> bytes:
    return encode_command(CommandSet(command_field=C_CANCEL_RQ, message_id_being_responded_to=message,
                                     command_data_set_type=NO_DATA_SET))


class Long:
    """Answers a C-ECHO when so many bytes have come, or the peer has cancelled it."""

    def __init__(self, until: int) -> None:
        self.until = until

    def __call__(self, acceptor: AssociationAcceptor, context, request: CommandSet) -> int:
        acceptor.respond(context, response_to(request, PENDING))
        cancelled = False
        while not cancelled and acceptor.inlet.received < self.until:
            cancelled = acceptor.cancelled(request)
            time.sleep(0.001)
        status = CANCEL if cancelled or acceptor.cancelled(request) else SUCCESS
        acceptor.respond(context, response_to(request, status))
        return status


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], Served]]:
    """Sends a C-ECHO-RQ with that behind it; its answer waits until all of that has come."""
    made: list[Served] = []

    def one(sent: bytes) -> Served:
        made.append(Served({C_ECHO_RQ: Long(len(sent))}).accepted())
        made[0].peer.sendall(sent)
        return made[0]

    yield one
    for served in made:
        served.end()


def wait_for_answers(served: Served, count: int = 1) -> None:
    while len(served.answered) < count:
        assert served.thread.is_alive()
        time.sleep(0.001)


def statuses(received: bytes) -> list[int]:
    """Of the responses before whatever ended the association."""
    return [decode_command(decode_pdu(octets).pdvs[0].data).status for octets in split(received) if octets[0] == 4]


IN_TIME = {
    "nothing": (data_tf(1, 3, ECHO), [SUCCESS]),
    "a cancel": (data_tf(1, 3, ECHO) + data_tf(1, 3, cancel(1)), [CANCEL]),
    "a cancel in fragments": (
        data_tf(1, 3, ECHO) + data_tf(1, 1, cancel(1)[:20]) + data_tf(1, 3, cancel(1)[20:]), [CANCEL]),
    "a cancel in the same PDU": (pdu(pdv(1, 3, ECHO), pdv(1, 3, cancel(1))), [CANCEL]),
    "a cancel by another context": (data_tf(1, 3, ECHO) + data_tf(3, 3, cancel(1)), [CANCEL]),
    "a cancel of another": (data_tf(1, 3, ECHO) + data_tf(1, 3, cancel(2)), [SUCCESS]),
    "a cancel of another and then of this": (
        data_tf(1, 3, ECHO) + data_tf(1, 3, cancel(2)) + data_tf(1, 3, cancel(1)), [CANCEL]),
    "the same request again": (data_tf(1, 3, ECHO) * 2, [DUPLICATE_INVOCATION, SUCCESS]),
    "another request of its id, with a dataset": (
        data_tf(1, 3, ECHO) + data_tf(3, 3, STORE) + data_tf(3, 2, b"data"), [DUPLICATE_INVOCATION, SUCCESS]),
}


@pytest.mark.parametrize("sent, answered", IN_TIME.values(), ids=list(IN_TIME))
def test_in_time(sent: bytes, answered: list[int], serve) -> None:
    served = serve(sent)
    wait_for_answers(served)
    received = served.says(RELEASE_RQ)
    assert statuses(received) == [PENDING, *answered]
    assert received.endswith(RELEASE_RP)
    assert served.answered == [(C_ECHO_RQ, answered[-1])]


def test_no_end_of_messages_holds_an_answer_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes so long, and no longer; the next ones go on."""
    monkeypatch.setattr("dicomserver.session.acceptor.LONGEST_LOOK", 0.0)
    sent, looks = threading.Event(), []

    def look(acceptor: AssociationAcceptor, context, request: CommandSet) -> int:
        assert sent.wait(10)
        while not looks or not looks[-1]:
            looks.append(acceptor.cancelled(request))
        acceptor.respond(context, response_to(request, CANCEL))
        return CANCEL

    served = Served({C_ECHO_RQ: look}).accepted()
    served.peer.sendall(data_tf(1, 3, ECHO) + data_tf(1, 3, cancel(2)) * 2 + data_tf(1, 3, cancel(1)))
    sent.set()
    assert statuses(served.says(RELEASE_RQ)) == [CANCEL]
    served.end()
    assert looks == [False, False, True]


def test_a_cancel_that_comes_too_late_is_ignored(serve) -> None:
    served = serve(data_tf(1, 3, ECHO))
    wait_for_answers(served)
    served.peer.sendall(data_tf(1, 3, cancel(1)) + data_tf(1, 3, ECHO))
    wait_for_answers(served, 2)
    assert statuses(served.says(RELEASE_RQ)) == [PENDING, SUCCESS, PENDING, SUCCESS]


@pytest.mark.parametrize("cut", [1, 6, 12, len(data_tf(1, 3, cancel(1))) - 1])
def test_half_a_cancel_keeps_nobody_waiting(cut: int, serve) -> None:
    half = data_tf(1, 3, cancel(1))
    served = serve(data_tf(1, 3, ECHO) + half[:cut])
    wait_for_answers(served)
    assert served.answered == [(C_ECHO_RQ, SUCCESS)]
    assert served.says(half[cut:] + RELEASE_RQ).endswith(RELEASE_RP)


# what comes behind the request, and what we send last
BREAKS = {
    "another request": (data_tf(1, 3, command_set(VERIFICATION, C_ECHO_RQ, 2, NO_DATA_SET)), abort(0, 0)),
    "a response": (data_tf(1, 3, RESPONSE), abort(0, 0)),
    "a malformed command": (data_tf(1, 3, b"\0\0\0"), abort(2, 6)),
    "a context that was not accepted": (data_tf(5, 3, cancel(1)), abort(2, 6)),
    "a dataset that was not announced": (data_tf(1, 2, b"data"), abort(2, 6)),
    "another request of its id, cut off": (
        data_tf(3, 3, command_set(CT, C_STORE_RQ, 1, 1, "1.2.3")) + data_tf(3, 0, b"da") + abort(0, 0), b""),
    "a command within the dataset of another": (
        data_tf(3, 3, STORE) + data_tf(3, 0, b"da") + data_tf(3, 3, STORE), abort(2, 6)),
    "a release": (RELEASE_RQ, RELEASE_RP),
    "an abort": (abort(0, 0), b""),
    "no PDU": (b"\x08\0\0\0\0\0", abort(2, 1)),
}


@pytest.mark.parametrize("sent, last", BREAKS.values(), ids=list(BREAKS))
def test_what_ends_the_association(sent: bytes, last: bytes, serve) -> None:
    served = serve(data_tf(1, 3, ECHO) + sent)
    received = served.says(b"")
    answer, last_of_all = received[:len(received) - len(last)], received[len(received) - len(last):]
    assert (statuses(answer), last_of_all) == ([PENDING], last)
    served.end()
    assert (served.answered, served.failure) == ([], None)
