"""What an acceptor takes: the SOP classes with their transfer syntaxes and roles, and who may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from dicomserver.standard.transfer_syntaxes import transfer_syntaxes
from dicomserver.standard.uids import (
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_VR_LE,
    VERIFICATION,
)
from dicomserver.wire.pdus import UserIdentityRQ

DEFAULT_MAXIMUM_LENGTH = 16384


@dataclass(frozen=True, slots=True)
class Support:
    """How an abstract syntax is supported here.

    as_scp: we perform its operations (the requestor's SCU role, the default one). as_scu: we may invoke them
    on an association that the peer has opened (its SCP role, which it has to propose: C-GET).
    application_information: answers SOP Class Extended Negotiation from the bytes proposed; None: no answer.
    """

    transfer_syntaxes: frozenset[str]
    as_scp: bool = True
    as_scu: bool = False
    application_information: Callable[[bytes], bytes] | None = None


def _storage_information(_proposed: bytes) -> bytes:
    """PS3.4 B.3.1: level 2 (full) storage, digital signatures of level 3 (bits preserved), no coercion."""
    return bytes((2, 0, 3, 0, 0, 0))


@cache
def plain_syntaxes() -> frozenset[str]:
    """For small datasets that we read whole, and for none."""
    return frozenset((EXPLICIT_VR_LE, IMPLICIT_VR_LE, EXPLICIT_VR_BE))


@cache
def verification_support() -> Support:
    """C-ECHO has no dataset: any plain encoding will do."""
    return Support(plain_syntaxes())


@cache
def storage_support(as_scu: bool = False) -> Support:
    """Every transfer syntax of the dictionary, as whatever arrives is kept bit for bit.

    A private one is refused: nothing says how its dataset is encoded (GE's 1.2.840.113619.5.2 is implicit VR,
    with pixel data alone in big endian), so it could be neither checked nor indexed.
    """
    return Support(transfer_syntaxes(), as_scu=as_scu, application_information=_storage_information)


def _verification_only() -> Mapping[str, Support]:
    return {VERIFICATION: verification_support()}


@dataclass(frozen=True, slots=True)
class AcceptorPolicy:
    """What we accept, and what we say of ourselves. AE titles are compared exactly, without outer spaces.

    allowed_calling: None allows everybody; blocked_calling wins.
    maximum_length: what we announce, 0 is no limit.
    storage: for every storage SOP class, those that a peer declares to be such (PS3.7 D.3.3.6) and, if
    accept_private_sop_classes, private ones; None: no storage. sop_classes: all others, by their UID.
    asynchronous_operations: the most that the requestor may invoke and perform, 0 is no limit.
    check_user_identity: gives the server's response (b"" where the type has none) if the identity is good,
    else None, and the association is rejected; without a checker identities are ignored.
    """

    ae_title: str
    check_called_ae_title: bool = False
    allowed_calling: frozenset[str] | None = None
    blocked_calling: frozenset[str] = frozenset()
    maximum_length: int = DEFAULT_MAXIMUM_LENGTH
    storage: Support | None = field(default_factory=storage_support)
    sop_classes: Mapping[str, Support] = field(default_factory=_verification_only)
    accept_private_sop_classes: bool = True
    asynchronous_operations: tuple[int, int] = (1, 1)
    implementation_class_uid: str = IMPLEMENTATION_CLASS_UID
    implementation_version_name: str = IMPLEMENTATION_VERSION_NAME
    check_user_identity: Callable[[UserIdentityRQ], bytes | None] | None = None
