"""What a requestor proposes, and which contexts are in force after any answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomserver.session.negotiation import AcceptedContext, answer, contexts_of
from dicomserver.session.policy import AcceptorPolicy, storage_support
from dicomserver.session.proposal import accepted, propose
from dicomserver.wire.pdus import (
    AssociateAC, AssociateRQ, CommonExtendedNegotiation, ContextResult, ExtendedNegotiation, ProposedContext,
    RoleSelection, UserIdentityRQ, UserInformation,
)

VERIFICATION, CT, MR = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
STUDY_ROOT_FIND, PRIVATE = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.276.0.7230010.3.1.0.1"
IMPLICIT, EXPLICIT, LOSSLESS = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"
GE_PRIVATE = "1.2.840.113619.5.2"
TITLES = {"calling_ae_title": "OURS", "called_ae_title": "THEIRS"}


def role(scu, scp, uid=CT):
    return RoleSelection(sop_class_uid=uid, scu=scu, scp=scp)


def accept(rq, *results, **fields):
    """An A-ASSOCIATE-AC written by hand: (id, result, transfer syntax) for each context."""
    information = UserInformation(
        maximum_length=0, implementation_class_uid="1.2.3", implementation_version_name="PEER", **fields
    )
    return AssociateAC(
        called_ae_title=rq.called_ae_title, calling_ae_title=rq.calling_ae_title,
        application_context=rq.application_context, user_information=information,
        presentation_contexts=[
            ContextResult(context_id=number, result=result, transfer_syntax=syntax)
            for number, result, syntax in results
        ],
    )


def test_a_proposal_says_all_it_was_given():
    roles, identity = [role(True, True)], UserIdentityRQ(
        type=1, positive_response_requested=True, primary_field=b"user", secondary_field=b""
    )
    extended = [ExtendedNegotiation(sop_class_uid=STUDY_ROOT_FIND, application_information=b"\1\1")]
    common = [CommonExtendedNegotiation(sop_class_uid=PRIVATE, service_class_uid="1.2.3", related=[CT])]
    rq = propose(
        [(CT, (EXPLICIT, IMPLICIT)), (STUDY_ROOT_FIND, [IMPLICIT])], **TITLES, maximum_length=0,
        asynchronous_operations=(4, 1), role_selections=iter(roles), extended_negotiations=iter(extended),
        common_extended_negotiations=iter(common), user_identity=identity,
    )
    assert isinstance(rq, AssociateRQ) and rq.protocol_version == 1
    assert (rq.calling_ae_title, rq.called_ae_title) == ("OURS", "THEIRS")
    assert rq.application_context == "1.2.840.10008.3.1.1.1"
    assert rq.presentation_contexts == [
        ProposedContext(context_id=1, abstract_syntax=CT, transfer_syntaxes=[EXPLICIT, IMPLICIT]),
        ProposedContext(context_id=3, abstract_syntax=STUDY_ROOT_FIND, transfer_syntaxes=[IMPLICIT]),
    ]
    said = rq.user_information
    assert said.maximum_length == 0 and said.asynchronous_operations_window == (4, 1)
    assert (said.role_selections, said.extended_negotiations) == (roles, extended)
    assert (said.common_extended_negotiations, said.user_identity) == (common, identity)
    assert said.implementation_class_uid and 1 <= len(said.implementation_version_name) <= 16


def test_a_plain_proposal_asks_for_nothing_more():
    said = propose([(VERIFICATION, [IMPLICIT])], **TITLES).user_information
    assert said.maximum_length == 16384 and said.asynchronous_operations_window is None
    assert said.user_identity is None
    assert not (said.role_selections or said.extended_negotiations or said.common_extended_negotiations)


def test_128_contexts_have_the_odd_ids():
    rq = propose([(CT, [EXPLICIT])] * 128, **TITLES)
    assert [context.context_id for context in rq.presentation_contexts] == list(range(1, 256, 2))


@pytest.mark.parametrize("contexts", [[], [(CT, [EXPLICIT])] * 129, [(CT, [])], [(CT, [EXPLICIT]), (MR, ())]])
def test_contexts_that_cannot_be_proposed(contexts):
    with pytest.raises(ValueError, match="presentation contexts|transfer syntax"):
        propose(contexts, **TITLES)


@pytest.mark.parametrize("title", ["", "A" * 17, "A\\B", "Ä", "../x", "A\0"])
@pytest.mark.parametrize("which", TITLES)
def test_malformed_ae_titles_are_not_proposed(which, title):
    with pytest.raises(ValueError, match="AE title"):
        propose([(CT, [EXPLICIT])], **{**TITLES, which: title})


def test_what_was_accepted():
    proposals = [(CT, [EXPLICIT]), (CT, [LOSSLESS]), (STUDY_ROOT_FIND, [IMPLICIT]), (MR, [IMPLICIT])]
    rq = propose(proposals, **TITLES)
    ac = accept(rq, (1, 0, EXPLICIT), (3, 4, LOSSLESS), (5, 3, IMPLICIT), (7, 1, IMPLICIT))
    assert accepted(rq, ac) == {1: AcceptedContext(1, CT, EXPLICIT, as_scu=True, as_scp=False)}
    assert contexts_of(rq, ac) == {1: AcceptedContext(1, CT, EXPLICIT, as_scu=False, as_scp=True)}


@pytest.mark.parametrize("results", [
    [],
    [(3, 0, EXPLICIT)],
    [(2, 0, EXPLICIT)],
    [(1, 0, LOSSLESS)],
    [(1, 0, "")],
    [(1, 2, EXPLICIT)],
    [(1, 5, EXPLICIT)],
    [(1, 3, EXPLICIT), (1, 0, EXPLICIT)],
])
def test_a_sloppy_answer_gives_no_context(results):
    rq = propose([(CT, [EXPLICIT, IMPLICIT])], **TITLES)
    assert accepted(rq, accept(rq, *results)) == {}


@pytest.mark.parametrize(("proposed", "granted", "in_force"), [
    (None, None, (True, False)),
    (None, (0, 1), (True, False)),
    ((1, 1), None, (True, False)),
    ((1, 1), (1, 1), (True, True)),
    ((1, 1), (1, 0), (True, False)),
    ((1, 1), (0, 1), (False, True)),
    ((0, 1), (1, 1), (False, True)),
    ((1, 0), (1, 1), (True, False)),
    ((0, 1), (0, 0), (False, False)),
])
def test_roles_in_force(proposed, granted, in_force):
    asked = [role(*proposed)] if proposed else []
    rq = propose([(CT, [EXPLICIT])], **TITLES, role_selections=asked)
    ac = accept(rq, (1, 0, EXPLICIT), role_selections=[role(*granted)] if granted else [])
    ours, theirs = accepted(rq, ac)[1], contexts_of(rq, ac)[1]
    assert (ours.as_scu, ours.as_scp) == in_force == (theirs.as_scp, theirs.as_scu)


PROPOSALS = st.lists(
    st.tuples(
        st.sampled_from([VERIFICATION, CT, MR, STUDY_ROOT_FIND, PRIVATE]),
        st.lists(st.sampled_from([IMPLICIT, EXPLICIT, LOSSLESS, GE_PRIVATE]), min_size=1, unique=True),
    ),
    min_size=1,
    max_size=8,
)
ROLES = st.dictionaries(st.sampled_from([VERIFICATION, CT, MR]), st.tuples(st.booleans(), st.booleans()))


@given(PROPOSALS, ROLES, st.booleans(), st.booleans())
def test_both_sides_agree(proposals, roles, private, as_scu):
    asked = [role(*wanted, uid) for uid, wanted in roles.items()]
    rq = propose(proposals, **TITLES, role_selections=asked)
    storage = storage_support(as_scu=as_scu)
    ac = answer(rq, AcceptorPolicy("THEIRS", accept_private_sop_classes=private, storage=storage))
    assert [c.context_id for c in ac.presentation_contexts] == list(range(1, 2 * len(proposals), 2))
    ours, theirs = accepted(rq, ac), contexts_of(rq, ac)
    assert list(ours) == list(theirs) == [c.context_id for c in ac.presentation_contexts if c.result == 0]
    for number, context in ours.items():
        abstract_syntax, syntaxes = proposals[number // 2]
        assert context.abstract_syntax == abstract_syntax and context.transfer_syntax in syntaxes
        assert (context.as_scu, context.as_scp) == (theirs[number].as_scp, theirs[number].as_scu)
        assert context.as_scu or context.as_scp
        wanted = roles.get(abstract_syntax, (True, False))
        assert context.as_scu <= wanted[0] and context.as_scp <= wanted[1]
