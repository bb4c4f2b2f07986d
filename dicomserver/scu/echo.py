"""C-ECHO as a requester (PS3.7 9.1.5, PS3.4 A)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from dicomserver.scu.failures import NotNegotiated, Violated
from dicomserver.scu.peer import Peer
from dicomserver.scu.requester import Requester
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import C_ECHO_RQ, C_ECHO_RSP, NO_DATA_SET

CONTEXT = (VERIFICATION, (IMPLICIT_VR_LE, EXPLICIT_VR_LE))


@dataclass(frozen=True, slots=True)
class Echo:
    """status: of the C-ECHO-RSP, 0 is success. association_seconds, echo_seconds: round-trip times."""

    status: int
    association_seconds: float
    echo_seconds: float
    is_same_machine: bool


def echo(host: str, port: int, *, calling_ae_title: str, called_ae_title: str, timeout: float = 30) -> Echo:
    """Associates, sends one C-ECHO-RQ and releases. Raises AssociationFailed."""
    answer, = echoes(Peer(host=host, port=port, calling_ae_title=calling_ae_title, called_ae_title=called_ae_title,
                          timeout=timeout), 1)
    return answer


def echoes(peer: Peer, count: int) -> Iterator[Echo]:
    """`count` C-ECHOs over one association, each answered before the next one. Raises AssociationFailed."""
    with peer.associate([CONTEXT]) as association:
        context = association.context_for(VERIFICATION)
        if context is None:
            raise NotNegotiated("does not offer C-ECHO")
        for number in range(count):
            yield echo_over(association, context.context_id, message_id=number % 65535 + 1)


def echo_over(association: Requester, context_id: int, message_id: int) -> Echo:
    """One C-ECHO over an open association. Raises AssociationFailed."""
    begun = time.monotonic()
    association.send(context_id, CommandSet(affected_sop_class_uid=VERIFICATION, command_field=C_ECHO_RQ,
                                            message_id=message_id, command_data_set_type=NO_DATA_SET))
    response = association.receive().command
    answers = response.command_field == C_ECHO_RSP and response.message_id_being_responded_to == message_id
    if not answers or response.status is None:
        raise Violated("answered something else than the C-ECHO")
    return Echo(response.status, association.round_trip, time.monotonic() - begun, association.is_same_machine)
