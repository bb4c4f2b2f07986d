"""Answers that are remembered: the same for the same bytes, nothing that may change, and never too many."""
from __future__ import annotations

import pytest

from dicomserver.session import negotiator
from dicomserver.session.negotiator import LONGEST_REMEMBERED, MOST_REMEMBERED, Negotiator
from dicomserver.session.policy import AcceptorPolicy, Support, plain_syntaxes
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION
from dicomserver.wire.errors import PduError
from dicomserver.wire.pdu import decode_pdu, encode_pdu
from dicomserver.wire.pdus import (
    AssociateRJ, AssociateRQ, ExtendedNegotiation, ProposedContext, UserIdentityRQ, UserInformation,
)

CT, FIND = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.2.2.1"


def request(calling: str = "CT1", identity: UserIdentityRQ | None = None, implementation: str = "A") -> bytes:
    return encode_pdu(AssociateRQ(
        called_ae_title="PACS", calling_ae_title=calling,
        presentation_contexts=[ProposedContext(1, VERIFICATION, [IMPLICIT_VR_LE]),
                               ProposedContext(3, CT, ["1.2.3", EXPLICIT_VR_LE]), ProposedContext(5, CT, ["1.2.3"])],
        user_information=UserInformation(maximum_length=5000, implementation_class_uid="1.2.3",
                                         implementation_version_name=implementation, user_identity=identity)))


@pytest.fixture
def worked_out(monkeypatch) -> list[str]:
    """Whose requests were looked at, in order; the others were remembered."""
    seen: list[str] = []
    answer = negotiator.answer

    def counting(rq: AssociateRQ, policy: AcceptorPolicy):
        seen.append(rq.calling_ae_title)
        return answer(rq, policy)

    monkeypatch.setattr(negotiator, "answer", counting)
    return seen


def test_what_comes_of_a_request() -> None:
    outcome = Negotiator(AcceptorPolicy("PACS")).negotiate(request())
    assert (outcome.calling_ae_title, outcome.called_ae_title) == ("CT1", "PACS")
    assert outcome.rejection is None and outcome.peer_maximum_length == 5000
    assert [context.result for context in decode_pdu(outcome.pdu).presentation_contexts] == [0, 0, 4]
    assert {number: (context.abstract_syntax, context.transfer_syntax)
            for number, context in outcome.contexts.items()} == {
                1: (VERIFICATION, IMPLICIT_VR_LE), 3: (CT, EXPLICIT_VR_LE)}


def extended(*proposals: tuple[str, bytes]) -> bytes:
    return encode_pdu(AssociateRQ(
        called_ae_title="PACS", calling_ae_title="CT1",
        presentation_contexts=[ProposedContext(1, FIND, [IMPLICIT_VR_LE]), ProposedContext(3, CT, [IMPLICIT_VR_LE])],
        user_information=UserInformation(
            maximum_length=5000, implementation_class_uid="1.2.3",
            extended_negotiations=[ExtendedNegotiation(uid, proposed) for uid, proposed in proposals])))


QUERIES = AcceptorPolicy("PACS", sop_classes={FIND: Support(
    plain_syntaxes(), application_information=lambda proposed: proposed[:1] + b"\0" * (len(proposed) - 1))})


@pytest.mark.parametrize("proposals, granted", [
    ((), {}),
    (((FIND, b"\1\1\1"),), {FIND: b"\1\0\0"}),
    (((FIND, b""),), {FIND: b""}),
    (((FIND, b"\0\1"), (CT, b"\3\0")), {FIND: b"\0\0", CT: b"\2\0\3\0\0\0"}),
    ((("1.2.3.4", b"\1"),), {}),
], ids=["none", "one", "an empty one", "two", "of what was not proposed"])
def test_what_is_granted_of_extended_negotiation_is_what_is_answered(proposals: tuple, granted: dict) -> None:
    desk = Negotiator(QUERIES)
    outcome = desk.negotiate(extended(*proposals))
    assert outcome.application_information == granted
    assert granted == {item.sop_class_uid: item.application_information
                       for item in decode_pdu(outcome.pdu).user_information.extended_negotiations}
    assert desk.negotiate(extended(*proposals)).application_information == granted


def test_who_is_rejected_is_granted_nothing() -> None:
    desk = Negotiator(AcceptorPolicy("PACS", blocked_calling=frozenset({"CT1"})))
    assert desk.negotiate(extended((FIND, b"\1"))).application_information == {}


def test_the_same_bytes_are_answered_the_same_without_another_look(worked_out) -> None:
    desk = Negotiator(AcceptorPolicy("PACS"))
    first = desk.negotiate(request())
    assert desk.negotiate(request()) is first
    assert worked_out == ["CT1"]
    other = desk.negotiate(request("CT2"))
    assert other.calling_ae_title == "CT2" and decode_pdu(other.pdu).calling_ae_title == "CT2"
    assert worked_out == ["CT1", "CT2"]


def test_another_policy_remembers_nothing_of_it(worked_out) -> None:
    Negotiator(AcceptorPolicy("PACS")).negotiate(request())
    outcome = Negotiator(AcceptorPolicy("PACS", blocked_calling=frozenset({"CT1"}))).negotiate(request())
    assert isinstance(outcome.rejection, AssociateRJ)
    assert worked_out == ["CT1", "CT1"]


def test_rejections_are_not_remembered(worked_out) -> None:
    desk = Negotiator(AcceptorPolicy("PACS", blocked_calling=frozenset({"CT1"})))
    for _ in range(2):
        outcome = desk.negotiate(request())
        assert decode_pdu(outcome.pdu) == outcome.rejection and not outcome.contexts
    assert worked_out == ["CT1", "CT1"]


def test_identities_are_checked_each_time(worked_out) -> None:
    answers = iter((b"", None, b""))
    desk = Negotiator(AcceptorPolicy("PACS", check_user_identity=lambda identity: next(answers)))
    pdu = request(identity=UserIdentityRQ(1, False, b"user", b""))
    assert [desk.negotiate(pdu).rejection is None for _ in range(3)] == [True, False, True]
    desk.negotiate(request())
    desk.negotiate(request())
    assert worked_out == ["CT1"] * 4        # without an identity there is nothing to check


def test_identities_that_nobody_checks_change_nothing(worked_out) -> None:
    desk = Negotiator(AcceptorPolicy("PACS"))
    pdu = request(identity=UserIdentityRQ(1, False, b"user", b""))
    assert desk.negotiate(pdu) is desk.negotiate(pdu)
    assert worked_out == ["CT1"]


def test_a_malformed_request_raises_each_time() -> None:
    desk = Negotiator(AcceptorPolicy("PACS"))
    for _ in range(2):
        with pytest.raises(PduError):
            desk.negotiate(request()[:-1])


def test_the_oldest_answers_are_forgotten(worked_out) -> None:
    desk = Negotiator(AcceptorPolicy("PACS"))
    for number in range(MOST_REMEMBERED + 1):
        desk.negotiate(request(f"CT{number}"))
    desk.negotiate(request(f"CT{MOST_REMEMBERED}"))
    desk.negotiate(request("CT1"))
    assert len(worked_out) == MOST_REMEMBERED + 1
    desk.negotiate(request("CT0"))
    assert worked_out[-1] == "CT0"


@pytest.mark.parametrize("length, looks", [(LONGEST_REMEMBERED, 1), (LONGEST_REMEMBERED + 2, 2)])
def test_long_requests_are_not_remembered(worked_out, length: int, looks: int) -> None:
    pdu = request(identity=UserIdentityRQ(1, False, b"", b""))
    filling = length - len(pdu)
    pdu = request(identity=UserIdentityRQ(1, False, bytes(filling), b""))
    assert len(pdu) == length
    desk = Negotiator(AcceptorPolicy("PACS"))
    for _ in range(2):
        desk.negotiate(pdu)
    assert len(worked_out) == looks
