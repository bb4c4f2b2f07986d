"""The requestor's side of negotiation, pure: what to propose, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dicomserver.session.negotiation import AcceptedContext, contexts_of, is_valid_ae_title
from dicomserver.session.policy import DEFAULT_MAXIMUM_LENGTH
from dicomserver.standard.uids import (
    APPLICATION_CONTEXT,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from dicomserver.wire.pdus import (
    AssociateAC,
    AssociateRQ,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserIdentityRQ,
    UserInformation,
)

MOST_CONTEXTS = 128  # odd ids from 1 to 255


def propose(
    contexts: Iterable[tuple[str, Sequence[str]]],
    *,
    calling_ae_title: str,
    called_ae_title: str,
    maximum_length: int = DEFAULT_MAXIMUM_LENGTH,
    asynchronous_operations: tuple[int, int] | None = None,
    role_selections: Iterable[RoleSelection] = (),
    extended_negotiations: Iterable[ExtendedNegotiation] = (),
    common_extended_negotiations: Iterable[CommonExtendedNegotiation] = (),
    user_identity: UserIdentityRQ | None = None,
) -> AssociateRQ:
    """A request for (abstract syntax, transfer syntaxes) pairs, which get the ids 1, 3, 5 … in their order.

    Raises ValueError if there are none or more than 128, if one has no transfer syntax, or for a malformed
    AE title.
    """
    for title in (calling_ae_title, called_ae_title):
        if not is_valid_ae_title(title):
            raise ValueError(f"not an AE title: {title!r}")
    proposals = list(_proposals(contexts))
    if not 1 <= len(proposals) <= MOST_CONTEXTS:
        raise ValueError(f"{len(proposals)} presentation contexts are not 1 to {MOST_CONTEXTS}")
    return AssociateRQ(
        called_ae_title=called_ae_title,
        calling_ae_title=calling_ae_title,
        application_context=APPLICATION_CONTEXT,
        presentation_contexts=proposals,
        user_information=UserInformation(
            maximum_length=maximum_length,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            asynchronous_operations_window=asynchronous_operations,
            role_selections=list(role_selections),
            extended_negotiations=list(extended_negotiations),
            common_extended_negotiations=list(common_extended_negotiations),
            user_identity=user_identity,
        ),
    )


def _proposals(contexts: Iterable[tuple[str, Sequence[str]]]) -> Iterator[ProposedContext]:
    for number, (abstract_syntax, syntaxes) in enumerate(contexts):
        if not syntaxes:
            raise ValueError(f"no transfer syntax is proposed for {abstract_syntax}")
        yield ProposedContext(
            context_id=2 * number + 1, abstract_syntax=abstract_syntax, transfer_syntaxes=list(syntaxes)
        )


def accepted(rq: AssociateRQ, ac: AssociateAC) -> dict[int, AcceptedContext]:
    """What the requestor of `rq` may use, by context id; empty if the acceptor took nothing."""
    return contexts_of(rq, ac, requestor=True)
