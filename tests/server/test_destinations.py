"""The associations that a C-MOVE opens; tests/services/test_move.py has what goes over them."""
from __future__ import annotations

import logging

import pytest

from dicomserver.index import Stored
from dicomserver.scu.requester import Requester
from dicomserver.server.destinations import Destinations
from dicomserver.services.move import Destination as Known
from dicomserver.services.move import Originator
from dicomserver.services.outgoing import NotSent, Outgoing
from dicomserver.services.suboperations import Ended
from dicomserver.session.association import Deadlines
from dicomserver.session.proposal import propose
from dicomserver.session.requester import AssociationRequester
from tests.interop.destination import Destination

CT, MR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"
BY = Originator("ASKER", 1, 0)


class Acceptor:
    """The requester's association, as far as it matters here. stopped: its grace period is over."""

    def __init__(self, stopped: bool = False) -> None:
        self.companions: set = set()
        self.most = 0
        self._stopped = stopped

    def accompany(self, companion) -> None:
        self.companions.add(companion)
        self.most = max(self.most, len(self.companions))
        if self._stopped:
            companion.stop()

    def part(self, companion) -> None:
        self.companions.discard(companion)


def connecting(there: Destination, pairs, acceptor: Acceptor, **deadlines: float):
    destinations = Destinations("US", Deadlines(**deadlines), logging.getLogger("test.destinations"), 2)
    return destinations.connect(Known("127.0.0.1", there.port, "THEM"),
                                [(sop_class, [syntax]) for sop_class, syntax in pairs], BY, acceptor)


def test_contexts_for_exactly_what_is_to_be_sent() -> None:
    acceptor = Acceptor()
    with Destination() as there:
        with connecting(there, [(CT, EXPLICIT), (MR, EXPLICIT)], acceptor):
            assert len(acceptor.companions) == 1
        assert there.wait_for_endings(1) == [5]
        assert there.proposed == [[(CT, [EXPLICIT]), (MR, [EXPLICIT])]] and there.titles == [("THEM", "US")]
    assert acceptor.companions == set()


@pytest.mark.parametrize("count, sizes", [(1, [1]), (128, [128]), (129, [1, 128]), (300, [44, 128, 128])])
def test_as_many_associations_as_the_contexts_need(count: int, sizes: list[int]) -> None:
    acceptor = Acceptor()
    with Destination() as there:
        with connecting(there, [(f"1.2.3.{number}", EXPLICIT) for number in range(count)], acceptor):
            assert acceptor.most == len(sizes)
        assert there.wait_for_endings(len(sizes)) == [5] * len(sizes)
        assert sorted(map(len, there.proposed)) == sizes


def test_a_failure_of_the_caller_aborts_them_all() -> None:
    acceptor = Acceptor()
    with Destination() as there:
        with pytest.raises(KeyError), connecting(there, [(f"1.2.3.{n}", EXPLICIT) for n in range(200)], acceptor):
            raise KeyError
        assert there.wait_for_endings(2) == [7, 7]
    assert acceptor.companions == set()


@pytest.mark.parametrize("how, deadlines", [
    ({"rejected": (1, 1, 7)}, {}), ({"mute": True}, {"idle": 0.1}), ({"maximum": 3}, {})], ids=str)
def test_none_comes_about(how: dict, deadlines: dict) -> None:
    acceptor = Acceptor()
    with Destination(**how) as there:
        with pytest.raises(Ended, match="no association with THEM"), connecting(there, [(CT, EXPLICIT)], acceptor,
                                                                                **deadlines):
            raise AssertionError("there is one")
        there.wait_for_endings(1)
    assert acceptor.companions == set()


def test_stopped_before_it_begins() -> None:
    """The grace period ended while we were connecting: nobody waits for an answer that does not come."""
    acceptor = Acceptor(stopped=True)
    with Destination(mute=True) as there:
        with pytest.raises(Ended), connecting(there, [(CT, EXPLICIT)], acceptor, idle=600):
            raise AssertionError("there is one")
        there.wait_for_endings(1)
    assert acceptor.companions == set()


def test_a_sop_class_that_was_not_proposed() -> None:
    """An instance that became another one since the contexts were collected."""
    stored = Stored("1.2", "1.2.1", "1.2.1.1", MR, EXPLICIT, 1, 1000, 400, 0, 0, 0)
    with Destination() as there, connecting(there, [(CT, EXPLICIT)], Acceptor()) as receiver:
        assert receiver.has_room(stored)
        with pytest.raises(NotSent, match="no presentation context was proposed"):
            receiver.send(Outgoing(stored, -1, None))
        assert receiver.due == 0


def test_whoever_waits_for_an_answer_acknowledges_its_first_piece_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """DCMTK sends an answer in two pieces, and the second only then; the kernel alone would let it wait 40 ms."""
    asked: list[bool] = []
    monkeypatch.setattr(AssociationRequester, "_acknowledge", lambda requester: asked.append(True))
    request = propose([(CT, [EXPLICIT])], calling_ae_title="US", called_ae_title="THEM")
    with Destination() as there, Requester("127.0.0.1", there.port, request, deadlines=Deadlines(),
                                           connect_timeout=5) as requester:
        assert not requester.has_arrived
        assert asked == [True]
