"""Values for hypothesis: all that the standard allows, and what devices in the field do beyond it."""
from __future__ import annotations

from hypothesis import strategies as st

from dicomserver.wire import commands as dimse
from dicomserver.wire.command import CommandSet
from dicomserver.wire.pdus import (
    PDV, Abort, AssociateAC, AssociateRJ, AssociateRQ, CommonExtendedNegotiation, ContextResult, DataTF,
    ExtendedNegotiation, ProposedContext, ReleaseRP, ReleaseRQ, RoleSelection, UserIdentityAC, UserIdentityRQ,
    UserInformation,
)

u8, u16, u32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
uids = st.from_regex(r"[1-9][0-9]{0,5}(\.(0|[1-9][0-9]{0,8})){1,5}", fullmatch=True)
some_bytes = st.binary(max_size=40)

_PRINTABLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\")
ae_titles = st.text(_PRINTABLE, min_size=1, max_size=16)
# Any byte, but not the padding at the ends that no decoder can tell from the field's own.
any_titles = st.text(st.characters(max_codepoint=0xFF), max_size=16).map(
    lambda text: text.rstrip(" \0").lstrip(" "))


def contexts(values: st.SearchStrategy, **size: int) -> st.SearchStrategy:
    """Lists of contexts with odd ids, each id once. `values` makes a function from an id to a context."""
    ids = st.integers(0, 127).map(lambda number: 2 * number + 1)
    return st.dictionaries(ids, values, **size).map(lambda made: [make(number) for number, make in made.items()])


def _proposed(abstract: str, transfer: list[str]):
    return lambda number: ProposedContext(number, abstract, transfer)


def _result(result: int, transfer: str):
    return lambda number: ContextResult(number, result, transfer)


proposals = contexts(st.builds(_proposed, uids, st.lists(uids, min_size=1, max_size=4)), min_size=1, max_size=6)
results = contexts(st.builds(_result, st.integers(0, 4), uids), max_size=6)

_some = st.binary(min_size=1, max_size=40)
identity_rq = st.builds(UserIdentityRQ, st.sampled_from([1, 3, 4, 5]), st.booleans(), _some) | st.builds(
    UserIdentityRQ, st.just(2), st.booleans(), _some, _some)
identity_ac = st.builds(UserIdentityAC, _some)
any_identity_rq = st.builds(UserIdentityRQ, u8, st.booleans(), some_bytes, some_bytes)
any_identity_ac = st.builds(UserIdentityAC, some_bytes)


def user_information(identity: st.SearchStrategy, strange: bool) -> st.SearchStrategy:
    """`strange`: with sub-items of unknown type, and names that the standard forbids."""
    names = any_titles if strange else st.just("") | ae_titles
    unknown = st.tuples(st.integers(0, 0x50) | st.integers(0x5A, 0xFF), some_bytes)
    return st.builds(
        UserInformation, st.none() | u32, st.just("") | uids, names, st.none() | st.tuples(u16, u16),
        st.lists(st.builds(RoleSelection, uids, st.booleans(), st.booleans()), max_size=3,
                 unique_by=lambda role: role.sop_class_uid),
        st.lists(st.builds(ExtendedNegotiation, uids, some_bytes), max_size=3),
        st.lists(st.builds(CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=3)), max_size=3),
        st.none() | identity, st.lists(unknown, max_size=3) if strange else st.just([]))


def pdus(strange: bool) -> st.SearchStrategy:
    """Every PDU with every sub-item."""
    titles = any_titles if strange else ae_titles
    identity = (any_identity_rq, any_identity_ac) if strange else (identity_rq, identity_ac)
    return st.one_of(
        st.builds(AssociateRQ, titles, titles, proposals, user_information(identity[0], strange), uids,
                  u16 if strange else st.just(1)),
        st.builds(AssociateAC, titles, titles, results, user_information(identity[1], strange), uids,
                  u16 if strange else st.just(1)),
        st.builds(AssociateRJ, u8, u8, u8), st.builds(Abort, u8, u8), st.just(ReleaseRQ()), st.just(ReleaseRP()),
        st.builds(DataTF, st.lists(st.builds(PDV, u8, u8, some_bytes), min_size=1, max_size=4)))


_UID_ELEMENTS = {
    "affected_sop_class_uid", "requested_sop_class_uid", "affected_sop_instance_uid", "requested_sop_instance_uid"}
_TAG_ELEMENTS = {"offending_element", "attribute_identifier_list"}
_TEXT_ELEMENTS = {"move_destination": any_titles, "error_comment": any_titles,
                  "move_originator_application_entity_title": any_titles}


def value_of(keyword: str) -> st.SearchStrategy:
    """What a command element may hold."""
    if keyword in _UID_ELEMENTS:
        return uids
    if keyword in _TAG_ELEMENTS:
        return st.lists(u32, max_size=5)
    return _TEXT_ELEMENTS.get(keyword, u16)


def command_sets(keywords: set[str], field: int) -> st.SearchStrategy:
    """Command sets with this command field, what an answer needs, and any of these elements."""
    needed = {"command_data_set_type"}
    if field & dimse.RESPONSE or field == dimse.C_CANCEL_RQ:
        needed |= {"message_id_being_responded_to"} | ({"status"} if field & dimse.RESPONSE else set())
    else:
        needed |= {"message_id"}
    return st.fixed_dictionaries(
        {name: value_of(name) for name in sorted(needed)},
        optional={name: value_of(name) for name in sorted(keywords - needed - {"command_field"})},
    ).map(lambda elements: CommandSet(command_field=field, **elements))
