import logging
import socket

import pytest
from pynetdicom import AE

from dicomserver.archive.claims import Claims
from dicomserver.server import doors, reception
from dicomserver.server.lobby import Lobby
from dicomserver.server.pool import AssociationPool
from dicomserver.server.reception import Reception
from dicomserver.server.settings import AssociationSettings, LobbySettings, ServerSettings
from dicomserver.server.statistics import Statistics
from dicomserver.standard.uids import IMPLICIT_VR_LE, VERIFICATION
from tests.index.samples import make
from tests.interop.find.asker import Asker
from tests.interop.sender import Sender, associate_rq
from tests.interop.synthetic import CT, EXPLICIT, instance
from tests.session.peers import RELEASE_RP, RELEASE_RQ

LOG = logging.getLogger("test.reception")


class Desk:
    def __init__(self, store, settings: ServerSettings, limit: int = 4) -> None:
        self.statistics = Statistics()
        self.accepted: list = []
        self.reception = Reception(settings, store.archive, store.index, store.mover.add, self.accepted.append,
                                   self.statistics, LOG)
        self.pool = AssociationPool(limit, self.reception.serve, LOG)
        entrance = doors.bind("127.0.0.1", 0)
        self.port = entrance[0].getsockname()[1]
        self.lobby = Lobby(entrance, self.pool.admit, LobbySettings(), self.statistics, LOG)
        doors.listen(entrance)
        self.pool.start(self.lobby)

    def associate(self, calling: str = "MODALITY", called: str = "PACS"):
        peer = AE(ae_title=calling)
        peer.add_requested_context(VERIFICATION)
        return peer.associate("127.0.0.1", self.port, ae_title=called)

    def close(self) -> None:
        self.lobby.stop()
        assert self.pool.stop(0)


@pytest.fixture
def desk(store):
    opened = []

    def open_one(limit: int = 4, **settings) -> Desk:
        opened.append(Desk(store, ServerSettings(ae_title="PACS", **settings), limit))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_an_echo_is_answered_and_counted(desk, tools):
    here = desk()
    association = here.associate()
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()
    tools.wait_until(lambda: here.pool.active == 0)
    figures = here.statistics.snapshot()
    assert figures["services"] == {"C-ECHO": {"requests": 1, "failures": 0}}
    # The request alone has 74 bytes and its items; an echo and a release come on top.
    assert figures["bytesIn"] > 74 + 68 + 10 and figures["bytesOut"] > 74 + 10


def test_bytes_of_an_association_that_broke_are_counted_too(desk, tools):
    here = desk()
    with socket.create_connection(("127.0.0.1", here.port)) as peer:
        peer.sendall(tools.associate_rq(200))
        tools.read_to_end(peer)
    tools.wait_until(lambda: here.pool.active == 0)
    assert here.statistics.snapshot()["bytesIn"] == 206


@pytest.mark.parametrize("settings, calling, called, established", [
    ({}, "ANYBODY", "ANYTHING", True),
    ({"allowed_calling_ae_titles": frozenset({"MODALITY"})}, "MODALITY", "PACS", True),
    ({"allowed_calling_ae_titles": frozenset({"MODALITY"})}, "STRANGER", "PACS", False),
    ({"blocked_calling_ae_titles": frozenset({"OLD"})}, "OLD", "PACS", False),
    ({"blocked_calling_ae_titles": frozenset({"OLD"})}, "NEW", "PACS", True),
    ({"check_called_ae_title": True}, "MODALITY", "OTHER", False),
    ({"check_called_ae_title": True}, "MODALITY", "PACS", True),
])
def test_who_may_call(desk, settings, calling, called, established):
    association = desk(association=AssociationSettings(**settings)).associate(calling, called)
    assert association.is_established is established
    if established:
        association.release()


def test_what_we_announce(desk):
    association = desk(association=AssociationSettings(max_pdu_size=32768)).associate()
    assert association.acceptor.maximum_length == 32768
    association.release()


def test_a_changed_configuration_holds_for_who_comes_next(desk):
    here = desk()
    before = here.associate("OLD")
    assert before.is_established
    blocked = AssociationSettings(blocked_calling_ae_titles=frozenset({"OLD"}))
    here.reception.configure(ServerSettings(ae_title="PACS", association=blocked))
    assert before.send_c_echo().Status == 0
    before.release()
    assert not here.associate("OLD").is_established


@pytest.mark.parametrize("settings, found, status", [
    ({}, 3, 0), ({"max_query_matches": 3}, 3, 0), ({"max_query_matches": 2}, 2, 0xA700),
    ({"max_identifier": 10}, 0, 0xA700)])
def test_queries_are_answered_within_their_limits(desk, store, settings, found, status):
    for number in range(3):
        store.index.add(make(1, study=f"1.{number}"))
    here = desk(association=AssociationSettings(**settings))
    with Asker(here.port) as asker:
        answer = asker.find("STUDY", {"PatientID": ""})
        assert (len(answer.raw), answer.status) == (found, status)
        assert {match.RetrieveAETitle for match in answer.matches} == ({"PACS"} if found else set())
        here.reception.configure(ServerSettings(ae_title="OTHER"))
        assert asker.find("STUDY", {"PatientID": ""}).status == status      # as it was when the association began
    with Asker(here.port) as asker:
        assert {match.RetrieveAETitle for match in asker.find("STUDY", {"PatientID": ""}).matches} == {"OTHER"}
    assert here.statistics.snapshot()["services"] == {"C-FIND": {"requests": 3, "failures": 2 if status else 0}}


def test_a_query_may_take_so_long(desk, store):
    for number in range(100):
        store.index.add(make(1, study=f"1.{number}"))
    with Asker(desk(association=AssociationSettings(query_seconds=0)).port) as asker:
        answer = asker.find("STUDY", {"PatientID": ""})
        assert answer.status == 0xA700 and len(answer.raw) < 100


def test_a_peer_that_does_not_close_after_its_release_keeps_no_place(desk):
    here = desk(limit=1)
    with socket.create_connection(("127.0.0.1", here.port), 10) as slow:
        slow.sendall(associate_rq([(VERIFICATION, [IMPLICIT_VR_LE])], "SLOW", "PACS") + RELEASE_RQ)
        received = b""
        while not received.endswith(RELEASE_RP):
            received += slow.recv(65536)
        association = here.associate()
        assert association.is_established
        slow.setblocking(False)
        with pytest.raises(BlockingIOError):
            slow.recv(1)        # it is still being seen off
        association.release()


@pytest.mark.parametrize("patience, status", [(60, 0), (0, 0xA700)])
def test_peers_that_store_one_uid_keep_only_each_other_waiting(desk, store, tools, monkeypatch, patience, status):
    """Though they are more than the threads that all windows share."""
    monkeypatch.setattr(reception, "OPERATION_THREADS", 2)
    store.archive.claims = claims = Claims(patience)
    here, wanted, other = desk(), instance(1, 1), instance(1, 2)

    def associate() -> Sender:
        return Sender(here.port, [(CT, [EXPLICIT])], timeout=10, operations=8)

    claims.take(wanted.sop_instance)
    with associate() as first, associate() as second, associate() as third, associate() as last:
        waiting = [first, second, third]
        for one in waiting:
            one.begin_store(1, CT, wanted.sop_instance, wanted.dataset)
        if patience:
            tools.wait_until(lambda: claims._awaited.total() >= 2)
        assert last.store(1, CT, other.sop_instance, other.dataset).status == 0
        if patience:
            claims.give_back(wanted.sop_instance)
        assert [one.answer().status for one in waiting] == [status] * 3
    assert store.index.counts().instances == (2 if patience else 1)
