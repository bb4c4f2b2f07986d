"""Framing messages, for those that write their own."""
from libc.stdint cimport uint8_t, uint64_t

cdef enum:
    PDV_COMMAND = 1             # bits of the message control header (PS3.8 E.2)
    PDV_LAST = 2

# How many bytes of a message a PDU of the peer's maximum length takes; raises PduError where none.
cdef uint64_t fragment_room(object maximum_length) except 0
# The size of `length` bytes with the headers of their PDUs.
cdef uint64_t framed(uint64_t length, uint64_t room) noexcept nogil
# Writes the headers of a PDU with one fragment of `size` bytes, 12 bytes. control: PDV_COMMAND, PDV_LAST.
cdef void frame_header(unsigned char *to, uint64_t size, uint8_t context_id, uint8_t control) noexcept nogil
# Writes them, framed, to `to`, which has room; -> behind them.
cdef unsigned char *frame(unsigned char *to, const unsigned char *data, uint64_t length, uint64_t room,
                          uint8_t context_id, uint8_t control) noexcept nogil
