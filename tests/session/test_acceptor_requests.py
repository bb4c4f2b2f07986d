"""Requests of our own on an association that the peer has opened: between messages, one at a time, never lost."""
from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.association import Deadlines
from dicomserver.session.errands import Errands
from dicomserver.session.negotiator import Negotiator
from dicomserver.session.policy import AcceptorPolicy
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from dicomserver.wire.commands import C_ECHO_RQ, C_ECHO_RSP, N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP, response_to
from tests.interop.sender import Sender, command_set, data_tf

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
ECHO = data_tf(1, 3, command_set(VERIFICATION, C_ECHO_RQ, 1, 0x0101))


class Side:
    """A server that takes one association. answers: what became of our requests; errands: of the association."""

    def __init__(self, idle: float = 30) -> None:
        self.answers: list[int | None] = []
        self.ready = threading.Event()
        self.errands: Errands | None = None
        self._idle = idle
        self._door = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.peer = Sender(self._door.getsockname()[1], [(VERIFICATION, [IMPLICIT])])

    def _serve(self) -> None:
        connection, _ = self._door.accept()
        header = connection.recv(6, socket.MSG_WAITALL)
        request = header + connection.recv(int.from_bytes(header[2:], "big"), socket.MSG_WAITALL)
        AssociationAcceptor(connection, request, b"", Negotiator(AcceptorPolicy("US")), {C_ECHO_RQ: self._echo},
                            deadlines=Deadlines(idle=self._idle), log=logging.getLogger("test.acceptor")).run()

    def _echo(self, acceptor: AssociationAcceptor, context, request: CommandSet) -> int:
        self.errands = acceptor.errands
        self.ready.set()
        acceptor.respond(context, response_to(request, 0))
        return 0

    def ask(self) -> None:
        """From this thread, a request of ours."""
        def errand(acceptor: AssociationAcceptor | None) -> None:
            if acceptor is None:
                self.answers.append(None)
                return
            acceptor.request(acceptor.association.contexts[1], CommandSet(
                command_field=N_EVENT_REPORT_RQ, command_data_set_type=0x0101, event_type_id=1), None,
                self.answers.append)
        assert self.errands.ask(errand)

    def echoed(self) -> Side:
        assert self.peer.echo() == 0
        return self

    def heard(self) -> CommandSet:
        """The next message at the peer."""
        kind, body = self.peer.receive()
        assert kind == 4
        return decode_command(body[6:])

    def says(self, message_id: int, status: int = 0, field: int = N_EVENT_REPORT_RSP) -> None:
        self.peer.request(1, encode_command(CommandSet(
            command_field=field, message_id_being_responded_to=message_id, command_data_set_type=0x0101,
            status=status)))

    def end(self) -> None:
        self.peer.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._door.close()


@pytest.fixture
def side() -> Iterator[Side]:
    one = Side().echoed()
    yield one
    one.end()


def test_a_request_while_the_peer_is_silent(side: Side) -> None:
    side.ask()
    command = side.heard()
    assert (command.command_field, command.message_id, command.event_type_id) == (N_EVENT_REPORT_RQ, 1, 1)
    side.says(1, 0x0110)
    assert side.echoed().answers == [0x0110]


def test_the_next_one_waits_for_the_answer(side: Side) -> None:
    side.ask()
    side.ask()
    assert side.heard().message_id == 1
    side.echoed()           # what comes meanwhile is served
    assert side.answers == []
    side.says(1)
    assert side.heard().message_id == 2
    side.says(2)
    assert side.echoed().answers == [0, 0]


def test_a_request_that_crosses_the_peers(side: Side) -> None:
    side.peer.socket.sendall(ECHO)
    side.ask()
    assert {side.heard().command_field, side.heard().command_field} == {N_EVENT_REPORT_RQ, C_ECHO_RSP}
    side.says(1)
    assert side.echoed().answers == [0]


@pytest.mark.parametrize("message_id, field", [(2, N_EVENT_REPORT_RSP), (1, C_ECHO_RSP)])
def test_another_answer_aborts(side: Side, message_id: int, field: int) -> None:
    side.ask()
    side.ask()
    side.heard()
    side.says(message_id, field=field)
    assert side.peer.receive()[0] == 7
    side.end()
    assert side.answers == [None, None]


def test_an_answer_that_nobody_awaits_aborts(side: Side) -> None:
    side.says(1)
    assert side.peer.receive()[0] == 7


def test_a_release_instead_of_the_answer(side: Side) -> None:
    side.ask()
    side.heard()
    side.peer.release()
    side.end()
    assert side.answers == [None]
    assert not side.errands.ask(side.answers.append)


def test_a_silent_peer_is_aborted_all_the_same() -> None:
    side = Side(idle=0.2).echoed()
    assert side.peer.receive()[0] == 7
    side.end()
