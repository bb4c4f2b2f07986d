"""Command sets: there and back, cut off, broken, and as pydicom and pynetdicom read and write them."""
from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pynetdicom import dimse_messages
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.tests import encoded_dimse_msg, encoded_dimse_n_msg

from dicomserver.wire import commands as dimse
from dicomserver.wire.command import KEYWORDS, CommandSet, decode_command, encode_command
from dicomserver.wire.errors import CommandError
from tests.wire.samples import COMMANDS
from tests.wire.strategies import command_sets

VECTORS = {name: encode_command(command) for name, command in COMMANDS.items()}
# Theirs begin with the message control header.
ORACLE_VECTORS = {name: value[1:] for module in (encoded_dimse_msg, encoded_dimse_n_msg)
                  for name, value in vars(module).items() if name.endswith(("_cmd", "_cmd_empty", "_cmd_b"))}
# pydicom's keywords in the order of their elements.
PYDICOM = {
    "affected_sop_class_uid": "AffectedSOPClassUID", "requested_sop_class_uid": "RequestedSOPClassUID",
    "command_field": "CommandField", "message_id": "MessageID",
    "message_id_being_responded_to": "MessageIDBeingRespondedTo", "move_destination": "MoveDestination",
    "priority": "Priority", "command_data_set_type": "CommandDataSetType", "status": "Status",
    "offending_element": "OffendingElement", "error_comment": "ErrorComment", "error_id": "ErrorID",
    "affected_sop_instance_uid": "AffectedSOPInstanceUID", "requested_sop_instance_uid": "RequestedSOPInstanceUID",
    "event_type_id": "EventTypeID", "attribute_identifier_list": "AttributeIdentifierList",
    "action_type_id": "ActionTypeID", "number_of_remaining_suboperations": "NumberOfRemainingSuboperations",
    "number_of_completed_suboperations": "NumberOfCompletedSuboperations",
    "number_of_failed_suboperations": "NumberOfFailedSuboperations",
    "number_of_warning_suboperations": "NumberOfWarningSuboperations",
    "move_originator_application_entity_title": "MoveOriginatorApplicationEntityTitle",
    "move_originator_message_id": "MoveOriginatorMessageID",
}
TAG_LISTS = {"offending_element", "attribute_identifier_list"}


def read_by_pydicom(octets: bytes) -> dict[str, Any]:
    """The elements by our keywords."""
    dataset = read_dataset(BytesIO(octets), is_implicit_VR=True, is_little_endian=True)
    names = {theirs: ours for ours, theirs in PYDICOM.items()}
    found = {}
    for element in dataset:
        if element.keyword == "CommandGroupLength":
            assert element.value == len(octets) - 12
            continue
        name, value = names[element.keyword], element.value
        if name in TAG_LISTS:
            several = isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue"
            value = [int(tag) for tag in (value if several else [] if value is None else [value])]
        found[name] = "" if value is None else value
    return found


def written_by_pydicom(command: CommandSet) -> bytes:
    dataset = Dataset()
    for name, value in command.as_dict().items():
        setattr(dataset, PYDICOM[name], value)
    out = DicomBytesIO()
    out.is_implicit_VR = out.is_little_endian = True
    write_dataset(out, dataset)
    return struct.pack("<HHII", 0, 0, 4, len(out.getvalue())) + out.getvalue()


def element(number: int, value: bytes, length: int | None = None, group: int = 0) -> bytes:
    return struct.pack("<HHI", group, number, len(value) if length is None else length) + value


def us(number: int, value: int) -> bytes:
    return element(number, struct.pack("<H", value))


ECHO = us(0x0100, 0x0030) + us(0x0110, 1) + us(0x0800, 0x0101)


def test_keywords_are_those_of_the_standard_in_its_order() -> None:
    assert KEYWORDS == tuple(PYDICOM)


def test_octets_are_those_of_the_standard() -> None:
    command = CommandSet(command_field=dimse.C_ECHO_RQ, message_id=1, command_data_set_type=0x0101,
                         affected_sop_class_uid="1.2.840.10008.1.1")
    octets = bytes.fromhex(
        "0000 0000 04000000 38000000"
        "0000 0200 12000000 312e322e3834302e31303030382e312e3100"
        "0000 0001 02000000 3000  0000 1001 02000000 0100  0000 0008 02000000 0101")
    assert encode_command(command) == octets
    assert decode_command(octets) == command


@pytest.mark.parametrize("name", COMMANDS)
def test_samples_come_back(name: str) -> None:
    assert decode_command(VECTORS[name]) == COMMANDS[name]
    assert decode_command(memoryview(VECTORS[name])).as_dict() == COMMANDS[name].as_dict()


@pytest.mark.parametrize("name", COMMANDS)
def test_pydicom_reads_the_samples_and_we_read_its(name: str) -> None:
    assert read_by_pydicom(VECTORS[name]) == COMMANDS[name].as_dict()
    assert written_by_pydicom(COMMANDS[name]) == VECTORS[name]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted({*dimse.SERVICES, *(field | dimse.RESPONSE for field in dimse.SERVICES),
                               dimse.C_CANCEL_RQ})).flatmap(lambda field: command_sets(set(KEYWORDS), field)))
def test_what_was_encoded_comes_back(command: CommandSet) -> None:
    octets = encode_command(command)
    assert decode_command(octets) == command
    assert struct.unpack_from("<I", octets, 8)[0] == len(octets) - 12


@pytest.mark.parametrize("name", COMMANDS)
def test_pynetdicom_knows_the_message(name: str) -> None:
    """It takes the elements that it knows of each message, and no other message for it."""
    primitive = P_DATA()
    primitive.presentation_data_value_list = [[1, b"\3" + VECTORS[name]]]
    if COMMANDS[name].has_dataset:
        primitive.presentation_data_value_list.append([1, b"\2"])
    message = dimse_messages.DIMSEMessage()
    assert message.decode_msg(primitive)
    assert type(message).__name__ == name
    theirs = {element.keyword for element in message.command_set} - {"CommandGroupLength"}
    assert theirs == {PYDICOM[keyword] for keyword in COMMANDS[name].as_dict()}


@pytest.mark.parametrize("name", [name for name in ORACLE_VECTORS if name != "c_move_rsp_cmd_with_dup"])
def test_vectors_of_pynetdicom_mean_the_same_to_us(name: str) -> None:
    command = decode_command(ORACLE_VECTORS[name])
    read = {keyword: value.strip("\0 ") if isinstance(value, str) else value
            for keyword, value in read_by_pydicom_leniently(ORACLE_VECTORS[name]).items()}
    assert command.as_dict() == read


def read_by_pydicom_leniently(octets: bytes) -> dict[str, Any]:
    """Some of those vectors have a wrong group length."""
    right = octets[:8] + struct.pack("<I", len(octets) - 12) + octets[12:]
    return read_by_pydicom(right)


def test_the_vector_with_a_duplicate_is_refused() -> None:
    with pytest.raises(CommandError):
        decode_command(encoded_dimse_msg.c_move_rsp_cmd_with_dup[1:])


@pytest.mark.parametrize("name", VECTORS)
def test_cut_off_within_an_element_is_an_error(name: str) -> None:
    """Between elements no reader can tell, if those that an answer needs have come."""
    octets = VECTORS[name]
    at, borders = 0, set()
    while at < len(octets):
        borders.add(at)
        at += 8 + struct.unpack_from("<I", octets, at + 4)[0]
    for length in range(len(octets)):
        try:
            command = decode_command(octets[:length])
        except CommandError as error:
            assert 0 <= error.offset <= length
        else:
            assert length in borders
            assert command.as_dict().items() < COMMANDS[name].as_dict().items()


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("rest", [b"\0", b"\0" * 12, b"\0\0\0\x20\2\0\0\0\0"])
def test_bytes_behind_the_end_are_an_error(name: str, rest: bytes) -> None:
    with pytest.raises(CommandError):
        decode_command(VECTORS[name] + rest)


BROKEN = {
    "nothing": b"",
    "an element twice": ECHO + us(0x0800, 0x0101),
    "elements out of order": us(0x0110, 1) + us(0x0100, 0x0030) + us(0x0800, 0x0101),
    "another group": ECHO + element(0x0010, b"A ", group=0x0008),
    "group 0000 in big-endian": struct.pack(">HHI", 0, 0x0100, 2) + b"\0\x30",
    "explicit VR": struct.pack("<HH2sHH", 0, 0x0100, b"US", 2, 0x0030) + struct.pack("<HH2sHH", 0, 0x0110, b"US", 2, 1),
    "explicit VR with a value as long as it looks": ECHO + element(0x0902, b"\0" * 0x4F4C),
    "a value beyond the end": ECHO + element(0x0902, b"abcd", 6),
    "a value of FFFFFFFF bytes": ECHO + element(0x0902, b"abcd", 0xFFFFFFFF),
    "a number of 1 byte": element(0x0100, b"\x30") + us(0x0110, 1) + us(0x0800, 0x0101),
    "a number of 4 bytes": us(0x0100, 0x0030) + element(0x0110, b"\1\0\0\0") + us(0x0800, 0x0101),
    "an empty number": us(0x0100, 0x0030) + element(0x0110, b"") + us(0x0800, 0x0101),
    "half a tag": ECHO + element(0x1005, b"\x10\0\x10\0\x10\0"),
    "a UID that is not ASCII": element(0x0002, b"1.\xb2.") + ECHO,
    "no command field": us(0x0110, 1) + us(0x0800, 0x0101),
    "no data set type": us(0x0100, 0x0030) + us(0x0110, 1),
    "a request without message id": us(0x0100, 0x0030) + us(0x0800, 0x0101),
    "a response without the id of what it answers": us(0x0100, 0x8030) + us(0x0800, 0x0101) + us(0x0900, 0),
    "a response without status": us(0x0100, 0x8030) + us(0x0120, 1) + us(0x0800, 0x0101),
    "a cancel without the id of what it cancels": us(0x0100, 0x0FFF) + us(0x0110, 1) + us(0x0800, 0x0101),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_ones_are_refused(name: str) -> None:
    with pytest.raises(CommandError) as error:
        decode_command(BROKEN[name])
    assert error.value.field and error.value.abort_reason == 6
    assert 0 <= error.value.offset <= len(BROKEN[name])


@pytest.mark.parametrize("length", [0, 1, 0xFFFFFFFF])
def test_the_group_length_sizes_nothing(length: int) -> None:
    assert decode_command(element(0, struct.pack("<I", length)) + ECHO).message_id == 1


def test_a_group_length_is_not_missed_and_retired_elements_are_ignored() -> None:
    retired = element(0x0001, b"\0\0\0\0") + element(0x0010, b"NOWHERE ")
    command = decode_command(retired + ECHO + us(0x0850, 1) + element(0x5180, b"CUBIC "))
    assert command.as_dict() == {"command_field": 0x30, "message_id": 1, "command_data_set_type": 0x0101}


def test_what_a_service_judges_is_read_as_it_came() -> None:
    command = decode_command(element(0x0002, b"../1 /\0\0") + ECHO + element(0x1000, b""))
    assert (command.affected_sop_class_uid, command.affected_sop_instance_uid) == ("../1 /", "")
    assert decode_command(ECHO + element(0x1000, b"1.2\0003 ")).affected_sop_instance_uid == "1.2\0003"
    assert decode_command(ECHO + element(0x1030, b" \xe9AE \0")).move_originator_application_entity_title == "éAE"


@pytest.mark.parametrize("kind, has_dataset", [(0x0101, False), (0, True), (1, True), (0x0102, True), (0xFFFF, True)])
def test_has_dataset(kind: int, has_dataset: bool) -> None:
    assert CommandSet(command_data_set_type=kind).has_dataset is has_dataset


@pytest.mark.parametrize("elements", [
    {"message_id": 65536}, {"message_id": -1}, {"message_id": "1"}, {"move_destination": "A" * 17},
    {"affected_sop_class_uid": "1.é"}, {"error_comment": "x" * 65}, {"error_comment": "€"},
    {"offending_element": [1 << 32]}, {"attribute_identifier_list": [0] * 4097},
], ids=str)
def test_what_no_element_can_say_is_an_error(elements: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as error:
        encode_command(CommandSet(**elements))
    assert error.value.field.startswith("(0000,")


def test_a_uid_longer_than_any_command_set_is_an_error() -> None:
    with pytest.raises(CommandError):
        encode_command(CommandSet(affected_sop_class_uid="1" * ((1 << 24) + 1)))


def test_the_longest_that_can_be_written_can_be_read() -> None:
    command = CommandSet(command_field=0x0110, message_id=65535, command_data_set_type=0x0101,
                         affected_sop_class_uid="1" * (1 << 24), attribute_identifier_list=[0xFFFFFFFF] * 4096)
    assert decode_command(encode_command(command)) == command


def test_command_sets_compare_and_show_what_they_have() -> None:
    one = CommandSet(command_field=1, message_id=2)
    assert one == CommandSet(command_field=1, message_id=2) != CommandSet(command_field=1)
    assert one != "CommandSet"
    assert repr(one) == "CommandSet(command_field=1, message_id=2)"
    with pytest.raises(TypeError):
        CommandSet(no_such_element=1)
    with pytest.raises(TypeError):
        encode_command(None)


def test_nothing_of_the_buffer_is_kept() -> None:
    buffer = bytearray(VECTORS["C_STORE_RQ"])
    command = decode_command(buffer)
    buffer.clear()          # an exported buffer could not be resized
    assert command == COMMANDS["C_STORE_RQ"]
