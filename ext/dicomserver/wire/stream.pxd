"""P-DATA-TF PDUs joined to command sets and dataset fragments (PS3.8 9.3.5, Annex E; PS3.7 6.3.1)."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dicomserver.wire.inlet cimport Inlet

cdef enum:                      # what PduStream.step and .fragment found
    STREAM_FRAGMENT = 1         # bytes of the message, in place
    STREAM_MORE = 2             # everything received is used: fill the inlet
    STREAM_PDU = 3              # another PDU than P-DATA-TF stands at inlet.data[inlet.lo]
    STREAM_BAD = 4              # a rule was broken: PduStream.bad_field and .bad_reason
    STREAM_ENDED = 5            # the inlet gave no more: PduStream.ending is its INLET_* code

cdef struct Fragment:
    const unsigned char *data   # into the inlet's buffer; good until its next fill or compact
    size_t length               # bytes; may be 0
    bint last                   # these are the last bytes of the command set or dataset


cdef class PduStream:
    cdef readonly Inlet inlet
    cdef uint32_t maximum_length        # of a P-DATA-TF PDU, as announced to the peer; 0 is no limit
    cdef uint32_t maximum_command       # bytes of a command set
    cdef uint32_t maximum_control       # bytes of a PDU other than P-DATA-TF
    cdef uint8_t accepted[256]          # by presentation context id: 1 where PDVs may use it
    cdef uint64_t pdu_left              # bytes not yet read of the P-DATA-TF PDU, its length field's count
    cdef uint64_t pdv_left              # bytes not yet read of the PDV's fragment
    cdef uint8_t control                # message control header of the PDV
    cdef int phase                      # what the next PDV must be: PHASE_* in stream.pyx
    cdef uint32_t empty_fragments       # zero-length ones in this message
    cdef unsigned char *command_data    # the command set so far; owned
    cdef size_t command_length
    cdef readonly int context_id        # presentation context of the message
    cdef int ending                     # INLET_* code, where STREAM_ENDED was returned
    cdef const char *bad_field
    cdef int bad_reason

    cdef int step(self, Fragment *found) noexcept nogil
    cdef int admit(self, uint8_t context_id) noexcept nogil
    cdef int bad(self, const char *field, int reason) noexcept nogil
    cdef int refill(self) noexcept nogil
    cdef int collect_command(self) noexcept nogil
    cdef int complete_pdu(self, size_t *length) noexcept nogil
    cdef int fragment(self, Fragment *found) noexcept nogil
    cdef int hand_out(self, Fragment *found) noexcept nogil
    cdef object failure(self, int found)
