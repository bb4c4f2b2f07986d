"""pynetdicom's PDU objects as our values: the oracle's side of the comparison."""
from __future__ import annotations

from typing import Any

from pynetdicom import pdu, pdu_items

from dicomserver.wire.pdus import (
    PDV, Abort, AssociateAC, AssociateRJ, AssociateRQ, CommonExtendedNegotiation, ContextResult, DataTF,
    ExtendedNegotiation, ProposedContext, ReleaseRP, ReleaseRQ, RoleSelection, UserIdentityAC, UserIdentityRQ,
    UserInformation,
)


def as_ours(theirs: Any) -> Any:
    """The same PDU as one of dicomserver.wire.pdus."""
    return _CONVERT[type(theirs)](theirs)


def _rq(theirs: pdu.A_ASSOCIATE_RQ) -> AssociateRQ:
    proposals = [ProposedContext(item.presentation_context_id, str(item.abstract_syntax), _texts(item.transfer_syntax))
                 for item in theirs.presentation_context]
    return AssociateRQ(theirs.called_ae_title.strip(), theirs.calling_ae_title.strip(), proposals,
                       _user_information(theirs.user_information), str(theirs.application_context_name or ""),
                       theirs.protocol_version)


def _ac(theirs: pdu.A_ASSOCIATE_AC) -> AssociateAC:
    results = [ContextResult(item.presentation_context_id, item.result_reason, str(item.transfer_syntax or ""))
               for item in theirs.presentation_context]
    return AssociateAC(theirs.reserved_aet.strip(), theirs.reserved_aec.strip(), results,
                       _user_information(theirs.user_information), str(theirs.application_context_name or ""),
                       theirs.protocol_version)


def _data(theirs: pdu.P_DATA_TF) -> DataTF:
    # There the control header is the first byte of the data.
    return DataTF([PDV(item.presentation_context_id, item.presentation_data_value[0], item.presentation_data_value[1:])
                   for item in theirs.presentation_data_value_items])


def _texts(uids: list) -> list[str]:
    return [str(uid) for uid in uids]


def _user_information(theirs: pdu_items.UserInformationItem) -> UserInformation:
    ours = UserInformation()
    for item in theirs.user_data:
        _SUB_ITEMS[type(item)](ours, item)
    return ours


def _maximum_length(ours: UserInformation, item: Any) -> None:
    ours.maximum_length = item.maximum_length_received


def _class_uid(ours: UserInformation, item: Any) -> None:
    ours.implementation_class_uid = str(item.implementation_class_uid)


def _version_name(ours: UserInformation, item: Any) -> None:
    ours.implementation_version_name = item.implementation_version_name


def _operations(ours: UserInformation, item: Any) -> None:
    ours.asynchronous_operations_window = (
        item.maximum_number_operations_invoked, item.maximum_number_operations_performed)


def _role(ours: UserInformation, item: Any) -> None:
    ours.role_selections.append(RoleSelection(str(item.sop_class_uid), bool(item.scu_role), bool(item.scp_role)))


def _extended(ours: UserInformation, item: Any) -> None:
    ours.extended_negotiations.append(
        ExtendedNegotiation(str(item.sop_class_uid), item.service_class_application_information))


def _common(ours: UserInformation, item: Any) -> None:
    ours.common_extended_negotiations.append(CommonExtendedNegotiation(
        str(item.sop_class_uid), str(item.service_class_uid), _texts(item.related_general_sop_class_identification)))


def _identity_rq(ours: UserInformation, item: Any) -> None:
    ours.user_identity = UserIdentityRQ(item.user_identity_type, bool(item.positive_response_requested),
                                        item.primary_field, item.secondary_field or b"")


def _identity_ac(ours: UserInformation, item: Any) -> None:
    ours.user_identity = UserIdentityAC(item.server_response)


_SUB_ITEMS = {
    pdu_items.MaximumLengthSubItem: _maximum_length,
    pdu_items.ImplementationClassUIDSubItem: _class_uid,
    pdu_items.ImplementationVersionNameSubItem: _version_name,
    pdu_items.AsynchronousOperationsWindowSubItem: _operations,
    pdu_items.SCP_SCU_RoleSelectionSubItem: _role,
    pdu_items.SOPClassExtendedNegotiationSubItem: _extended,
    pdu_items.SOPClassCommonExtendedNegotiationSubItem: _common,
    pdu_items.UserIdentitySubItemRQ: _identity_rq,
    pdu_items.UserIdentitySubItemAC: _identity_ac,
}
_CONVERT = {
    pdu.A_ASSOCIATE_RQ: _rq,
    pdu.A_ASSOCIATE_AC: _ac,
    pdu.A_ASSOCIATE_RJ: lambda theirs: AssociateRJ(theirs.result, theirs.source, theirs.reason_diagnostic),
    pdu.A_RELEASE_RQ: lambda theirs: ReleaseRQ(),
    pdu.A_RELEASE_RP: lambda theirs: ReleaseRP(),
    pdu.A_ABORT_RQ: lambda theirs: Abort(theirs.source, theirs.reason_diagnostic),
    pdu.P_DATA_TF: _data,
}
