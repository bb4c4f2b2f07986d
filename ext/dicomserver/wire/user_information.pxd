"""The user information item: read from its content, written whole."""
from dicomserver.wire.cursor cimport Cursor
from dicomserver.wire.octets cimport Octets

# Every item and sub-item: type (1 octet), reserved (1), length of the content (2, big-endian), content.
# -> the type; `content` is then a cursor over the content.
cdef int next_item(Cursor *cursor, Cursor *content) except -1 nogil

# Begins one; -> where its length stands, for close_u16be.
cdef size_t open_item(Octets *out, int kind) except 0

# The content of an item 50H. `identity` is the user identity sub-item that this PDU may have: 58H or 59H.
cdef object read_user_information(Cursor *content, int identity)

cdef int put_user_information(Octets *out, object information) except -1
