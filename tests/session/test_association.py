"""Every way in which an association ends that is released by us, on either side of it."""
from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dicomserver.session.association import RECEIVE_BUFFER, Association, AssociationEnded, Ending
from dicomserver.session.machine import StateMachine
from dicomserver.session.negotiation import AcceptedContext
from dicomserver.session.states import Event, State
from dicomserver.session.transport import SocketInlet
from dicomserver.wire.command import CommandSet, encode_command
from dicomserver.wire.commands import C_ECHO_RQ
from tests.interop.sender import command_set, data_tf
from tests.session.peers import RELEASE_RP, RELEASE_RQ, abort, read_to_end, reset, tcp_pair

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
ECHO = command_set(VERIFICATION, 0x0030, 1, 0x0101)
STORE = command_set(VERIFICATION, 0x0001, 1, 1)
REQUESTOR, ACCEPTOR = True, False
WAY_TO_STA6 = {REQUESTOR: (Event.EVT1, Event.EVT2, Event.EVT3), ACCEPTOR: (Event.EVT5, Event.EVT6, Event.EVT7)}


class Standing:
    """An association that stands, and the peer's socket."""

    def __init__(self, requestor: bool, **deadlines: float) -> None:
        ours, self.peer = tcp_pair()
        machine = StateMachine(requestor)
        for event in WAY_TO_STA6[requestor]:
            machine.on(event)
        inlet = SocketInlet(RECEIVE_BUFFER, ours, **deadlines)
        self.association = Association(inlet, machine, 16384)
        self.association.establish({1: AcceptedContext(1, VERIFICATION, IMPLICIT, True, True)}, 16384)

    def close(self) -> None:
        self.association.inlet.close()
        self.peer.close()


@pytest.fixture
def stand() -> Iterator:
    made: list[Standing] = []

    def one(requestor: bool, **deadlines: float) -> Standing:
        made.append(Standing(requestor, **deadlines))
        return made[-1]

    yield one
    for standing in made:
        standing.close()


# who we are, what the peer sends when we ask for the release, how it ends, what we have sent behind the A-RELEASE-RQ
RELEASES = {
    "confirmed": (REQUESTOR, RELEASE_RP, Ending.RELEASED, b""),
    "confirmed to the acceptor": (ACCEPTOR, RELEASE_RP, Ending.RELEASED, b""),
    "collision at the requestor": (REQUESTOR, RELEASE_RQ + RELEASE_RP, Ending.RELEASED, RELEASE_RP),
    "collision at the acceptor": (ACCEPTOR, RELEASE_RQ + RELEASE_RP, Ending.RELEASED, RELEASE_RP),
    "collision, then an abort": (ACCEPTOR, RELEASE_RQ + abort(0, 0), Ending.ABORTED, b""),
    "collision, then rubbish": (ACCEPTOR, RELEASE_RQ + b"\x09\0\0\0\0\0", Ending.VIOLATED, abort(2, 1)),
    "collision, then the same again": (ACCEPTOR, 2 * RELEASE_RQ, Ending.OUT_OF_TURN, abort(2, 2)),
    "collision, then rubbish to the requestor": (
        REQUESTOR, RELEASE_RQ + b"\x09\0\0\0\0\0", Ending.VIOLATED, RELEASE_RP + abort(2, 1)),
    "messages under way are dropped": (
        REQUESTOR, data_tf(1, 3, ECHO) + data_tf(1, 3, STORE) + data_tf(1, 2, b"data") + RELEASE_RP,
        Ending.RELEASED, b""),
    "a message that is cut off by an abort": (
        REQUESTOR, data_tf(1, 3, STORE) + data_tf(1, 0, b"da") + abort(0, 0), Ending.ABORTED, b""),
    "a malformed command": (REQUESTOR, data_tf(1, 3, b"\0\0\0"), Ending.VIOLATED, abort(2, 6)),
    "a wrong context": (REQUESTOR, data_tf(3, 3, ECHO), Ending.VIOLATED, abort(2, 6)),
    "aborted": (REQUESTOR, abort(2, 6), Ending.ABORTED, b""),
    "an answer to nothing": (REQUESTOR, bytes.fromhex("0300000000040001 0101"), Ending.OUT_OF_TURN, abort(2, 2)),
    "silence": (REQUESTOR, b"", Ending.SILENT, abort(0, 0)),
}


@pytest.mark.parametrize("requestor, sends, ending, answered", RELEASES.values(), ids=list(RELEASES))
def test_release(requestor: bool, sends: bytes, ending: Ending, answered: bytes, stand) -> None:
    standing = stand(requestor, idle=10 if sends else 0.05)
    standing.peer.sendall(sends)
    ended = standing.association.release()
    assert ended.ending is ending
    assert ended.orderly == (ending is Ending.RELEASED)
    standing.association.inlet.close()
    assert read_to_end(standing.peer) == RELEASE_RQ + answered


def test_the_peer_closes_instead_of_confirming(stand) -> None:
    standing = stand(REQUESTOR)
    standing.peer.close()
    assert standing.association.release().ending is Ending.CLOSED
    assert standing.association.machine.state is State.STA1


def test_a_connection_that_is_gone_takes_no_release(stand) -> None:
    standing = stand(REQUESTOR)
    reset(standing.peer)
    assert standing.association.release().ending is Ending.CLOSED


def test_a_message_goes_out_and_another_comes_in(stand) -> None:
    standing = stand(REQUESTOR)
    request = CommandSet(affected_sop_class_uid=VERIFICATION, command_field=C_ECHO_RQ, message_id=7,
                         command_data_set_type=0x0101)
    standing.association.send(1, request)
    assert standing.peer.recv(1000) == data_tf(1, 3, encode_command(request))
    standing.peer.sendall(data_tf(1, 3, STORE) + data_tf(1, 2, b"data"))
    context, command = standing.association.next_command()
    assert (context.context_id, command.message_id, command.has_dataset) == (1, 1, True)
    assert standing.association.stream.read_dataset(100) == b"data"


def test_encoded_messages_go_out_as_they_are(stand) -> None:
    standing = stand(ACCEPTOR)
    standing.association.send_encoded(data_tf(1, 3, ECHO) * 2)
    assert standing.peer.recv(1000) == data_tf(1, 3, ECHO) * 2
    assert standing.association.machine.state is State.STA6


def test_encoded_messages_that_nobody_takes(stand) -> None:
    standing = stand(ACCEPTOR, write=0.05)
    with pytest.raises(AssociationEnded) as ended:
        standing.association.send_encoded(bytes(32 << 20))
    assert ended.value.ending is Ending.STALLED
    assert standing.association.machine.state is State.STA1


def test_encoded_messages_to_a_connection_that_is_gone(stand) -> None:
    standing = stand(ACCEPTOR)
    reset(standing.peer)
    with pytest.raises(AssociationEnded) as ended:
        for _ in range(3):
            standing.association.send_encoded(bytes(100_000))
    assert ended.value.ending is Ending.CLOSED


def test_a_send_that_nobody_takes(stand) -> None:
    standing = stand(REQUESTOR, write=0.05)
    standing.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with pytest.raises(AssociationEnded) as ended:
        standing.association.send(1, CommandSet(command_field=C_ECHO_RQ, command_data_set_type=1), bytes(32 << 20))
    assert ended.value.ending is Ending.STALLED
    assert standing.association.machine.state is State.STA1


def test_after_an_abort_the_peer_has_a_moment_to_read_it(stand) -> None:
    standing = stand(ACCEPTOR)
    standing.peer.sendall(bytes(1000))      # unread bytes would turn our close into a reset
    assert standing.association.abort("a reason of ours").ending is Ending.GIVEN_UP
    standing.peer.shutdown(socket.SHUT_WR)
    standing.association.close()
    assert read_to_end(standing.peer) == abort(0, 0)
    assert standing.association.machine.state is State.STA1
