"""The one checked cursor: every byte that a peer sent is reached through these readers.

A cursor borrows its bytes: whoever opens it keeps the buffer alive. Lengths are 64-bit and compared as
"what is left", so that no sum can wrap. A reader that would pass the end raises the cursor's error, which names
the field and the byte at which it stands, counted from `base`.
"""
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef struct Cursor:
    const unsigned char *base       # offsets in errors count from here
    const unsigned char *pos        # next byte to read
    const unsigned char *end        # behind the last byte that may be read
    PyObject *error                 # borrowed: the WireError subclass to raise

# Raises cursor.error about `field` at `at`. The GIL need not be held.
cdef int fail(const Cursor *cursor, const char *field, const unsigned char *at, const char *problem,
              int abort_reason=*) except -1 nogil


cdef inline Cursor cursor_over(const unsigned char *data, uint64_t length, object error) noexcept:
    cdef Cursor cursor
    cursor.base = cursor.pos = data
    cursor.end = data + length
    cursor.error = <PyObject *>error
    return cursor


cdef inline uint64_t left(const Cursor *cursor) noexcept nogil:
    return <uint64_t>(cursor.end - cursor.pos)


cdef inline uint64_t offset(const Cursor *cursor) noexcept nogil:
    return <uint64_t>(cursor.pos - cursor.base)


cdef inline const unsigned char *take(Cursor *cursor, uint64_t length, const char *field) except NULL nogil:
    """The next `length` bytes, in place. The other readers stand on this check."""
    cdef const unsigned char *at = cursor.pos
    if left(cursor) < length:
        fail(cursor, field, at, "runs past the end")
    cursor.pos = at + length
    return at


cdef inline int part(Cursor *cursor, Cursor *child, uint64_t length, const char *field) except -1 nogil:
    """Makes `child` a cursor over the next `length` bytes; its offsets count from the same base."""
    child[0] = cursor[0]
    child.pos = take(cursor, length, field)
    child.end = child.pos + length
    return 0


cdef inline int finished(const Cursor *cursor, const char *field) except -1 nogil:
    """Raises if bytes are left."""
    if cursor.pos != cursor.end:
        fail(cursor, field, cursor.pos, "has bytes behind its end")
    return 0


cdef inline uint8_t u8(Cursor *cursor, const char *field) except? 255 nogil:
    return take(cursor, 1, field)[0]


cdef inline uint16_t u16be(Cursor *cursor, const char *field) except? 65535 nogil:
    cdef const unsigned char *p = take(cursor, 2, field)
    return <uint16_t>(p[0] << 8 | p[1])


cdef inline uint32_t u32be(Cursor *cursor, const char *field) except? 0xFFFFFFFF nogil:
    cdef const unsigned char *p = take(cursor, 4, field)
    return <uint32_t>p[0] << 24 | <uint32_t>p[1] << 16 | <uint32_t>p[2] << 8 | p[3]


cdef inline uint16_t u16le(Cursor *cursor, const char *field) except? 65535 nogil:
    cdef const unsigned char *p = take(cursor, 2, field)
    return <uint16_t>(p[1] << 8 | p[0])


cdef inline uint32_t u32le(Cursor *cursor, const char *field) except? 0xFFFFFFFF nogil:
    cdef const unsigned char *p = take(cursor, 4, field)
    return <uint32_t>p[3] << 24 | <uint32_t>p[2] << 16 | <uint32_t>p[1] << 8 | p[0]


# Copies: bytes; text without the spaces and NULs that pad its end (Latin-1 text: without leading spaces too).
cdef bytes copied(Cursor *cursor, uint64_t length, const char *field)
cdef str ascii_text(Cursor *cursor, uint64_t length, const char *field)
cdef str latin1_text(Cursor *cursor, uint64_t length, const char *field)
