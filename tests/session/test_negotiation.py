"""The acceptor's answer, line by line of PS3.8 9.3 and PS3.7 D.3.3."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.session.negotiation import (
    NegotiationError, Rejection, answer, choose_transfer_syntax, contexts_of, is_valid_ae_title,
    peer_maximum_length,
)
from dicomserver.session.policy import AcceptorPolicy, storage_support
from dicomserver.standard.sop_classes import storage_sop_classes
from dicomserver.standard.transfer_syntaxes import transfer_syntaxes
from dicomserver.wire.pdus import (
    AssociateAC, AssociateRJ, AssociateRQ, CommonExtendedNegotiation, ExtendedNegotiation,
    ProposedContext, RoleSelection, UserIdentityAC, UserIdentityRQ, UserInformation,
)

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PRIVATE = "1.2.276.0.7230010.3.1.0.1"
NEW_STORAGE = "1.2.840.10008.5.1.4.1.1.99999"
STORAGE_SERVICE_CLASS = "1.2.840.10008.4.2"

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, BASELINE, LOSSLESS = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
GE_PRIVATE = "1.2.840.113619.5.2"

POLICY = AcceptorPolicy("OURS")


def user(**fields):
    fields.setdefault("maximum_length", 16384)
    return UserInformation(implementation_class_uid="1.2.3", implementation_version_name="PEER", **fields)


def request(
    *contexts, called="OURS", calling="THEIRS", application="1.2.840.10008.3.1.1.1", version=1, **fields
):
    contexts = contexts or ((VERIFICATION, [IMPLICIT]),)
    return AssociateRQ(
        protocol_version=version, called_ae_title=called, calling_ae_title=calling,
        application_context=application, user_information=user(**fields),
        presentation_contexts=[
            ProposedContext(context_id=2 * n + 1, abstract_syntax=uid, transfer_syntaxes=list(syntaxes))
            for n, (uid, syntaxes) in enumerate(contexts)
        ],
    )


def role(scu, scp, uid=CT):
    return RoleSelection(sop_class_uid=uid, scu=scu, scp=scp)


def rejection(rq, policy=POLICY):
    rj = answer(rq, policy)
    assert isinstance(rj, AssociateRJ), rj
    return rj.result, rj.source, rj.reason


def acceptance(rq, policy=POLICY):
    ac = answer(rq, policy)
    assert isinstance(ac, AssociateAC), ac
    return ac


def results(rq, policy=POLICY):
    return [int(c.result) for c in acceptance(rq, policy).presentation_contexts]


def only(rq, policy=POLICY):
    (context,) = acceptance(rq, policy).presentation_contexts
    return int(context.result), context.transfer_syntax


# --- the association as a whole


def test_an_acceptance_repeats_the_request_and_says_who_we_are():
    policy = replace(
        POLICY, maximum_length=65536, implementation_class_uid="1.9", implementation_version_name="V"
    )
    ac = acceptance(request(called="ANY-SCP"), policy)
    assert (ac.called_ae_title, ac.calling_ae_title) == ("ANY-SCP", "THEIRS")
    assert (ac.application_context, ac.protocol_version) == ("1.2.840.10008.3.1.1.1", 1)
    assert ac.user_information == UserInformation(
        maximum_length=65536, implementation_class_uid="1.9", implementation_version_name="V"
    )


@pytest.mark.parametrize("version", [0, 2, 4, 0xFFFE])
def test_protocol_version_without_bit_0(version):
    assert rejection(request(version=version)) == (1, 2, 2)


@pytest.mark.parametrize("version", [1, 3, 0xFFFF])
def test_other_bits_of_the_protocol_version_are_ignored(version):
    assert acceptance(request(version=version)).protocol_version == 1


@pytest.mark.parametrize("application", ["", "1.2.840.10008.3.1.1.2", "1.2.840.10008.3.1.1.1.1"])
def test_wrong_application_context(application):
    assert rejection(request(application=application)) == (1, 1, 2)


MALFORMED = [
    "", " ", "../x", "..", ".", "/", "/x", "x/", "a/../b", "a//b", "a/ ../b", "A\\B", "A\0B", "A\0",
    "\x1b[2J", "A\nB", "A\n", "A\tB", "A\x7f", "\x80", "M\xdcLLER", "\xff" * 16, "A" * 17, "\u20ac",
]
WELL_FORMED = [
    "A", "STORE_SCP", "ANY-SCP", "ct 1", "RAD/CT1", "A.B", "...", "A" * 16, "!#$%&'()*+,-:;<", "a.../b",
]


@pytest.mark.parametrize("title", MALFORMED)
def test_malformed_ae_titles_are_refused_whatever_the_policy(title):
    assert not is_valid_ae_title(title)
    assert rejection(request(calling=title)) == (1, 1, 3)
    assert rejection(request(called=title)) == (1, 1, 7)


@pytest.mark.parametrize("title", WELL_FORMED)
def test_well_formed_ae_titles_are_accepted(title):
    assert is_valid_ae_title(title)
    assert acceptance(request(calling=title, called=title)).calling_ae_title == title


@given(st.text(max_size=20))
def test_no_valid_ae_title_can_leave_a_folder(title):
    if is_valid_ae_title(title):
        assert title.isascii() and title.isprintable() and 1 <= len(title) <= 16 and "\\" not in title
        assert all(part.strip() not in ("", ".", "..") for part in title.split("/"))


@pytest.mark.parametrize(("check", "called", "expected"), [
    (False, "OTHER", None), (True, "OURS", None), (True, "OTHER", (1, 1, 7)), (True, "ours", (1, 1, 7)),
])
def test_called_ae_title(check, called, expected):
    policy = replace(POLICY, check_called_ae_title=check)
    if expected is None:
        acceptance(request(called=called), policy)
    else:
        assert rejection(request(called=called), policy) == expected


@pytest.mark.parametrize(("allowed", "blocked", "welcome"), [
    (None, [], True), (["THEIRS"], [], True), (["OTHER"], [], False), ([], [], False),
    (["theirs"], [], False),
    (None, ["THEIRS"], False), (None, ["OTHER"], True), (["THEIRS"], ["THEIRS"], False),
])
def test_calling_ae_title(allowed, blocked, welcome):
    allowed = None if allowed is None else frozenset(allowed)
    policy = replace(POLICY, allowed_calling=allowed, blocked_calling=frozenset(blocked))
    if welcome:
        acceptance(request(), policy)
    else:
        assert rejection(request(), policy) == (1, 1, 3)


@pytest.mark.parametrize("length", range(1, 8))
def test_a_maximum_length_without_room_is_refused(length):
    assert rejection(request(maximum_length=length)) == (1, 2, 1)
    with pytest.raises(NegotiationError, match=str(length)):
        peer_maximum_length(user(maximum_length=length))


@pytest.mark.parametrize(("announced", "meaning"), [
    (None, 16384), (0, 0), (8, 8), (16384, 16384), (0xFFFFFFFF, 0xFFFFFFFF),
])
def test_maximum_length(announced, meaning):
    acceptance(request(maximum_length=announced))
    assert peer_maximum_length(user(maximum_length=announced)) == meaning


def test_rejections_are_those_of_ps3_8_table_9_21():
    assert {r.value for r in Rejection} == {
        (1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 7), (1, 2, 1), (1, 2, 2), (2, 3, 1), (2, 3, 2),
    }
    assert Rejection.LOCAL_LIMIT_EXCEEDED.pdu() == AssociateRJ(result=2, source=3, reason=2)


# --- presentation contexts


@pytest.mark.parametrize(("abstract", "syntaxes", "expected"), [
    (VERIFICATION, [IMPLICIT], (0, IMPLICIT)),
    (VERIFICATION, [IMPLICIT, EXPLICIT], (0, EXPLICIT)),
    (VERIFICATION, [BIG], (0, BIG)),
    (VERIFICATION, [BASELINE], (4, BASELINE)),
    (CT, [IMPLICIT], (0, IMPLICIT)),
    (CT, [LOSSLESS], (0, LOSSLESS)),
    (CT, [GE_PRIVATE], (4, GE_PRIVATE)),
    (CT, [GE_PRIVATE, BASELINE], (0, BASELINE)),
    (CT, ["", "x"], (4, "")),
    (PRIVATE, [EXPLICIT], (0, EXPLICIT)),
    (STUDY_ROOT_FIND, [IMPLICIT, EXPLICIT], (3, IMPLICIT)),
    (NEW_STORAGE, [EXPLICIT], (3, EXPLICIT)),
    ("1.2.840.10008.1.3.10", [EXPLICIT], (3, EXPLICIT)),  # Media Storage Directory
    (STORAGE_SERVICE_CLASS, [EXPLICIT], (3, EXPLICIT)),
    ("../../etc", [EXPLICIT], (3, EXPLICIT)),
    ("", [EXPLICIT], (3, EXPLICIT)),
])
def test_one_context(abstract, syntaxes, expected):
    assert only(request((abstract, syntaxes))) == expected


@pytest.mark.parametrize("uid", sorted(storage_sop_classes()))
def test_every_storage_sop_class_is_accepted(uid):
    assert only(request((uid, [EXPLICIT]))) == (0, EXPLICIT)


@pytest.mark.parametrize("uid", sorted(transfer_syntaxes()))
def test_every_transfer_syntax_is_accepted_for_storage(uid):
    assert only(request((CT, [uid]))) == (0, uid)


def test_nothing_accepted_is_still_an_association():
    assert results(request((STUDY_ROOT_FIND, [IMPLICIT]), (CT, [GE_PRIVATE]))) == [3, 4]


def test_each_context_is_answered_once_in_its_order():
    proposed = (STUDY_ROOT_FIND, [IMPLICIT]), (CT, [IMPLICIT]), (CT, [LOSSLESS]), (VERIFICATION, [DEFLATED])
    answered = acceptance(request(*proposed)).presentation_contexts
    assert [(c.context_id, c.result, c.transfer_syntax) for c in answered] == [
        (1, 3, IMPLICIT), (3, 0, IMPLICIT), (5, 0, LOSSLESS), (7, 4, DEFLATED),
    ]


def test_128_contexts_of_50_transfer_syntaxes():
    many = sorted(transfer_syntaxes())[:50]
    assert results(request(*[(CT, many)] * 128)) == [0] * 128


@pytest.mark.parametrize(("proposed", "chosen"), [
    ([IMPLICIT, EXPLICIT], EXPLICIT),
    ([IMPLICIT, EXPLICIT, DEFLATED, BIG], EXPLICIT),
    ([BIG, IMPLICIT], IMPLICIT),
    ([BIG, DEFLATED], DEFLATED),
    ([DEFLATED, IMPLICIT], IMPLICIT),
    ([LOSSLESS, EXPLICIT, IMPLICIT], LOSSLESS),
    ([BASELINE, IMPLICIT, EXPLICIT], BASELINE),
    ([IMPLICIT, LOSSLESS, EXPLICIT], EXPLICIT),
    ([GE_PRIVATE, IMPLICIT, LOSSLESS], IMPLICIT),
    ([GE_PRIVATE], None),
    ([], None),
])
def test_our_order_of_preference(proposed, chosen):
    assert choose_transfer_syntax(proposed, transfer_syntaxes()) == chosen


@given(st.lists(st.sampled_from([*sorted(transfer_syntaxes()), GE_PRIVATE, ""])), st.sets(st.sampled_from(
    [IMPLICIT, EXPLICIT, BIG, DEFLATED, BASELINE, LOSSLESS])))
def test_the_chosen_transfer_syntax_was_proposed_and_is_acceptable(proposed, acceptable):
    chosen = choose_transfer_syntax(proposed, frozenset(acceptable))
    assert (chosen is None) == acceptable.isdisjoint(proposed)
    assert chosen is None or (chosen in proposed and chosen in acceptable)


# --- SOP classes that are not in the dictionary


def test_the_switch_for_private_sop_classes():
    assert results(request((PRIVATE, [EXPLICIT])), replace(POLICY, accept_private_sop_classes=False)) == [3]


@pytest.mark.parametrize(("uid", "service_class", "related", "private", "result"), [
    (NEW_STORAGE, STORAGE_SERVICE_CLASS, [], True, 0),
    (NEW_STORAGE, STORAGE_SERVICE_CLASS, [], False, 0),
    (NEW_STORAGE, "1.2.3", [CT], True, 0),
    (NEW_STORAGE, "1.2.3", [STUDY_ROOT_FIND], True, 3),
    (PRIVATE, STORAGE_SERVICE_CLASS, [CT], True, 0),
    (PRIVATE, STORAGE_SERVICE_CLASS, [CT], False, 3),
    (PRIVATE, "1.2.3", ["1.2.4", CT], True, 0),
    (PRIVATE, "1.2.3", [], True, 3),
])
def test_common_extended_negotiation(uid, service_class, related, private, result):
    item = CommonExtendedNegotiation(sop_class_uid=uid, service_class_uid=service_class, related=related)
    rq = request((uid, [EXPLICIT]), common_extended_negotiations=[item])
    ac = acceptance(rq, replace(POLICY, accept_private_sop_classes=private))
    assert ac.presentation_contexts[0].result == result
    assert ac.user_information.common_extended_negotiations == []  # PS3.7 D.3.3.6: has no answer


def test_without_storage_only_verification_is_left():
    rq = request((VERIFICATION, [IMPLICIT]), (CT, [IMPLICIT]), (PRIVATE, [IMPLICIT]))
    assert results(rq, replace(POLICY, storage=None)) == [0, 3, 3]


# --- user information: answered only if proposed


def test_nothing_is_answered_that_was_not_proposed():
    information = acceptance(request((CT, [EXPLICIT]))).user_information
    assert information.asynchronous_operations_window is None and information.user_identity is None
    assert not (information.role_selections or information.extended_negotiations or information.unknown)


@pytest.mark.parametrize(("ours", "proposed", "granted"), [
    ((1, 1), (1, 1), (1, 1)), ((1, 1), (0, 0), (1, 1)), ((1, 1), (8, 0), (1, 1)), ((4, 2), (3, 3), (3, 2)),
    ((0, 0), (5, 0), (5, 0)), ((0, 3), (0, 0), (0, 3)),
])
def test_asynchronous_operations_window(ours, proposed, granted):
    policy = replace(POLICY, asynchronous_operations=ours)
    ac = acceptance(request(asynchronous_operations_window=proposed), policy)
    assert ac.user_information.asynchronous_operations_window == granted


@pytest.mark.parametrize(("we_send", "proposed", "granted"), [
    (False, (1, 0), (1, 0)), (False, (1, 1), (1, 0)), (False, (0, 1), None), (False, (0, 0), None),
    (True, (1, 0), (1, 0)), (True, (1, 1), (1, 1)), (True, (0, 1), (0, 1)), (True, (0, 0), None),
])
def test_role_selection(we_send, proposed, granted):
    roles = [role(*proposed), role(1, 1, STUDY_ROOT_FIND)]
    rq = request((CT, [EXPLICIT]), (CT, [IMPLICIT]), role_selections=roles)
    ac = acceptance(rq, replace(POLICY, storage=storage_support(as_scu=we_send)))
    selections = ac.user_information.role_selections
    if granted is None:
        assert [c.result for c in ac.presentation_contexts] == [1, 1] and selections == []
        return
    assert [c.result for c in ac.presentation_contexts] == [0, 0] and selections == [role(*granted)]
    context = contexts_of(rq, ac)[1]
    assert (context.as_scp, context.as_scu) == granted


@pytest.mark.parametrize(("uid", "syntax", "answered"), [
    (CT, EXPLICIT, True), (PRIVATE, EXPLICIT, True), (CT, GE_PRIVATE, False), (VERIFICATION, EXPLICIT, False),
    (STUDY_ROOT_FIND, EXPLICIT, False),
])
def test_extended_negotiation(uid, syntax, answered):
    proposed = ExtendedNegotiation(sop_class_uid=uid, application_information=b"\x03\0\0\0\x02\0")
    stray = ExtendedNegotiation(sop_class_uid="1.2.840.10008.5.1.4.1.1.4", application_information=b"\x02")
    ac = acceptance(request((uid, [syntax]), (uid, [syntax]), extended_negotiations=[proposed, stray]))
    full = ExtendedNegotiation(sop_class_uid=uid, application_information=b"\x02\0\x03\0\0\0")
    assert ac.user_information.extended_negotiations == ([full] if answered else [])


def identity(positive):
    return UserIdentityRQ(
        type=2, positive_response_requested=positive, primary_field=b"user", secondary_field=b"secret"
    )


@pytest.mark.parametrize(("positive", "checker", "answered"), [
    (True, None, None), (False, None, None),
    (True, lambda _: b"ticket", UserIdentityAC(server_response=b"ticket")),
    (True, lambda _: b"", UserIdentityAC(server_response=b"")), (False, lambda _: b"ticket", None),
])
def test_user_identity(positive, checker, answered):
    ac = acceptance(request(user_identity=identity(positive)), replace(POLICY, check_user_identity=checker))
    assert ac.user_information.user_identity == answered


@pytest.mark.parametrize("positive", [True, False])
def test_a_user_who_fails_the_check_is_rejected(positive):
    seen = []
    policy = replace(POLICY, check_user_identity=seen.append)  # append gives None: not good
    assert rejection(request(user_identity=identity(positive)), policy) == (1, 1, 1)
    assert seen == [identity(positive)]
    acceptance(request(), policy)


def test_a_caller_who_is_not_welcome_is_not_asked_who_he_is():
    seen = []
    policy = replace(POLICY, check_user_identity=seen.append, blocked_calling=frozenset(["THEIRS"]))
    assert rejection(request(user_identity=identity(True)), policy) == (1, 1, 3) and seen == []
