"""One DIMSE message as P-DATA-TF PDUs: `encode_message` (PS3.8 9.3.5, Annex E)."""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dicomserver.wire.octets cimport set_u32be

from dicomserver.wire.errors import PduError

cdef enum:
    P_DATA_TF = 0x04
    HEADERS = 12                # 1 type, 2 reserved, 3-6 length; 7-10 PDV length, 11 context, 12 control
    PDV_HEADER = 6              # what of these the PDU's length counts


def encode_message(int context_id, bytes command not None, dataset, maximum_length) -> bytes:
    """The PDUs of a message: the command's first, then, unless `dataset` is None, the dataset's; one PDV in each.

    `maximum_length` is what the peer announced (PS3.8 D.1): no PDU's length field is above it; 0 means no limit,
    less than 8 is a PduError. `dataset` is anything with a buffer.
    """
    cdef uint64_t room = fragment_room(maximum_length)
    cdef uint64_t length = <uint64_t>len(command), size = framed(length, room)
    cdef Py_buffer view
    cdef bytes out
    cdef unsigned char *to
    if not 1 <= context_id <= 255:
        raise PduError("must be a number from 1 to 255", "presentation context id")
    if dataset is None:
        out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        frame(<unsigned char *>PyBytes_AS_STRING(out), <const unsigned char *>command, length, room,
              <uint8_t>context_id, PDV_COMMAND)
        return out
    PyObject_GetBuffer(dataset, &view, PyBUF_SIMPLE)
    try:
        size += framed(<uint64_t>view.len, room)
        out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        to = frame(<unsigned char *>PyBytes_AS_STRING(out), <const unsigned char *>command, length, room,
                   <uint8_t>context_id, PDV_COMMAND)
        frame(to, <const unsigned char *>view.buf, <uint64_t>view.len, room, <uint8_t>context_id, 0)
        return out
    finally:
        PyBuffer_Release(&view)


cdef uint64_t fragment_room(object maximum_length) except 0:
    """How many bytes of a message one PDU takes: an even number."""
    if not 0 <= maximum_length <= 0xFFFFFFFF or 0 < maximum_length < PDV_HEADER + 2:
        raise PduError("leaves no room for a fragment", "maximum length")
    return ((<uint64_t>maximum_length or 0xFFFFFFFF) - PDV_HEADER) & ~<uint64_t>1


cdef uint64_t framed(uint64_t length, uint64_t room) noexcept nogil:
    """The size of `length` bytes with the headers before their fragments; no bytes are one empty fragment."""
    cdef uint64_t fragments = (length + room - 1) // room
    return length + HEADERS * (fragments if fragments else 1)


cdef unsigned char *frame(unsigned char *to, const unsigned char *data, uint64_t length, uint64_t room,
                          uint8_t context_id, uint8_t control) noexcept nogil:
    """Writes `data` in fragments; -> behind them."""
    cdef uint64_t size
    while True:
        size = length if length < room else room
        frame_header(to, size, context_id, control | (PDV_LAST if size == length else 0))
        if size:
            memcpy(to + HEADERS, data, size)
        to += HEADERS + size
        data += size
        length -= size
        if not length:
            return to


cdef void frame_header(unsigned char *to, uint64_t size, uint8_t context_id, uint8_t control) noexcept nogil:
    to[0], to[1] = P_DATA_TF, 0
    set_u32be(to + 2, <uint32_t>(size + PDV_HEADER))
    set_u32be(to + 6, <uint32_t>(size + 2))
    to[10], to[11] = context_id, control
