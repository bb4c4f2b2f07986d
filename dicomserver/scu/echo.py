"""C-ECHO as a requester (PS3.7 9.1.5, PS3.4 A)."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dicomserver.scu.failures import NotNegotiated, Violated
from dicomserver.scu.requester import Requester
from dicomserver.session.proposal import propose
from dicomserver.standard.uids import EXPLICIT_VR_LE, IMPLICIT_VR_LE, VERIFICATION
from dicomserver.wire.command import CommandSet
from dicomserver.wire.commands import C_ECHO_RQ, C_ECHO_RSP

NO_DATA_SET = 0x0101


@dataclass(frozen=True, slots=True)
class Echo:
    """status: of the C-ECHO-RSP, 0 is success. association_seconds, echo_seconds: round-trip times."""

    status: int
    association_seconds: float
    echo_seconds: float
    is_same_machine: bool


def echo(host: str, port: int, *, calling_ae_title: str, called_ae_title: str, timeout: float = 30) -> Echo:
    """Associates, sends one C-ECHO-RQ and releases. Raises AssociationFailed."""
    request = propose([(VERIFICATION, (IMPLICIT_VR_LE, EXPLICIT_VR_LE))],
                      calling_ae_title=calling_ae_title, called_ae_title=called_ae_title)
    with Requester(host, port, request, timeout=timeout) as association:
        context = association.context_for(VERIFICATION)
        if context is None:
            raise NotNegotiated("does not offer C-ECHO")
        begun = time.monotonic()
        association.send(context.context_id, _echo_request(message_id=1))
        status = _status_of(association.receive().command, message_id=1)
        return Echo(status, association.round_trip, time.monotonic() - begun, association.is_same_machine)


def _echo_request(message_id: int) -> CommandSet:
    return CommandSet(affected_sop_class_uid=VERIFICATION, command_field=C_ECHO_RQ, message_id=message_id,
                      command_data_set_type=NO_DATA_SET)


def _status_of(response: CommandSet, message_id: int) -> int:
    answers = response.command_field == C_ECHO_RSP and response.message_id_being_responded_to == message_id
    if not answers or response.status is None:
        raise Violated("answered something else than the C-ECHO")
    return response.status
