"""The user information item (50H) with all its sub-items: PS3.8 9.3.2.3 and Annex D, PS3.7 D.3.3."""
from libc.stdint cimport uint8_t

from dicomserver.wire.cursor cimport (Cursor, ascii_text, copied, fail, finished, latin1_text, left, part, take, u8,
                                      u16be, u32be)
from dicomserver.wire.octets cimport (Octets, close_u16be, put_content, put_text, put_u8, put_u16be, put_u32be,
                                      within)

from dicomserver.wire.errors import REASON_UNEXPECTED_PARAMETER, PduError
from dicomserver.wire.pdus import (CommonExtendedNegotiation, ExtendedNegotiation, RoleSelection, UserIdentityAC,
                                   UserIdentityRQ, UserInformation)

cdef int UNEXPECTED_PARAMETER = REASON_UNEXPECTED_PARAMETER

cdef enum:
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ASYNCHRONOUS_OPERATIONS_WINDOW = 0x53
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56
    COMMON_EXTENDED_NEGOTIATION = 0x57
    USER_IDENTITY_RQ = 0x58
    USER_IDENTITY_AC = 0x59


cdef int next_item(Cursor *cursor, Cursor *content) except -1 nogil:
    cdef uint8_t kind = u8(cursor, "item type")
    take(cursor, 1, "item reserved")
    part(cursor, content, u16be(cursor, "item length"), "item")
    return kind


cdef inline bint is_single(int kind) noexcept nogil:
    """Whether the standard allows this sub-item once only."""
    return MAXIMUM_LENGTH <= kind <= USER_IDENTITY_AC and kind not in (
        ROLE_SELECTION, EXTENDED_NEGOTIATION, COMMON_EXTENDED_NEGOTIATION)


cdef object read_user_information(Cursor *content, int identity):
    cdef Cursor item
    cdef int kind, seen = 0
    cdef const unsigned char *at
    information = UserInformation()
    while left(content):
        at = content.pos
        kind = next_item(content, &item)
        if is_single(kind):
            if seen >> (kind - MAXIMUM_LENGTH) & 1:
                fail(content, "user information sub-item", at, "comes twice", UNEXPECTED_PARAMETER)
            seen |= 1 << (kind - MAXIMUM_LENGTH)
        if kind in (USER_IDENTITY_RQ, USER_IDENTITY_AC) and kind != identity:
            fail(content, "user identity", at, "is that of the other PDU", UNEXPECTED_PARAMETER)
        read_sub_item(kind, &item, information)
    return information


cdef int read_sub_item(int kind, Cursor *item, object information) except -1:
    if kind == MAXIMUM_LENGTH:
        # PS3.8 Table D.1-1: 5-8 maximum length
        information.maximum_length = u32be(item, "maximum length")
        finished(item, "maximum length")
    elif kind == IMPLEMENTATION_CLASS_UID:
        # PS3.7 Table D.3-1: 5-xxx implementation class UID
        information.implementation_class_uid = ascii_text(item, left(item), "implementation class UID")
    elif kind == IMPLEMENTATION_VERSION_NAME:
        # PS3.7 Table D.3-3: 5-xxx implementation version name
        information.implementation_version_name = latin1_text(item, left(item), "implementation version name")
    elif kind == ASYNCHRONOUS_OPERATIONS_WINDOW:
        # PS3.7 Table D.3-7: 5-6 maximum number of operations invoked, 7-8 performed
        invoked = u16be(item, "maximum number of operations invoked")
        performed = u16be(item, "maximum number of operations performed")
        information.asynchronous_operations_window = (invoked, performed)
        finished(item, "asynchronous operations window")
    elif kind == ROLE_SELECTION:
        information.role_selections.append(read_role_selection(item))
    elif kind == EXTENDED_NEGOTIATION:
        # PS3.7 Table D.3-11: 5-6 length of the UID, 7-xxx SOP class UID, xxx service class application information
        uid = ascii_text(item, u16be(item, "SOP class UID length"), "SOP class UID")
        information.extended_negotiations.append(
            ExtendedNegotiation(uid, copied(item, left(item), "service class application information")))
    elif kind == COMMON_EXTENDED_NEGOTIATION:
        information.common_extended_negotiations.append(read_common_extended_negotiation(item))
    elif kind == USER_IDENTITY_RQ:
        information.user_identity = read_user_identity_rq(item)
    elif kind == USER_IDENTITY_AC:
        # PS3.7 Table D.3-15: 5-6 length of the response, 7-xxx server response
        information.user_identity = UserIdentityAC(
            copied(item, u16be(item, "server response length"), "server response"))
        finished(item, "user identity")
    else:
        information.unknown.append((kind, copied(item, left(item), "user information sub-item")))
    return 0


cdef object read_role_selection(Cursor *item):
    # PS3.7 Table D.3-9: 5-6 length of the UID, 7-xxx SOP class UID, xxx SCU role, xxx SCP role
    uid = ascii_text(item, u16be(item, "SOP class UID length"), "SOP class UID")
    scu = u8(item, "SCU role") != 0
    scp = u8(item, "SCP role") != 0
    finished(item, "role selection")
    return RoleSelection(uid, scu, scp)


cdef object read_common_extended_negotiation(Cursor *item):
    # PS3.7 Table D.3-12: (octet 2 is a version: 0) 5-6 length, SOP class UID; 2 length, service class UID;
    # 2 length of the following, then each 2 length, related general SOP class UID; the rest is reserved
    cdef Cursor list_
    uid = ascii_text(item, u16be(item, "SOP class UID length"), "SOP class UID")
    service = ascii_text(item, u16be(item, "service class UID length"), "service class UID")
    part(item, &list_, u16be(item, "related general SOP classes length"), "related general SOP classes")
    related = []
    while left(&list_):
        related.append(ascii_text(&list_, u16be(&list_, "related general SOP class UID length"),
                                  "related general SOP class UID"))
    return CommonExtendedNegotiation(uid, service, related)


cdef object read_user_identity_rq(Cursor *item):
    # PS3.7 Table D.3-14: 5 type, 6 positive response requested, 7-8 length, 9-n primary field,
    # n+1 - n+2 length, n+3 - m secondary field
    kind = u8(item, "user identity type")
    requested = u8(item, "positive response requested") != 0
    primary = copied(item, u16be(item, "primary field length"), "primary field")
    secondary = copied(item, u16be(item, "secondary field length"), "secondary field")
    finished(item, "user identity")
    return UserIdentityRQ(kind, requested, primary, secondary)


cdef size_t open_item(Octets *out, int kind) except 0:
    put_u8(out, <uint8_t>kind)
    put_u8(out, 0)
    put_u16be(out, 0)
    return out.size - 2


cdef int put_uid(Octets *out, object uid, str field) except -1:
    """A UID behind its own two-byte length."""
    cdef size_t at = out.size
    put_u16be(out, 0)
    put_text(out, uid, 0x7F, 0xFFFF, PduError, field)
    return close_u16be(out, at, PduError, field)


cdef int put_counted(Octets *out, object content, str field) except -1:
    """Bytes behind their own two-byte length."""
    cdef size_t at = out.size
    put_u16be(out, 0)
    put_content(out, content, PduError, field)
    return close_u16be(out, at, PduError, field)


cdef int put_user_information(Octets *out, object information) except -1:
    """The whole item, its sub-items in ascending order of their types, those that are absent or empty left out."""
    cdef size_t at = open_item(out, USER_INFORMATION)
    put_implementation(out, information)
    for role in information.role_selections:
        put_role_selection(out, role)
    put_version_name(out, information.implementation_version_name)
    for extended in information.extended_negotiations:
        put_extended_negotiation(out, extended)
    for common in information.common_extended_negotiations:
        put_common_extended_negotiation(out, common)
    if information.user_identity is not None:
        put_user_identity(out, information.user_identity)
    for kind, content in information.unknown:
        put_unknown(out, kind, content)
    return close_u16be(out, at, PduError, "user information")


cdef int put_implementation(Octets *out, object information) except -1:
    cdef size_t at
    if information.maximum_length is not None:
        at = open_item(out, MAXIMUM_LENGTH)
        put_u32be(out, within(information.maximum_length, 0xFFFFFFFF, PduError, "maximum length"))
        close_u16be(out, at, PduError, "maximum length")
    if information.implementation_class_uid:
        at = open_item(out, IMPLEMENTATION_CLASS_UID)
        put_text(out, information.implementation_class_uid, 0x7F, 64, PduError, "implementation class UID")
        close_u16be(out, at, PduError, "implementation class UID")
    if information.asynchronous_operations_window is not None:
        at = open_item(out, ASYNCHRONOUS_OPERATIONS_WINDOW)
        for operations in information.asynchronous_operations_window:
            put_u16be(out, within(operations, 0xFFFF, PduError, "asynchronous operations window"))
        close_u16be(out, at, PduError, "asynchronous operations window")
    return 0


cdef int put_role_selection(Octets *out, object role) except -1:
    cdef size_t at = open_item(out, ROLE_SELECTION)
    put_uid(out, role.sop_class_uid, "SOP class UID")
    put_u8(out, 1 if role.scu else 0)
    put_u8(out, 1 if role.scp else 0)
    return close_u16be(out, at, PduError, "role selection")


cdef int put_version_name(Octets *out, str name) except -1:
    cdef size_t at
    if name:
        at = open_item(out, IMPLEMENTATION_VERSION_NAME)
        put_text(out, name, 0xFF, 0xFFFF, PduError, "implementation version name")
        close_u16be(out, at, PduError, "implementation version name")
    return 0


cdef int put_extended_negotiation(Octets *out, object extended) except -1:
    cdef size_t at = open_item(out, EXTENDED_NEGOTIATION)
    put_uid(out, extended.sop_class_uid, "SOP class UID")
    put_content(out, extended.application_information, PduError, "service class application information")
    return close_u16be(out, at, PduError, "SOP class extended negotiation")


cdef int put_common_extended_negotiation(Octets *out, object common) except -1:
    cdef size_t at = open_item(out, COMMON_EXTENDED_NEGOTIATION), list_
    put_uid(out, common.sop_class_uid, "SOP class UID")
    put_uid(out, common.service_class_uid, "service class UID")
    list_ = out.size
    put_u16be(out, 0)
    for uid in common.related:
        put_uid(out, uid, "related general SOP class UID")
    close_u16be(out, list_, PduError, "related general SOP classes")
    return close_u16be(out, at, PduError, "SOP class common extended negotiation")


cdef int put_user_identity(Octets *out, object identity) except -1:
    cdef size_t at
    if isinstance(identity, UserIdentityAC):
        at = open_item(out, USER_IDENTITY_AC)
        put_counted(out, identity.server_response, "server response")
    else:
        at = open_item(out, USER_IDENTITY_RQ)
        put_u8(out, <uint8_t>within(identity.type, 0xFF, PduError, "user identity type"))
        put_u8(out, 1 if identity.positive_response_requested else 0)
        put_counted(out, identity.primary_field, "primary field")
        put_counted(out, identity.secondary_field, "secondary field")
    return close_u16be(out, at, PduError, "user identity")


cdef int put_unknown(Octets *out, object kind, object content) except -1:
    cdef size_t at = open_item(out, <int>within(kind, 0xFF, PduError, "item type"))
    put_content(out, content, PduError, "user information sub-item")
    return close_u16be(out, at, PduError, "user information sub-item")
