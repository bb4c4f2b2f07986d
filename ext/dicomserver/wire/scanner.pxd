"""The dataset scanner: walks element headers as the bytes arrive and keeps the values that the index wants."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dicomserver.wire.kept cimport KeptValues

cdef struct Frame:
    uint64_t end                # offset behind its last byte, or NO_END: undefined length
    uint64_t limit              # the nearest end of this one or those around it
    uint32_t tag                # of the sequence
    uint16_t items              # so many items have begun
    uint8_t kind                # FRAME_* in scanner.pyx
    bint implicit               # its elements have no VR


cdef class DatasetScanner:
    cdef readonly KeptValues values     # what is kept of the dataset
    cdef bint explicit_vr, big_endian, deflated
    cdef int maximum_depth              # of nested sequences
    cdef uint64_t maximum_inflated      # bytes that are inflated for the scan
    cdef object inflater                # zlib's, where deflated
    cdef readonly bint inflation_capped # the rest was not looked at
    cdef Frame *frames                  # the dataset itself and the open sequences and items; owned
    cdef int depth                      # index of the innermost open frame
    cdef int sequences                  # open sequences among the frames
    cdef uint64_t position              # offset in the (inflated) dataset
    cdef uint8_t head[12]               # the element header that has begun
    cdef int head_have
    cdef uint32_t top                   # tag of the latest element at the top of the dataset
    cdef uint64_t value_left            # bytes of the current value still to come
    cdef bint keeping                   # whether the current value goes to `values`
    cdef readonly bint failed           # the dataset is malformed; nothing after it was looked at
    cdef const char *bad_field
    cdef readonly uint32_t bad_tag

    cdef void clear(self) noexcept
    cdef int scan(self, const unsigned char *p, size_t n) noexcept nogil
    cdef int end(self) noexcept nogil
    cdef int inflate(self, const unsigned char *p, size_t n) noexcept nogil
    cdef int walk(self, const unsigned char *p, size_t n) noexcept nogil
    cdef int header_length(self) noexcept nogil
    cdef bint is_item(self) noexcept nogil
    cdef int begin_element(self) noexcept nogil
    cdef int begin_item(self, uint32_t tag, uint32_t length) noexcept nogil
    cdef int begin_value(self, uint32_t tag, const char *vr, uint32_t length) noexcept nogil
    cdef int push(self, int kind, uint32_t tag, uint32_t length, bint implicit) noexcept nogil
    cdef void pop(self) noexcept nogil
    cdef int begin_bytes(self, uint32_t tag, uint32_t length) noexcept nogil
    cdef int bad(self, const char *field, uint32_t tag) noexcept nogil
