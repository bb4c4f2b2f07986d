"""The PDUs of the upper layer (PS3.8 9.3) and their items as values; dicomserver.wire.pdu reads and writes them.

UIDs and AE titles are without padding. AE titles and version names are Latin-1, as they came: whether they are
good is for the negotiation to say.
"""
from __future__ import annotations

from dataclasses import dataclass, field

from dicomserver.standard.uids import APPLICATION_CONTEXT


@dataclass(slots=True)
class ProposedContext:
    """What the requestor offers (PS3.8 9.3.2.2)."""

    context_id: int                     # odd, 1-255
    abstract_syntax: str
    transfer_syntaxes: list[str]


@dataclass(slots=True)
class ContextResult:
    """The answer to one offer (PS3.8 9.3.3.2)."""

    context_id: int
    result: int                         # 0 accepted, 1 user, 2 no reason, 3 abstract syntax, 4 transfer syntaxes
    transfer_syntax: str                # means nothing unless accepted


@dataclass(slots=True)
class RoleSelection:
    """PS3.7 D.3.3.4."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(slots=True)
class ExtendedNegotiation:
    """PS3.7 D.3.3.5."""

    sop_class_uid: str
    application_information: bytes


@dataclass(slots=True)
class CommonExtendedNegotiation:
    """PS3.7 D.3.3.6."""

    sop_class_uid: str
    service_class_uid: str
    related: list[str]                  # related general SOP classes


@dataclass(slots=True)
class UserIdentityRQ:
    """PS3.7 D.3.3.7.1."""

    type: int                           # 1 user name, 2 and passcode, 3 Kerberos, 4 SAML, 5 JWT
    positive_response_requested: bool
    primary_field: bytes = field(repr=False)
    secondary_field: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class UserIdentityAC:
    """PS3.7 D.3.3.7.2."""

    server_response: bytes = field(repr=False)


@dataclass(slots=True)
class UserInformation:
    """The user information item and its sub-items (PS3.8 9.3.2.3, Annex D; PS3.7 D.3.3)."""

    maximum_length: int | None = None   # largest P-DATA-TF length field its sender takes; 0 no limit, None not said
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    asynchronous_operations_window: tuple[int, int] | None = None      # invoked, performed; 0 no limit
    role_selections: list[RoleSelection] = field(default_factory=list)
    extended_negotiations: list[ExtendedNegotiation] = field(default_factory=list)
    common_extended_negotiations: list[CommonExtendedNegotiation] = field(default_factory=list)
    user_identity: UserIdentityRQ | UserIdentityAC | None = None
    unknown: list[tuple[int, bytes]] = field(default_factory=list)     # item type, content


@dataclass(slots=True)
class AssociateRQ:
    """PS3.8 9.3.2."""

    called_ae_title: str
    calling_ae_title: str
    presentation_contexts: list[ProposedContext]
    user_information: UserInformation = field(default_factory=UserInformation)
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1           # bit 0: version 1


@dataclass(slots=True)
class AssociateAC:
    """PS3.8 9.3.3. The AE titles are reserved fields there: those of the request, and nobody tests them."""

    called_ae_title: str
    calling_ae_title: str
    presentation_contexts: list[ContextResult]
    user_information: UserInformation = field(default_factory=UserInformation)
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1


@dataclass(slots=True)
class AssociateRJ:
    """PS3.8 9.3.4."""

    result: int                         # 1 permanent, 2 transient
    source: int                         # 1 user, 2 provider (ACSE), 3 provider (presentation)
    reason: int                         # Table 9-21, by source


@dataclass(slots=True)
class ReleaseRQ:
    """PS3.8 9.3.6."""


@dataclass(slots=True)
class ReleaseRP:
    """PS3.8 9.3.7."""


@dataclass(slots=True)
class Abort:
    """PS3.8 9.3.8."""

    source: int                         # 0 user, 2 provider
    reason: int                         # dicomserver.wire.errors.REASON_*; 0 if the source is the user


@dataclass(slots=True)
class PDV:
    """A presentation data value item (PS3.8 9.3.5.1, Annex E)."""

    context_id: int
    control: int                        # bit 0: command, else dataset; bit 1: last fragment
    data: bytes = field(repr=False)


@dataclass(slots=True)
class DataTF:
    """PS3.8 9.3.5."""

    pdvs: list[PDV]
