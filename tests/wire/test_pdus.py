"""The values: what is not said is absent, and secrets do not show."""
from __future__ import annotations

from dicomserver.standard.uids import APPLICATION_CONTEXT
from dicomserver.wire.pdus import (
    PDV, AssociateAC, AssociateRQ, DataTF, ProposedContext, UserIdentityAC, UserIdentityRQ, UserInformation,
)


def test_what_is_not_said_is_absent() -> None:
    request = AssociateRQ("A", "B", [ProposedContext(1, "1.2", ["1.3"])])
    assert (request.application_context, request.protocol_version) == (APPLICATION_CONTEXT, 1)
    assert request.user_information == UserInformation()
    assert request.user_information.maximum_length is None
    assert request.user_information.user_identity is None


def test_two_values_share_nothing() -> None:
    one, other = UserInformation(), UserInformation()
    one.unknown.append((0x60, b""))
    assert other.unknown == []
    assert AssociateAC("A", "B", []).user_information is not AssociateAC("A", "B", []).user_information


def test_a_representation_shows_neither_secrets_nor_data() -> None:
    data = DataTF([PDV(1, 2, b"DOE^JOHN")])
    shown = repr([UserIdentityRQ(2, True, b"user", b"secret"), UserIdentityAC(b"ticket"), data])
    assert not [word for word in ("user", "secret", "ticket", "DOE") if f"b'{word}" in shown]
