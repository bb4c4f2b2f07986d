"""The begin of a Part 10 file: `encode_file_meta`, `decode_file_meta`.

PS3.10 7.1: 128 octets preamble, "DICM", then the elements of group 0002 in explicit VR little-endian, ascending.
PS3.5 7.1.2, each element: 1-2 group, 3-4 element, 5-6 VR, then 7-8 length; or, for the VRs with long values,
7-8 reserved, 9-12 length.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from dicomserver.wire.cursor cimport (Cursor, ascii_text, cursor_over, fail, finished, latin1_text, left, offset,
                                      part, take, u16le, u32le)
from dicomserver.wire.elements cimport has_short_length
from dicomserver.wire.octets cimport (Octets, octets_bytes, octets_free, octets_new, put, put_text, put_u8, put_u16le,
                                      put_u32le, set_u32le)

from dicomserver.standard.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomserver.wire.errors import MetaError
from dicomserver.wire.meta import FileMeta

cdef enum:
    PREAMBLE = 128
    GROUP = 0x0002
    GROUP_LENGTH = 0x0000
    VERSION = 0x0001
    MEDIA_STORAGE_SOP_CLASS_UID = 0x0002
    MEDIA_STORAGE_SOP_INSTANCE_UID = 0x0003
    TRANSFER_SYNTAX_UID = 0x0010
    IMPLEMENTATION_CLASS = 0x0012
    IMPLEMENTATION_VERSION = 0x0013
    SOURCE_AE_TITLE = 0x0016
    SENDING_AE_TITLE = 0x0017
    RECEIVING_AE_TITLE = 0x0018
    PRIVATE_INFORMATION_CREATOR_UID = 0x0100
    PRIVATE_INFORMATION = 0x0102


def encode_file_meta(str sop_class_uid not None, str sop_instance_uid not None, str transfer_syntax_uid not None, *,
                     str source_ae="", str sending_ae="", str receiving_ae="", str received_at="") -> bytes:
    """Group 0002 of a file of ours, to stand between "DICM" and the dataset; raises MetaError.

    `received_at` is a DT (PS3.5 6.2); it goes into the private information (0002,0102), with our
    implementation class UID as its creator.
    """
    cdef Octets out = octets_new()
    try:
        put_short(&out, GROUP_LENGTH, b"UL", 4)
        put_u32le(&out, 0)
        put_long(&out, VERSION, b"OB", 2)
        put(&out, b"\x00\x01", 2)
        put_string(&out, MEDIA_STORAGE_SOP_CLASS_UID, b"UI", sop_class_uid, 64)
        put_string(&out, MEDIA_STORAGE_SOP_INSTANCE_UID, b"UI", sop_instance_uid, 64)
        put_string(&out, TRANSFER_SYNTAX_UID, b"UI", transfer_syntax_uid, 64)
        put_string(&out, IMPLEMENTATION_CLASS, b"UI", IMPLEMENTATION_CLASS_UID, 64)
        put_string(&out, IMPLEMENTATION_VERSION, b"SH", IMPLEMENTATION_VERSION_NAME, 16)
        put_title(&out, SOURCE_AE_TITLE, source_ae)
        put_title(&out, SENDING_AE_TITLE, sending_ae)
        put_title(&out, RECEIVING_AE_TITLE, receiving_ae)
        if received_at:
            put_private_information(&out, received_at)
        set_u32le(out.data + 8, <uint32_t>(out.size - 12))
        return octets_bytes(&out)
    finally:
        octets_free(&out)


cdef str tag_name(int element):
    return f"(0002,{element:04X})"


cdef int put_short(Octets *out, int element, const char *vr, uint16_t length) except -1:
    put_u16le(out, GROUP)
    put_u16le(out, <uint16_t>element)
    put(out, vr, 2)
    return put_u16le(out, length)


cdef int put_long(Octets *out, int element, const char *vr, uint32_t length) except -1:
    put_short(out, element, vr, 0)
    return put_u32le(out, length)


cdef int put_string(Octets *out, int element, const char *vr, str value, Py_ssize_t limit) except -1:
    """Text of at most `limit` characters, padded to an even length: UI with NUL, others with a space."""
    cdef uint16_t length = <uint16_t>min(len(value), limit)
    put_short(out, element, vr, length + length % 2)
    put_text(out, value, 0x7F if vr[0] == b"U" else 0xFF, limit, MetaError, tag_name(element))
    if length % 2:
        put_u8(out, 0 if vr[0] == b"U" else 0x20)
    return 0


cdef int put_title(Octets *out, int element, str title) except -1:
    return put_string(out, element, b"AE", title, 16) if title else 0


cdef int put_private_information(Octets *out, str received_at) except -1:
    cdef uint32_t length = <uint32_t>min(len(received_at), 26)
    put_string(out, PRIVATE_INFORMATION_CREATOR_UID, b"UI", IMPLEMENTATION_CLASS_UID, 64)
    put_long(out, PRIVATE_INFORMATION, b"OB", length + length % 2)
    put_text(out, received_at, 0x7F, 26, MetaError, tag_name(PRIVATE_INFORMATION))
    return put_u8(out, 0x20) if length % 2 else 0


def decode_file_meta(buffer) -> FileMeta:
    """What the file that begins with `buffer` says of itself; raises MetaError. Keeps nothing of the buffer.

    The buffer must hold the whole of group 0002, and may hold anything behind it. The group length sizes nothing,
    as writers are known to get it wrong; it only shows that a file ends inside the group.
    """
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        return read_file_meta(<const unsigned char *>view.buf, <uint64_t>view.len)
    finally:
        PyBuffer_Release(&view)


cdef object read_file_meta(const unsigned char *data, uint64_t length):
    cdef Cursor cursor = cursor_over(data, length, MetaError), value
    cdef const unsigned char *at
    cdef int element, last = -1
    cdef uint64_t declared_end = 0
    texts = {}
    take(&cursor, PREAMBLE, "preamble")
    at = cursor.pos
    if memcmp(take(&cursor, 4, "prefix"), b"DICM", 4) != 0:
        fail(&cursor, "prefix", at, "is not DICM")
    while in_group(&cursor):
        element = next_element(&cursor, &value, last)
        last = element
        if element == GROUP_LENGTH:
            declared_end = u32le(&value, "(0002,0000)") + offset(&cursor)
            finished(&value, "(0002,0000)")
        elif element in (SOURCE_AE_TITLE, SENDING_AE_TITLE, RECEIVING_AE_TITLE):
            texts[element] = latin1_text(&value, left(&value), "AE title")
        elif element in (MEDIA_STORAGE_SOP_CLASS_UID, MEDIA_STORAGE_SOP_INSTANCE_UID, TRANSFER_SYNTAX_UID,
                         PRIVATE_INFORMATION_CREATOR_UID):
            texts[element] = ascii_text(&value, left(&value), "UID")
        elif element == PRIVATE_INFORMATION and texts.get(PRIVATE_INFORMATION_CREATOR_UID) == IMPLEMENTATION_CLASS_UID:
            texts[element] = ascii_text(&value, left(&value), "(0002,0102)")
    if not left(&cursor) and offset(&cursor) < declared_end:
        fail(&cursor, "(0002,0000)", cursor.pos, "promises more elements")
    if not texts.get(TRANSFER_SYNTAX_UID):
        fail(&cursor, "(0002,0010)", cursor.pos, "is missing")
    return FileMeta(texts.get(MEDIA_STORAGE_SOP_CLASS_UID, ""), texts.get(MEDIA_STORAGE_SOP_INSTANCE_UID, ""),
                    texts[TRANSFER_SYNTAX_UID], texts.get(SOURCE_AE_TITLE, ""), texts.get(SENDING_AE_TITLE, ""),
                    texts.get(RECEIVING_AE_TITLE, ""), texts.get(PRIVATE_INFORMATION, ""), offset(&cursor))


cdef bint in_group(const Cursor *cursor) noexcept nogil:
    """Whether what follows is of group 0002, or the begin of it cut off."""
    cdef uint64_t rest = left(cursor)
    return rest > 0 and cursor.pos[0] == GROUP and (rest == 1 or cursor.pos[1] == 0)


cdef int next_element(Cursor *cursor, Cursor *value, int last) except -1 nogil:
    """-> the element number; `value` is then a cursor over its value. `last` is the number before it."""
    cdef const unsigned char *at = cursor.pos
    cdef const unsigned char *vr
    cdef int element
    cdef uint32_t length
    take(cursor, 2, "meta element group")
    element = u16le(cursor, "meta element number")
    vr = take(cursor, 2, "meta element VR")
    if element <= last:
        fail(cursor, "meta element number", at + 2, "is not above that before it")
    if not (0x41 <= vr[0] <= 0x5A and 0x41 <= vr[1] <= 0x5A):
        fail(cursor, "meta element VR", vr, "is not two capital letters")
    if has_short_length(<const char *>vr):
        length = u16le(cursor, "meta element length")
    else:
        take(cursor, 2, "meta element reserved")
        length = u32le(cursor, "meta element length")
    part(cursor, value, length, "meta element value")
    return element
