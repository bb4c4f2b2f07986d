"""The cold side of the checked cursor: how it fails, and how it reads text."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeLatin1

from dicomserver.wire.errors import REASON_INVALID_PARAMETER

cdef int INVALID_PARAMETER = REASON_INVALID_PARAMETER


cdef int fail(const Cursor *cursor, const char *field, const unsigned char *at, const char *problem,
              int abort_reason=INVALID_PARAMETER) except -1 nogil:
    with gil:
        raise (<object>cursor.error)(problem.decode("ascii"), field.decode("ascii"), at - cursor.base, abort_reason)


cdef bytes copied(Cursor *cursor, uint64_t length, const char *field):
    return PyBytes_FromStringAndSize(<const char *>take(cursor, length, field), <Py_ssize_t>length)


cdef const unsigned char *unpadded_end(const unsigned char *begin, const unsigned char *end) noexcept nogil:
    while end > begin and (end[-1] == b" " or end[-1] == 0):
        end -= 1
    return end


cdef str ascii_text(Cursor *cursor, uint64_t length, const char *field):
    cdef const unsigned char *begin = take(cursor, length, field)
    cdef const unsigned char *end = unpadded_end(begin, begin + length)
    cdef const unsigned char *p = begin
    while p < end:
        if p[0] > 0x7F:
            fail(cursor, field, p, "is not ASCII")
        p += 1
    return PyUnicode_DecodeASCII(<const char *>begin, end - begin, NULL)


cdef str latin1_text(Cursor *cursor, uint64_t length, const char *field):
    cdef const unsigned char *begin = take(cursor, length, field)
    cdef const unsigned char *end = unpadded_end(begin, begin + length)
    while begin < end and begin[0] == b" ":
        begin += 1
    return PyUnicode_DecodeLatin1(<const char *>begin, end - begin, NULL)
