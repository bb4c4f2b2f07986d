"""Associations that we ask for, at our own acceptor; tests/scu has peers that do it wrong."""
from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator

import pytest

from dicomserver.session.acceptor import AssociationAcceptor
from dicomserver.session.association import AssociationEnded, Deadlines, Ending, MessageLimits
from dicomserver.session.negotiator import Negotiator
from dicomserver.session.policy import AcceptorPolicy
from dicomserver.session.proposal import propose
from dicomserver.session.requester import AssociationRequester, connect
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import C_ECHO_RQ, C_FIND_RQ, C_STORE_RQ, response_to
from tests.session.peers import abort, reset, tcp_pair

CT = "1.2.840.10008.5.1.4.1.1.2"
REQUEST = propose([(VERIFICATION, [IMPLICIT_VR_LE]), (CT, [IMPLICIT_VR_LE]), (CT, [EXPLICIT_VR_LE])],
                  calling_ae_title="US", called_ae_title="THEM")
ECHO = CommandSet(affected_sop_class_uid=VERIFICATION, command_field=C_ECHO_RQ, message_id=1,
                  command_data_set_type=0x0101)
STORE = CommandSet(affected_sop_class_uid=CT, command_field=C_STORE_RQ, message_id=2, priority=0,
                   affected_sop_instance_uid="1.2.3", command_data_set_type=1)
FIND = CommandSet(affected_sop_class_uid=CT, command_field=C_FIND_RQ, message_id=3, priority=0,
                  command_data_set_type=1)


class Them:
    """An acceptor on a thread of its own at the other end; `received` are the datasets that it was sent."""

    def __init__(self, policy: AcceptorPolicy) -> None:
        self.ours, theirs = tcp_pair()
        self.received: list[bytes] = []
        self._theirs, self._policy = theirs, policy
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        header = self._theirs.recv(6)
        if not header:
            self._theirs.close()
            return
        request = header + self._theirs.recv(int.from_bytes(header[2:], "big"))
        handlers = {C_ECHO_RQ: self._echo, C_STORE_RQ: self._store, C_FIND_RQ: self._find}
        AssociationAcceptor(self._theirs, request, b"", Negotiator(self._policy), handlers,
                            log=logging.getLogger("test.requester")).run()

    def _echo(self, acceptor, context, request) -> int:
        acceptor.respond(context, response_to(request, 0))
        return 0

    def _store(self, acceptor, context, request) -> int:
        self.received.append(acceptor.association.stream.read_dataset(1 << 20))
        return self._echo(acceptor, context, request)

    def _find(self, acceptor, context, request) -> int:
        dataset = acceptor.association.stream.read_dataset(1 << 20)
        for _ in range(2):
            acceptor.respond(context, response_to(request, 0xFF00, command_data_set_type=1), dataset)
        return self._echo(acceptor, context, request)


@pytest.fixture
def them() -> Iterator:
    made: list[Them] = []

    def one(policy: AcceptorPolicy = AcceptorPolicy("THEM")) -> Them:
        made.append(Them(policy))
        return made[-1]

    yield one
    for acceptor in made:
        acceptor.ours.close()
        acceptor.thread.join(10)
        assert not acceptor.thread.is_alive()


def test_what_came_of_the_proposal(them) -> None:
    with AssociationRequester(them().ours, REQUEST) as association:
        assert sorted(association.contexts) == [1, 3, 5]
        assert association.is_same_machine and 0 < association.round_trip < 10
        assert association.context_for(VERIFICATION).context_id == 1
        assert association.context_for(CT).context_id == 3
        assert association.context_for(CT, EXPLICIT_VR_LE).context_id == 5
        assert association.context_for(CT, "1.2.3") is None and association.context_for("1.2.3") is None


def test_messages_with_and_without_datasets_there_and_back(them) -> None:
    acceptor = them()
    dataset = bytes(range(256)) * 300       # several PDUs
    with AssociationRequester(acceptor.ours, REQUEST) as association:
        association.send(1, ECHO)
        answer = association.receive()
        assert (answer.context_id, answer.command.status, answer.dataset) == (1, 0, None)
        association.send(5, STORE, dataset)
        assert association.receive().command.message_id_being_responded_to == 2
        association.send(3, FIND, dataset)
        answers = [association.receive() for _ in range(3)]
        assert [(one.command.status, one.dataset) for one in answers] == [
            (0xFF00, dataset), (0xFF00, dataset), (0, None)]
    assert acceptor.received == [dataset]
    assert acceptor.ours.fileno() == -1


def test_a_rejection_says_why(them) -> None:
    with pytest.raises(AssociationEnded) as ended:
        AssociationRequester(them(AcceptorPolicy("THEM", blocked_calling=frozenset({"US"}))).ours, REQUEST)
    assert ended.value.ending is Ending.REJECTED
    assert (ended.value.cause.result, ended.value.cause.source, ended.value.cause.reason) == (1, 1, 3)


def test_a_dataset_longer_than_the_limit_ends_it(them) -> None:
    with AssociationRequester(them().ours, REQUEST, limits=MessageLimits(identifier=100)) as association:
        association.send(3, FIND, bytes(101))
        with pytest.raises(AssociationEnded) as ended:
            association.receive()
    assert ended.value.ending is Ending.VIOLATED


def test_a_silent_peer() -> None:
    ours, peer = tcp_pair()
    with pytest.raises(AssociationEnded) as ended:
        AssociationRequester(ours, REQUEST, deadlines=Deadlines(idle=0.05))
    assert ended.value.ending is Ending.SILENT
    assert peer.recv(10000).endswith(abort(0, 0))
    peer.close()


def test_a_peer_that_takes_too_little(them, monkeypatch) -> None:
    def slow(self: Them, acceptor, context, request) -> int:
        acceptor.association.stream.read_dataset(1 << 20)
        time.sleep(0.02)
        return self._echo(acceptor, context, request)

    monkeypatch.setattr(Them, "_store", slow)
    deadlines = Deadlines(write=0.2, sending_rate=math.inf)
    with AssociationRequester(them().ours, REQUEST, deadlines=deadlines) as association:
        with pytest.raises(AssociationEnded) as ended:
            for _ in range(100):
                association.send(3, STORE, bytes(1 << 20))
    assert ended.value.ending is Ending.STALLED


def test_a_peer_that_is_gone(them) -> None:
    ours, peer = tcp_pair()
    reset(peer)
    with pytest.raises(AssociationEnded) as ended:
        AssociationRequester(ours, REQUEST)
    assert ended.value.ending is Ending.CLOSED
    assert ours.fileno() == -1


def test_a_failure_of_the_caller_aborts(them) -> None:
    acceptor = them()
    with pytest.raises(KeyError), AssociationRequester(acceptor.ours, REQUEST) as association:
        raise KeyError
    assert acceptor.ours.fileno() == -1
    association.abort()     # again: nothing is left to do
    association.close()


def test_another_thread_may_stop_it(them) -> None:
    with pytest.raises(AssociationEnded) as ended, AssociationRequester(them().ours, REQUEST) as association:
        stopper = threading.Thread(target=association.stop)
        stopper.start()
        association.receive()       # nothing was asked
    stopper.join()
    assert ended.value.ending is Ending.STOPPED


def test_connect_to_nobody() -> None:
    ours, peer = tcp_pair()
    port = ours.getsockname()[1]
    ours.close()
    peer.close()
    with pytest.raises(OSError):
        connect("127.0.0.1", port, 1)
