"""Command sets: `CommandSet`, `decode_command`, `encode_command`.

PS3.7 6.3.1: implicit VR little-endian, group 0000 only, ascending tags. Each element:
1-2 group, 3-4 element, 5-8 length of the value, then the value.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dicomserver.wire.cursor cimport (Cursor, ascii_text, cursor_over, fail, finished, latin1_text, left, part, u16le,
                                      u32le)
from dicomserver.wire.octets cimport (Octets, octets_bytes, octets_free, octets_new, put_text, put_u8,
                                      put_u16le, put_u32le, set_u32le, within)

from dicomserver.wire.errors import CommandError

cdef enum:
    COMMAND_GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    ERROR_ID = 0x0903
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    EVENT_TYPE_ID = 0x1002
    ATTRIBUTE_IDENTIFIER_LIST = 0x1005
    ACTION_TYPE_ID = 0x1008
    NUMBER_OF_REMAINING_SUBOPERATIONS = 0x1020
    NUMBER_OF_COMPLETED_SUBOPERATIONS = 0x1021
    NUMBER_OF_FAILED_SUBOPERATIONS = 0x1022
    NUMBER_OF_WARNING_SUBOPERATIONS = 0x1023
    MOVE_ORIGINATOR_APPLICATION_ENTITY_TITLE = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031

    RESPONSE = 0x8000           # bit of the command field
    C_CANCEL_RQ = 0x0FFF
    NO_DATA_SET = 0x0101

    LONGEST_UI = 1 << 24        # characters: as many as the longest command set that any server lets in


cdef class CommandSet:
    """The elements of one command set by the standard's keywords (PS3.7 E.1); None: absent.

    Retired elements, and those that the standard does not know, are not kept.
    """

    def __init__(self, *, affected_sop_class_uid=None, requested_sop_class_uid=None, command_field=None,
                 message_id=None, message_id_being_responded_to=None, move_destination=None, priority=None,
                 command_data_set_type=None, status=None, offending_element=None, error_comment=None, error_id=None,
                 affected_sop_instance_uid=None, requested_sop_instance_uid=None, event_type_id=None,
                 attribute_identifier_list=None, action_type_id=None, number_of_remaining_suboperations=None,
                 number_of_completed_suboperations=None, number_of_failed_suboperations=None,
                 number_of_warning_suboperations=None, move_originator_application_entity_title=None,
                 move_originator_message_id=None):
        self.affected_sop_class_uid = affected_sop_class_uid
        self.requested_sop_class_uid = requested_sop_class_uid
        self.command_field = command_field
        self.message_id = message_id
        self.message_id_being_responded_to = message_id_being_responded_to
        self.move_destination = move_destination
        self.priority = priority
        self.command_data_set_type = command_data_set_type
        self.status = status
        self.offending_element = offending_element
        self.error_comment = error_comment
        self.error_id = error_id
        self.affected_sop_instance_uid = affected_sop_instance_uid
        self.requested_sop_instance_uid = requested_sop_instance_uid
        self.event_type_id = event_type_id
        self.attribute_identifier_list = attribute_identifier_list
        self.action_type_id = action_type_id
        self.number_of_remaining_suboperations = number_of_remaining_suboperations
        self.number_of_completed_suboperations = number_of_completed_suboperations
        self.number_of_failed_suboperations = number_of_failed_suboperations
        self.number_of_warning_suboperations = number_of_warning_suboperations
        self.move_originator_application_entity_title = move_originator_application_entity_title
        self.move_originator_message_id = move_originator_message_id

    @property
    def has_dataset(self) -> bool:
        """Whether a dataset follows: any value of (0000,0800) but 0101H."""
        return self.command_data_set_type != NO_DATA_SET

    def as_dict(self) -> dict:
        """The elements that are present, by keyword."""
        return {name: value for name in KEYWORDS if (value := getattr(self, name)) is not None}

    def __eq__(self, other):
        if not isinstance(other, CommandSet):
            return NotImplemented
        return self.as_dict() == other.as_dict()

    __hash__ = None

    def __repr__(self):
        return f"CommandSet({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"


KEYWORDS = tuple(name for name in vars(CommandSet)
                 if not name.startswith("_") and name not in ("has_dataset", "as_dict"))


def decode_command(buffer) -> CommandSet:
    """The command set that fills `buffer`; raises CommandError. Keeps nothing of the buffer.

    What is checked: framing, order, the sizes of numbers, and that there is what an answer needs: command field,
    data set type, and the id of the message (or of the one answered, with its status). Which elements
    a service needs beyond these is for the service to say, with a status. (0000,0000) never sizes anything.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        return read_command(<const unsigned char *>view.buf, <uint64_t>view.len)
    finally:
        PyBuffer_Release(&view)


cdef CommandSet read_command(const unsigned char *data, uint64_t length):
    cdef Cursor cursor = cursor_over(data, length, CommandError), value
    cdef CommandSet command = CommandSet.__new__(CommandSet)
    cdef int element, last = -1
    while left(&cursor):
        element = next_element(&cursor, &value, last)
        last = element
        read_value(command, element, &value)
    check_complete(command, &cursor)
    return command


cdef int next_element(Cursor *cursor, Cursor *value, int last) except -1 nogil:
    """-> the element number; `value` is then a cursor over its value. `last` is the number before it."""
    cdef const unsigned char *at = cursor.pos
    cdef uint16_t group = u16le(cursor, "command element group")
    cdef int element = u16le(cursor, "command element number")
    cdef uint32_t length = u32le(cursor, "command element length")
    if group != 0:
        fail(cursor, "command element group", at, "is not 0000")
    if element <= last:
        fail(cursor, "command element number", at + 2, "is not above that before it")
    # No value is 16 kB long; two capital letters there are a VR.
    if is_capital(at[4]) and is_capital(at[5]):
        fail(cursor, "command element length", at + 4, "looks like an explicit VR")
    part(cursor, value, length, "command element value")
    return element


cdef inline bint is_capital(unsigned char c) noexcept nogil:
    return 0x41 <= c <= 0x5A


cdef object read_us(Cursor *value, const char *field):
    cdef uint16_t number = u16le(value, field)
    finished(value, field)
    return number


cdef list read_at(Cursor *value, const char *field):
    tags = []
    cdef uint32_t group
    while left(value):
        group = u16le(value, field)
        tags.append(group << 16 | u16le(value, field))
    return tags


cdef int read_value(CommandSet command, int element, Cursor *value) except -1:
    if element == AFFECTED_SOP_CLASS_UID:
        command.affected_sop_class_uid = ascii_text(value, left(value), "(0000,0002)")
    elif element == REQUESTED_SOP_CLASS_UID:
        command.requested_sop_class_uid = ascii_text(value, left(value), "(0000,0003)")
    elif element == COMMAND_FIELD:
        command.command_field = read_us(value, "(0000,0100)")
    elif element == MESSAGE_ID:
        command.message_id = read_us(value, "(0000,0110)")
    elif element == MESSAGE_ID_BEING_RESPONDED_TO:
        command.message_id_being_responded_to = read_us(value, "(0000,0120)")
    elif element == MOVE_DESTINATION:
        command.move_destination = latin1_text(value, left(value), "(0000,0600)")
    elif element == PRIORITY:
        command.priority = read_us(value, "(0000,0700)")
    elif element == COMMAND_DATA_SET_TYPE:
        command.command_data_set_type = read_us(value, "(0000,0800)")
    elif element == STATUS:
        command.status = read_us(value, "(0000,0900)")
    elif element == OFFENDING_ELEMENT:
        command.offending_element = read_at(value, "(0000,0901)")
    elif element == ERROR_COMMENT:
        command.error_comment = latin1_text(value, left(value), "(0000,0902)")
    elif element == ERROR_ID:
        command.error_id = read_us(value, "(0000,0903)")
    elif element == AFFECTED_SOP_INSTANCE_UID:
        command.affected_sop_instance_uid = ascii_text(value, left(value), "(0000,1000)")
    elif element == REQUESTED_SOP_INSTANCE_UID:
        command.requested_sop_instance_uid = ascii_text(value, left(value), "(0000,1001)")
    elif element == EVENT_TYPE_ID:
        command.event_type_id = read_us(value, "(0000,1002)")
    elif element == ATTRIBUTE_IDENTIFIER_LIST:
        command.attribute_identifier_list = read_at(value, "(0000,1005)")
    elif element == ACTION_TYPE_ID:
        command.action_type_id = read_us(value, "(0000,1008)")
    elif element == NUMBER_OF_REMAINING_SUBOPERATIONS:
        command.number_of_remaining_suboperations = read_us(value, "(0000,1020)")
    elif element == NUMBER_OF_COMPLETED_SUBOPERATIONS:
        command.number_of_completed_suboperations = read_us(value, "(0000,1021)")
    elif element == NUMBER_OF_FAILED_SUBOPERATIONS:
        command.number_of_failed_suboperations = read_us(value, "(0000,1022)")
    elif element == NUMBER_OF_WARNING_SUBOPERATIONS:
        command.number_of_warning_suboperations = read_us(value, "(0000,1023)")
    elif element == MOVE_ORIGINATOR_APPLICATION_ENTITY_TITLE:
        command.move_originator_application_entity_title = latin1_text(value, left(value), "(0000,1030)")
    elif element == MOVE_ORIGINATOR_MESSAGE_ID:
        command.move_originator_message_id = read_us(value, "(0000,1031)")
    return 0


cdef int check_complete(CommandSet command, Cursor *cursor) except -1:
    if command.command_field is None:
        fail(cursor, "(0000,0100)", cursor.pos, "is missing")
    if command.command_data_set_type is None:
        fail(cursor, "(0000,0800)", cursor.pos, "is missing")
    if command.command_field & RESPONSE or command.command_field == C_CANCEL_RQ:
        if command.message_id_being_responded_to is None:
            fail(cursor, "(0000,0120)", cursor.pos, "is missing")
    elif command.message_id is None:
        fail(cursor, "(0000,0110)", cursor.pos, "is missing")
    if command.command_field & RESPONSE and command.status is None:
        fail(cursor, "(0000,0900)", cursor.pos, "is missing")
    return 0


def encode_command(CommandSet command not None) -> bytes:
    """The octets of `command`, with its group length; raises CommandError for a value that its VR cannot hold."""
    cdef Octets out = octets_new()
    try:
        put_element(&out, COMMAND_GROUP_LENGTH, 4)
        put_u32le(&out, 0)
        put_command(&out, command)
        set_u32le(out.data + 8, <uint32_t>(out.size - 12))
        return octets_bytes(&out)
    finally:
        octets_free(&out)


cdef int put_command(Octets *out, CommandSet command) except -1:
    put_ui(out, AFFECTED_SOP_CLASS_UID, command.affected_sop_class_uid)
    put_ui(out, REQUESTED_SOP_CLASS_UID, command.requested_sop_class_uid)
    put_us(out, COMMAND_FIELD, command.command_field)
    put_us(out, MESSAGE_ID, command.message_id)
    put_us(out, MESSAGE_ID_BEING_RESPONDED_TO, command.message_id_being_responded_to)
    put_padded(out, MOVE_DESTINATION, command.move_destination, 16)
    put_us(out, PRIORITY, command.priority)
    put_us(out, COMMAND_DATA_SET_TYPE, command.command_data_set_type)
    put_us(out, STATUS, command.status)
    put_at(out, OFFENDING_ELEMENT, command.offending_element)
    put_padded(out, ERROR_COMMENT, command.error_comment, 64)
    put_us(out, ERROR_ID, command.error_id)
    put_ui(out, AFFECTED_SOP_INSTANCE_UID, command.affected_sop_instance_uid)
    put_ui(out, REQUESTED_SOP_INSTANCE_UID, command.requested_sop_instance_uid)
    put_us(out, EVENT_TYPE_ID, command.event_type_id)
    put_at(out, ATTRIBUTE_IDENTIFIER_LIST, command.attribute_identifier_list)
    put_us(out, ACTION_TYPE_ID, command.action_type_id)
    put_us(out, NUMBER_OF_REMAINING_SUBOPERATIONS, command.number_of_remaining_suboperations)
    put_us(out, NUMBER_OF_COMPLETED_SUBOPERATIONS, command.number_of_completed_suboperations)
    put_us(out, NUMBER_OF_FAILED_SUBOPERATIONS, command.number_of_failed_suboperations)
    put_us(out, NUMBER_OF_WARNING_SUBOPERATIONS, command.number_of_warning_suboperations)
    put_padded(out, MOVE_ORIGINATOR_APPLICATION_ENTITY_TITLE, command.move_originator_application_entity_title, 16)
    return put_us(out, MOVE_ORIGINATOR_MESSAGE_ID, command.move_originator_message_id)


cdef str tag_name(int element):
    return f"(0000,{element:04X})"


cdef int put_element(Octets *out, int element, uint32_t length) except -1:
    put_u16le(out, 0)
    put_u16le(out, <uint16_t>element)
    return put_u32le(out, length)


cdef int put_us(Octets *out, int element, object value) except -1:
    if value is not None:
        put_element(out, element, 2)
        put_u16le(out, <uint16_t>within(value, 0xFFFF, CommandError, tag_name(element)))
    return 0


cdef int put_string(Octets *out, int element, str value, unsigned int highest, Py_ssize_t limit,
                    int padding) except -1:
    """Text with its padding to an even length (PS3.5 6.2)."""
    cdef size_t at
    cdef Py_ssize_t length
    if value is not None:
        put_element(out, element, 0)
        at = out.size
        length = put_text(out, value, highest, limit, CommandError, tag_name(element))
        if length % 2:
            put_u8(out, <unsigned char>padding)
        set_u32le(out.data + at - 4, <uint32_t>(out.size - at))
    return 0


cdef int put_ui(Octets *out, int element, str value) except -1:
    # Not held to 64 characters: a response echoes what the request had, however wrong.
    return put_string(out, element, value, 0x7F, LONGEST_UI, 0)


cdef int put_padded(Octets *out, int element, str value, Py_ssize_t limit) except -1:
    return put_string(out, element, value, 0xFF, limit, 0x20)


cdef int put_at(Octets *out, int element, object tags) except -1:
    cdef uint32_t tag
    if tags is not None:
        if len(tags) > 0x1000:
            raise CommandError("has more than 4096 tags", tag_name(element))
        put_element(out, element, <uint32_t>(4 * len(tags)))
        for value in tags:
            tag = within(value, 0xFFFFFFFF, CommandError, tag_name(element))
            put_u16le(out, tag >> 16)
            put_u16le(out, tag & 0xFFFF)
    return 0
