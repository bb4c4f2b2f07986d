"""The DIMSE messages (PS3.7 E.1-1) and the responses to them."""
from __future__ import annotations

from typing import Any

from dicomserver.wire.command import CommandSet

C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
C_GET_RQ = 0x0010
C_GET_RSP = 0x8010
C_FIND_RQ = 0x0020
C_FIND_RSP = 0x8020
C_MOVE_RQ = 0x0021
C_MOVE_RSP = 0x8021
C_ECHO_RQ = 0x0030
C_ECHO_RSP = 0x8030
N_EVENT_REPORT_RQ = 0x0100
N_EVENT_REPORT_RSP = 0x8100
N_GET_RQ = 0x0110
N_GET_RSP = 0x8110
N_SET_RQ = 0x0120
N_SET_RSP = 0x8120
N_ACTION_RQ = 0x0130
N_ACTION_RSP = 0x8130
N_CREATE_RQ = 0x0140
N_CREATE_RSP = 0x8140
N_DELETE_RQ = 0x0150
N_DELETE_RSP = 0x8150
C_CANCEL_RQ = 0x0FFF

RESPONSE = 0x8000                   # the bit that makes a request's command field that of its response

PRIORITY_MEDIUM = 0
PRIORITY_HIGH = 1
PRIORITY_LOW = 2

NO_DATA_SET = 0x0101                # (0000,0800); every other value means that a dataset follows
DATA_SET_FOLLOWS = 0x0001

# The services by their requests' command field (PS3.7 9.1, 10.1); C-CANCEL, which has no response, is none.
SERVICES = {
    C_STORE_RQ: "C-STORE", C_GET_RQ: "C-GET", C_FIND_RQ: "C-FIND", C_MOVE_RQ: "C-MOVE", C_ECHO_RQ: "C-ECHO",
    N_EVENT_REPORT_RQ: "N-EVENT-REPORT", N_GET_RQ: "N-GET", N_SET_RQ: "N-SET", N_ACTION_RQ: "N-ACTION",
    N_CREATE_RQ: "N-CREATE", N_DELETE_RQ: "N-DELETE",
}


def response_to(request: CommandSet, status: int, **more: Any) -> CommandSet:
    """The response to `request`: its command field, message id and UIDs, and `status`, without a dataset.

    `more` are further elements by keyword, or others instead of these: a response with a dataset says
    `command_data_set_type=DATA_SET_FOLLOWS`. Unknown requests are answered in the same way; a response, or
    C-CANCEL-RQ, has no response: ValueError.
    """
    if request.command_field & RESPONSE or request.command_field == C_CANCEL_RQ:
        raise ValueError(f"no response to a message with command field {request.command_field:04X}H")
    affected_class, affected_instance = request.affected_sop_class_uid, request.affected_sop_instance_uid
    response = CommandSet(
        command_field=request.command_field | RESPONSE,
        message_id_being_responded_to=request.message_id,
        command_data_set_type=NO_DATA_SET,
        status=status,
        # An N-service names in the request what is requested, in the response what was affected.
        affected_sop_class_uid=request.requested_sop_class_uid if affected_class is None else affected_class,
        affected_sop_instance_uid=request.requested_sop_instance_uid if affected_instance is None
        else affected_instance,
    )
    for keyword, value in more.items():
        setattr(response, keyword, value)
    return response
