"""For those who have a PDU in a receive buffer."""
from libc.stdint cimport uint64_t

# What decode_pdu does, on borrowed bytes.
cdef object read_pdu(const unsigned char *data, uint64_t length)
