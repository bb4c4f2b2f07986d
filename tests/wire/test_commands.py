"""The messages have the standard's numbers, and responses the elements of their requests."""
from __future__ import annotations

import pytest
from pynetdicom.dimse_messages import _MESSAGE_TYPES

from dicomserver.wire import commands as dimse
from dicomserver.wire.command import CommandSet, decode_command, encode_command
from tests.wire.samples import COMMANDS, CT, INSTANCE

NAMES = {name: value for name, value in vars(dimse).items() if name.endswith(("_RQ", "_RSP"))}
# Messages that answer nothing, or are answered by nothing.
REQUESTS = sorted(name for name in NAMES if name.endswith("_RQ") and name != "C_CANCEL_RQ")


def test_command_fields_are_as_pynetdicom_has_them() -> None:
    assert {value: name.replace("_", "-") for name, value in NAMES.items()} == {
        field: name for field, (name, *_) in _MESSAGE_TYPES.items()}


def test_every_request_has_its_response() -> None:
    assert {NAMES[name] for name in REQUESTS} == dimse.SERVICES.keys()
    for name in REQUESTS:
        assert NAMES[name.replace("_RQ", "_RSP")] == NAMES[name] | dimse.RESPONSE


@pytest.mark.parametrize("name", REQUESTS)
def test_a_response_is_that_to_the_request(name: str) -> None:
    request = COMMANDS[name]
    response = dimse.response_to(request, 0x0110)
    assert response.command_field == NAMES[name.replace("_RQ", "_RSP")]
    assert (response.message_id_being_responded_to, response.message_id) == (request.message_id, None)
    assert (response.status, response.has_dataset) == (0x0110, False)
    assert response.affected_sop_class_uid == (request.affected_sop_class_uid or request.requested_sop_class_uid)
    assert response.affected_sop_instance_uid == (
        request.affected_sop_instance_uid or request.requested_sop_instance_uid)
    assert response.requested_sop_class_uid is None and response.requested_sop_instance_uid is None
    assert decode_command(encode_command(response)) == response


def test_more_elements_and_other_ones() -> None:
    response = dimse.response_to(COMMANDS["C_FIND_RQ"], 0xFF00, command_data_set_type=dimse.DATA_SET_FOLLOWS,
                                 number_of_remaining_suboperations=3)
    assert response.has_dataset and response.number_of_remaining_suboperations == 3
    with pytest.raises(AttributeError):
        dimse.response_to(COMMANDS["C_FIND_RQ"], 0, no_such_element=1)


def test_a_store_response_names_the_instance() -> None:
    assert dimse.response_to(COMMANDS["C_STORE_RQ"], 0) == CommandSet(
        command_field=0x8001, message_id_being_responded_to=7, command_data_set_type=0x0101, status=0,
        affected_sop_class_uid=CT, affected_sop_instance_uid=INSTANCE)


def test_unknown_requests_can_be_answered() -> None:
    unknown = CommandSet(command_field=0x0042, message_id=9, command_data_set_type=0x0101)
    assert dimse.response_to(unknown, 0x0211).command_field == 0x8042


def test_a_strange_uid_can_be_echoed() -> None:
    request = CommandSet(command_field=1, message_id=9, command_data_set_type=1, affected_sop_instance_uid="1." * 500)
    response = dimse.response_to(request, 0xA900)
    assert decode_command(encode_command(response)).affected_sop_instance_uid == "1." * 500


@pytest.mark.parametrize("name", ["C_CANCEL_RQ", "C_STORE_RSP", "N_DELETE_RSP"])
def test_to_some_there_is_no_response(name: str) -> None:
    with pytest.raises(ValueError):
        dimse.response_to(COMMANDS[name], 0)
