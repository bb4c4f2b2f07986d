"""Association negotiation, pure: from an A-ASSOCIATE-RQ to its answer, from both to the contexts in force.

PS3.8 9.3.2 to 9.3.4 (application context, AE titles, presentation contexts), PS3.7 D.3.3 (user information).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

from dicomserver.session.policy import DEFAULT_MAXIMUM_LENGTH, AcceptorPolicy, Support
from dicomserver.standard.sop_classes import is_private_uid, storage_sop_classes
from dicomserver.standard.uids import (
    APPLICATION_CONTEXT,
    DEFLATED_EXPLICIT_VR_LE,
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    is_valid_uid,
)
from dicomserver.wire.pdus import (
    AssociateAC,
    AssociateRJ,
    AssociateRQ,
    ContextResult,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserIdentityAC,
    UserInformation,
)

STORAGE_SERVICE_CLASS = "1.2.840.10008.4.2"
SMALLEST_MAXIMUM_LENGTH = 8  # a PDV header takes six bytes and a fragment has an even length

# An AE title is never used as a path, but it is refused if it could be mistaken for one:
# the parts between slashes must not be empty, "." or "..".
_AE_TITLE = re.compile(r"(?!.*(?:^|/) *\.{0,2} *(?:/|$))[ -\[\]-~]{1,16}")

# Nothing is lost between these: they differ in how elements are written, not in what they say.
_UNCOMPRESSED = (EXPLICIT_VR_LE, IMPLICIT_VR_LE, DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_BE)


class NegotiationError(ValueError):
    """The peer's user information cannot be worked with; the association has to be aborted."""


class Result(IntEnum):
    """What became of a proposed presentation context (PS3.8 Table 9-18)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


class Rejection(Enum):
    """(result, source, reason) of an A-ASSOCIATE-RJ (PS3.8 Table 9-21); result 2 is transient."""

    NO_REASON_GIVEN = (1, 1, 1)
    APPLICATION_CONTEXT_NAME_NOT_SUPPORTED = (1, 1, 2)
    CALLING_AE_TITLE_NOT_RECOGNIZED = (1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = (1, 1, 7)
    PROVIDER_NO_REASON_GIVEN = (1, 2, 1)
    PROTOCOL_VERSION_NOT_SUPPORTED = (1, 2, 2)
    TEMPORARY_CONGESTION = (2, 3, 1)
    LOCAL_LIMIT_EXCEEDED = (2, 3, 2)

    def pdu(self) -> AssociateRJ:
        result, source, reason = self.value
        return AssociateRJ(result=result, source=source, reason=reason)


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context in force. as_scu, as_scp: the roles that our side may take in it."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    as_scu: bool
    as_scp: bool


def is_valid_ae_title(text: str) -> bool:
    """Whether it is an AE (PS3.5 6.2) without outer spaces: 1-16 ASCII characters, no control, no backslash.

    Stricter than the standard in one thing: what looks like a way through folders is refused.
    """
    return _AE_TITLE.fullmatch(text) is not None


def peer_maximum_length(information: UserInformation) -> int:
    """The most that the length field of a P-DATA-TF to the peer may say (PS3.8 D.1); 0 is no limit.

    Raises NegotiationError for a length that has no room for any fragment.
    """
    length = information.maximum_length
    if length is None:
        return DEFAULT_MAXIMUM_LENGTH
    if 0 < length < SMALLEST_MAXIMUM_LENGTH:
        raise NegotiationError(f"maximum length {length} leaves no room for data")
    return length


def answer(rq: AssociateRQ, policy: AcceptorPolicy) -> AssociateAC | AssociateRJ:
    """The acceptor's answer. An association is accepted even if none of its contexts is."""
    information = rq.user_information
    rejection = _rejection(rq, policy)
    if rejection is not None:
        return rejection.pdu()
    identity = None
    if information.user_identity is not None and policy.check_user_identity is not None:
        response = policy.check_user_identity(information.user_identity)
        if response is None:
            return Rejection.NO_REASON_GIVEN.pdu()
        if information.user_identity.positive_response_requested:
            identity = UserIdentityAC(server_response=response)
    negotiation = _Negotiation(rq, policy)
    results = [negotiation.result(proposed) for proposed in rq.presentation_contexts]
    return AssociateAC(
        called_ae_title=rq.called_ae_title,
        calling_ae_title=rq.calling_ae_title,
        application_context=rq.application_context,
        presentation_contexts=results,
        user_information=UserInformation(
            maximum_length=policy.maximum_length,
            implementation_class_uid=policy.implementation_class_uid,
            implementation_version_name=policy.implementation_version_name,
            asynchronous_operations_window=_window(information.asynchronous_operations_window, policy),
            role_selections=list(negotiation.roles.values()),
            extended_negotiations=list(negotiation.extended.values()),
            user_identity=identity,
        ),
    )


def _rejection(rq: AssociateRQ, policy: AcceptorPolicy) -> Rejection | None:
    if not rq.protocol_version & 1:
        return Rejection.PROTOCOL_VERSION_NOT_SUPPORTED
    if rq.application_context != APPLICATION_CONTEXT:
        return Rejection.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED
    called, calling = rq.called_ae_title, rq.calling_ae_title
    if not is_valid_ae_title(called) or (policy.check_called_ae_title and called != policy.ae_title):
        return Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED
    if not is_valid_ae_title(calling) or calling in policy.blocked_calling:
        return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
    if policy.allowed_calling is not None and calling not in policy.allowed_calling:
        return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
    try:
        peer_maximum_length(rq.user_information)
    except NegotiationError:
        return Rejection.PROVIDER_NO_REASON_GIVEN
    return None


def _window(proposed: tuple[int, int] | None, policy: AcceptorPolicy) -> tuple[int, int] | None:
    """PS3.7 D.3.3.3: never more than was proposed."""
    if proposed is None:
        return None
    invoked, performed = zip(policy.asynchronous_operations, proposed, strict=True)
    return min(invoked) or max(invoked), min(performed) or max(performed)  # 0 is no limit


class _Negotiation:
    """The contexts of one request; what is granted about SOP classes gathers in `roles` and `extended`."""

    __slots__ = ("policy", "roles", "extended", "_proposed_roles", "_proposed_extended", "_related")

    def __init__(self, rq: AssociateRQ, policy: AcceptorPolicy) -> None:
        information = rq.user_information
        self.policy = policy
        self.roles: dict[str, RoleSelection] = {}
        self.extended: dict[str, ExtendedNegotiation] = {}
        self._proposed_roles = {role.sop_class_uid: role for role in information.role_selections}
        self._proposed_extended = {item.sop_class_uid: item for item in information.extended_negotiations}
        self._related = {item.sop_class_uid: item for item in information.common_extended_negotiations}

    def result(self, proposed: ProposedContext) -> ContextResult:
        """A refused context names the first transfer syntax proposed, which means nothing (PS3.8 9.3.3.2)."""
        result, transfer_syntax = self._outcome(proposed)
        return ContextResult(
            context_id=proposed.context_id,
            result=result,
            transfer_syntax=transfer_syntax or proposed.transfer_syntaxes[0],
        )

    def _outcome(self, proposed: ProposedContext) -> tuple[Result, str | None]:
        uid = proposed.abstract_syntax
        support = self._support(uid)
        if support is None:
            return Result.ABSTRACT_SYNTAX_NOT_SUPPORTED, None
        role = self._role(uid, support)
        if not (role.scu or role.scp):
            return Result.USER_REJECTION, None
        transfer_syntax = choose_transfer_syntax(proposed.transfer_syntaxes, support.transfer_syntaxes)
        if transfer_syntax is None:
            return Result.TRANSFER_SYNTAXES_NOT_SUPPORTED, None
        if uid in self._proposed_roles:
            self.roles[uid] = role
        extended = self._proposed_extended.get(uid)
        if extended is not None and support.application_information is not None:
            granted = support.application_information(extended.application_information)
            self.extended[uid] = ExtendedNegotiation(sop_class_uid=uid, application_information=granted)
        return Result.ACCEPTANCE, transfer_syntax

    def _support(self, uid: str) -> Support | None:
        """A class unknown to us is what the peer says that it is (PS3.7 D.3.3.6), else storage if private."""
        known = self._known(uid)
        if known is not None or not is_valid_uid(uid):
            return known
        private = is_private_uid(uid)
        if private and not self.policy.accept_private_sop_classes:
            return None
        related = self._related.get(uid)
        if related is None:
            return self.policy.storage if private else None
        if related.service_class_uid == STORAGE_SERVICE_CLASS:
            return self.policy.storage
        return next(filter(None, map(self._known, related.related)), None)

    def _known(self, uid: str) -> Support | None:
        return self.policy.storage if uid in storage_sop_classes() else self.policy.sop_classes.get(uid)

    def _role(self, uid: str, support: Support) -> RoleSelection:
        """The requestor's roles (PS3.7 D.3.3.4): those proposed that we can match, else SCU."""
        proposed = self._proposed_roles.get(uid)
        if proposed is None:
            return RoleSelection(sop_class_uid=uid, scu=support.as_scp, scp=False)
        return RoleSelection(
            sop_class_uid=uid,
            scu=bool(proposed.scu and support.as_scp),
            scp=bool(proposed.scp and support.as_scu),
        )


def choose_transfer_syntax(proposed: Sequence[str], acceptable: frozenset[str]) -> str | None:
    """The one to use among those proposed for a context; None if none is acceptable.

    The requestor knows what its objects are, so the first acceptable one that it names decides whether they
    come compressed or not, as in dcm4chee: an order of ours would make it decompress what it holds
    compressed, or compress, perhaps with loss, what it holds as it is. Among the uncompressed ones, between
    which nothing is lost, the order is ours: explicit before implicit VR, which forgets the VR of private
    elements; then deflated; the retired big endian last.
    """
    first = next((uid for uid in proposed if uid in acceptable), None)
    if first in _UNCOMPRESSED:
        return next(uid for uid in _UNCOMPRESSED if uid in proposed and uid in acceptable)
    return first


def contexts_of(rq: AssociateRQ, ac: AssociateAC, *, requestor: bool = False) -> dict[int, AcceptedContext]:
    """The contexts in force by their id, seen from the acceptor or, if `requestor`, from the requestor.

    What a sloppy acceptor adds is left out: ids and transfer syntaxes that were not proposed, a second
    result for an id, roles that were not proposed. A context without a result is refused.
    """
    proposals = {context.context_id: context for context in rq.presentation_contexts}
    proposed_roles = {role.sop_class_uid: role for role in rq.user_information.role_selections}
    granted_roles = {role.sop_class_uid: role for role in ac.user_information.role_selections}
    contexts: dict[int, AcceptedContext] = {}
    for answered in ac.presentation_contexts:
        proposed = proposals.pop(answered.context_id, None)
        if proposed is None or answered.result != Result.ACCEPTANCE:
            continue
        if answered.transfer_syntax not in proposed.transfer_syntaxes:
            continue
        uid = proposed.abstract_syntax
        scu, scp = _roles_in_force(proposed_roles.get(uid), granted_roles.get(uid))
        as_scu, as_scp = (scu, scp) if requestor else (scp, scu)
        contexts[answered.context_id] = AcceptedContext(
            answered.context_id, uid, answered.transfer_syntax, as_scu, as_scp
        )
    return contexts


def _roles_in_force(proposed: RoleSelection | None, granted: RoleSelection | None) -> tuple[bool, bool]:
    """The requestor's (SCU, SCP) roles; without both items the default ones (PS3.7 D.3.3.4)."""
    if proposed is None or granted is None:
        return True, False
    return bool(proposed.scu and granted.scu), bool(proposed.scp and granted.scp)
