"""The one growing output buffer of the encoders.

`octets_new` allocates, `octets_free` must run (in `finally`), `octets_bytes` copies out. Appending raises
MemoryError and nothing else; that a value fits its field is the caller's to check.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    unsigned int PyUnicode_MAX_CHAR_VALUE(object text)      # 0x7F, 0xFF or more: never less than there is
    const unsigned char *PyUnicode_1BYTE_DATA(object text)

cdef struct Octets:
    unsigned char *data
    size_t size                     # bytes written
    size_t capacity                 # bytes allocated


cdef inline Octets octets_new(size_t capacity=512) except *:
    cdef Octets out
    out.data = <unsigned char *>malloc(capacity)
    out.size = 0
    out.capacity = capacity
    if out.data == NULL:
        raise MemoryError
    return out


cdef inline void octets_free(Octets *out) noexcept:
    free(out.data)
    out.data = NULL


cdef inline bytes octets_bytes(const Octets *out):
    return PyBytes_FromStringAndSize(<const char *>out.data, <Py_ssize_t>out.size)


cdef inline unsigned char *room(Octets *out, size_t length) except NULL:
    """Where the next `length` bytes go; good until the next call. The other writers stand on this check."""
    cdef size_t capacity
    cdef unsigned char *data
    if out.capacity - out.size < length:
        capacity = (out.size + length) * 2
        data = <unsigned char *>realloc(out.data, capacity)
        if data == NULL:
            raise MemoryError
        out.data = data
        out.capacity = capacity
    data = out.data + out.size
    out.size += length
    return data


cdef inline int put(Octets *out, const void *data, size_t length) except -1:
    memcpy(room(out, length), data, length)
    return 0


cdef inline int put_fill(Octets *out, uint8_t value, size_t length) except -1:
    memset(room(out, length), value, length)
    return 0


cdef inline int put_u8(Octets *out, uint8_t value) except -1:
    room(out, 1)[0] = value
    return 0


cdef inline int put_u16be(Octets *out, uint16_t value) except -1:
    cdef unsigned char *p = room(out, 2)
    p[0], p[1] = value >> 8, value & 0xFF
    return 0


cdef inline int put_u16le(Octets *out, uint16_t value) except -1:
    cdef unsigned char *p = room(out, 2)
    p[0], p[1] = value & 0xFF, value >> 8
    return 0


cdef inline void set_u32be(unsigned char *p, uint32_t value) noexcept nogil:
    p[0], p[1], p[2], p[3] = value >> 24, value >> 16 & 0xFF, value >> 8 & 0xFF, value & 0xFF


cdef inline void set_u32le(unsigned char *p, uint32_t value) noexcept nogil:
    p[0], p[1], p[2], p[3] = value & 0xFF, value >> 8 & 0xFF, value >> 16 & 0xFF, value >> 24


cdef inline int put_u32be(Octets *out, uint32_t value) except -1:
    set_u32be(room(out, 4), value)
    return 0


cdef inline int put_u32le(Octets *out, uint32_t value) except -1:
    set_u32le(room(out, 4), value)
    return 0


cdef inline uint32_t within(object value, uint32_t highest, object error, str field) except? 0xFFFFFFFF:
    """`value` as a number that fits its field."""
    if not isinstance(value, int) or not 0 <= value <= highest:
        raise error(f"must be a number from 0 to {highest}", field)
    return <uint32_t>value


cdef inline Py_ssize_t put_text(Octets *out, str text, unsigned int highest, Py_ssize_t limit, object error,
                                str field) except -1:
    """Appends text of characters up to `highest` (0x7F: ASCII, 0xFF: Latin-1), at most `limit`; -> its length."""
    cdef Py_ssize_t length
    if text is None or len(text) > limit:
        raise error(f"must be text of at most {limit} characters", field)
    if PyUnicode_MAX_CHAR_VALUE(text) > highest:
        raise error("has characters that it may not have", field)
    length = len(text)
    put(out, PyUnicode_1BYTE_DATA(text), <size_t>length)
    return length


cdef inline int put_content(Octets *out, object content, object error, str field) except -1:
    if not isinstance(content, bytes):
        raise error("must be bytes", field)
    put(out, <const unsigned char *><bytes>content, <size_t>len(<bytes>content))
    return 0


cdef inline int close_u16be(Octets *out, size_t at, object error, str field) except -1:
    """Sets the two-byte length at `at` to what was written behind it."""
    cdef size_t length = out.size - at - 2
    if length > 0xFFFF:
        raise error("is longer than 65535 bytes", field)
    out.data[at], out.data[at + 1] = length >> 8, length & 0xFF
    return 0
