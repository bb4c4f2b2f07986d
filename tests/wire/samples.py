"""One good value of each kind, for the tests and as the fuzzers' corpus."""
from __future__ import annotations

from dicomserver.wire import commands as dimse
from dicomserver.wire.command import CommandSet
from dicomserver.wire.part10 import encode_file_meta
from dicomserver.wire.pdus import (
    PDV, Abort, AssociateAC, AssociateRJ, AssociateRQ, CommonExtendedNegotiation, ContextResult, DataTF,
    ExtendedNegotiation, ProposedContext, ReleaseRP, ReleaseRQ, RoleSelection, UserIdentityAC, UserIdentityRQ,
    UserInformation,
)

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
INSTANCE = "1.2.840.113619.2.55.3.604688119.971.1422544799.123"


def every_sub_item(identity: UserIdentityRQ | UserIdentityAC) -> UserInformation:
    """All of PS3.7 D.3.3 at once, and one that nobody knows."""
    return UserInformation(
        maximum_length=16384, implementation_class_uid="1.2.3.4", implementation_version_name="SAMPLE_1",
        asynchronous_operations_window=(5, 7),
        role_selections=[RoleSelection(CT, True, True), RoleSelection(FIND, False, True)],
        extended_negotiations=[ExtendedNegotiation(FIND, b"\1\0\1"), ExtendedNegotiation(CT, b"")],
        common_extended_negotiations=[CommonExtendedNegotiation(CT, "1.2.840.10008.4.2", ["1.2.3", "1.2.3.44"]),
                                      CommonExtendedNegotiation(FIND, "1.2.840.10008.4.2", [])],
        user_identity=identity, unknown=[(0x60, b"what is this"), (0x7F, b"")])


PDUS = {
    "RQ": AssociateRQ("PACS", "SCANNER", [ProposedContext(1, VERIFICATION, [IMPLICIT])]),
    "RQ with everything": AssociateRQ(
        "CALLED AE TITLE1", "A", [ProposedContext(1, CT, [EXPLICIT, IMPLICIT]), ProposedContext(255, FIND, [IMPLICIT])],
        every_sub_item(UserIdentityRQ(2, True, b"user", b"passcode"))),
    "RQ of 128 contexts": AssociateRQ(
        "PACS", "SCANNER", [ProposedContext(number, f"{CT}.{number}", [EXPLICIT] * 50) for number in range(1, 256, 2)]),
    "AC": AssociateAC("PACS", "SCANNER", [ContextResult(1, 0, IMPLICIT)], UserInformation(0, "1.2", "V")),
    "AC with everything": AssociateAC(
        "PACS", "SCANNER", [ContextResult(1, 0, EXPLICIT), ContextResult(3, 3, ""), ContextResult(5, 4, IMPLICIT)],
        every_sub_item(UserIdentityAC(b"ticket"))),
    "RJ": AssociateRJ(2, 3, 2),
    "RELEASE-RQ": ReleaseRQ(),
    "RELEASE-RP": ReleaseRP(),
    "ABORT": Abort(2, 6),
    "P-DATA": DataTF([PDV(1, 3, b"command"), PDV(1, 2, b"dataset!")]),
    "P-DATA, empty fragment": DataTF([PDV(255, 2, b"")]),
}

_REQUEST = {"message_id": 7, "command_data_set_type": dimse.DATA_SET_FOLLOWS}
_RESPONSE = {"message_id_being_responded_to": 7, "command_data_set_type": dimse.NO_DATA_SET, "status": 0}
_AFFECTED = {"affected_sop_class_uid": CT, "affected_sop_instance_uid": INSTANCE}
_REQUESTED = {"requested_sop_class_uid": CT, "requested_sop_instance_uid": INSTANCE}
_COUNTS = {"number_of_remaining_suboperations": 4, "number_of_completed_suboperations": 3,
           "number_of_failed_suboperations": 2, "number_of_warning_suboperations": 1}

# Every message of PS3.7 9.3 and 10.3 with every element that its tables have, 9.1 and 10.1 for the statuses' own.
COMMANDS = {name: CommandSet(command_field=getattr(dimse, name), **elements) for name, elements in {
    "C_STORE_RQ": {**_REQUEST, **_AFFECTED, "priority": 0, "move_originator_application_entity_title": "MOVER",
                   "move_originator_message_id": 21},
    "C_STORE_RSP": {**_RESPONSE, **_AFFECTED, "status": 0xA900, "offending_element": [0x00080016, 0x00080018],
                    "error_comment": "does not match"},
    "C_FIND_RQ": {**_REQUEST, "affected_sop_class_uid": FIND, "priority": 1},
    "C_FIND_RSP": {**_RESPONSE, "affected_sop_class_uid": FIND, "status": 0xFF00, "command_data_set_type": 0},
    "C_GET_RQ": {**_REQUEST, "affected_sop_class_uid": FIND, "priority": 2},
    "C_GET_RSP": {**_RESPONSE, **_COUNTS, "affected_sop_class_uid": FIND, "status": 0xFF00},
    "C_MOVE_RQ": {**_REQUEST, "affected_sop_class_uid": FIND, "priority": 0, "move_destination": "WORKSTATION"},
    "C_MOVE_RSP": {**_RESPONSE, **_COUNTS, "affected_sop_class_uid": FIND, "status": 0xB000, "error_comment": "some"},
    "C_ECHO_RQ": {**_REQUEST, "affected_sop_class_uid": VERIFICATION, "command_data_set_type": dimse.NO_DATA_SET},
    "C_ECHO_RSP": {**_RESPONSE, "affected_sop_class_uid": VERIFICATION},
    "C_CANCEL_RQ": {"message_id_being_responded_to": 7, "command_data_set_type": dimse.NO_DATA_SET},
    "N_EVENT_REPORT_RQ": {**_REQUEST, **_AFFECTED, "event_type_id": 2},
    "N_EVENT_REPORT_RSP": {**_RESPONSE, **_AFFECTED, "event_type_id": 2},
    "N_GET_RQ": {**_REQUEST, **_REQUESTED, "attribute_identifier_list": [0x00100010, 0x7FE00010, 0xFFFFFFFF],
                 "command_data_set_type": dimse.NO_DATA_SET},
    "N_GET_RSP": {**_RESPONSE, **_AFFECTED, "attribute_identifier_list": [0x00100010]},
    "N_SET_RQ": {**_REQUEST, **_REQUESTED},
    "N_SET_RSP": {**_RESPONSE, **_AFFECTED, "status": 0x0110, "error_id": 99,
                  "attribute_identifier_list": [0x00100010]},
    "N_ACTION_RQ": {**_REQUEST, **_REQUESTED, "action_type_id": 1},
    "N_ACTION_RSP": {**_RESPONSE, **_AFFECTED, "action_type_id": 1},
    "N_CREATE_RQ": {**_REQUEST, **_AFFECTED},
    "N_CREATE_RSP": {**_RESPONSE, **_AFFECTED},
    "N_DELETE_RQ": {**_REQUEST, **_REQUESTED, "command_data_set_type": dimse.NO_DATA_SET},
    "N_DELETE_RSP": {**_RESPONSE, **_AFFECTED},
}.items()}

PREAMBLE = bytes(range(128))
METAS = {
    "whole": PREAMBLE + b"DICM" + encode_file_meta(
        CT, INSTANCE, EXPLICIT, source_ae="SCANNER", sending_ae="SENDER", receiving_ae="PACS",
        received_at="20260102030405.678901+0100"),
    "short": bytes(128) + b"DICM" + encode_file_meta(CT, INSTANCE, IMPLICIT),
}
