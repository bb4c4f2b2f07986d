"""The dataset scanner: walks element headers as the bytes arrive and keeps the values that the index wants."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dicomserver.wire.wanted cimport Wanted, WantedElement

cdef enum:
    NOTES = 12                  # elements that the scanner itself knows, see NOTED in scanner.pyx
    NOTE_BYTES = 66             # of each that are kept: a UID has 64 at most

cdef enum:                      # what check_identity found
    IDENTITY_GOOD = 0
    IDENTITY_NO_CLASS = 1       # absent, empty or no UID; the next three likewise
    IDENTITY_NO_INSTANCE = 2
    IDENTITY_NO_STUDY = 3
    IDENTITY_NO_SERIES = 4
    IDENTITY_REPEATED = 5
    IDENTITY_CLASS_DIFFERS = 6
    IDENTITY_INSTANCE_DIFFERS = 7

cdef struct Note:
    unsigned char value[NOTE_BYTES]
    size_t length               # as in the dataset; more than NOTE_BYTES are not kept
    int seen                    # how often it came

cdef struct Blob:
    unsigned char *data         # owned by the scanner, reused from dataset to dataset
    size_t length
    size_t capacity

cdef struct Frame:
    uint64_t end                # offset behind its last byte, or NO_END: undefined length
    uint64_t limit              # the nearest end of this one or those around it
    uint32_t tag                # of the sequence
    uint16_t items              # so many items have begun
    uint8_t kind                # FRAME_* in scanner.pyx
    bint implicit               # its elements have no VR


cdef class DatasetScanner:
    cdef readonly Wanted wanted
    cdef bint explicit_vr, big_endian, deflated
    cdef int maximum_depth              # of nested sequences
    cdef size_t maximum_value           # bytes kept of one value
    cdef uint64_t maximum_inflated      # bytes that are inflated for the scan
    cdef object inflater                # zlib's, where deflated
    cdef readonly bint inflation_capped # the rest was not looked at
    cdef Frame *frames                  # the dataset itself and the open sequences and items; owned
    cdef int depth                      # index of the innermost open frame
    cdef int sequences                  # open sequences among the frames
    cdef uint64_t position              # offset in the (inflated) dataset
    cdef uint8_t head[12]               # the element header that has begun
    cdef int head_have
    cdef uint64_t value_left            # bytes of the current value still to come
    cdef Blob *keep                     # where they go, or NULL
    cdef size_t keep_left               # how many of them are kept
    cdef int keep_unit                  # bytes of a number that is swapped to little endian; 0 where none
    cdef size_t keep_from               # where in the blob the value begins
    cdef Note *noting                   # likewise, for a noted element, or NULL
    cdef Blob *blobs                    # one a level; owned
    cdef Note notes[NOTES]
    cdef readonly bint native_pixels    # Pixel Data of defined length was seen
    cdef readonly uint64_t pixel_length # bytes of it
    cdef readonly bint failed           # the dataset is malformed; nothing after it was looked at
    cdef const char *bad_field
    cdef readonly uint32_t bad_tag

    cdef void clear(self) noexcept
    cdef int scan(self, const unsigned char *p, size_t n) noexcept nogil
    cdef int end(self) noexcept nogil
    cdef int check_identity(self, const unsigned char *sop_class, size_t class_length,
                            const unsigned char *instance, size_t instance_length) noexcept nogil
    cdef int inflate(self, const unsigned char *p, size_t n) noexcept nogil
    cdef int walk(self, const unsigned char *p, size_t n) noexcept nogil
    cdef size_t take_value(self, const unsigned char *p, size_t n) noexcept nogil
    cdef void value_done(self) noexcept nogil
    cdef int header_length(self) noexcept nogil
    cdef int begin_element(self) noexcept nogil
    cdef int begin_item(self, uint32_t tag, uint32_t length) noexcept nogil
    cdef int begin_value(self, uint32_t tag, const char *vr, uint32_t length) noexcept nogil
    cdef int push(self, int kind, uint32_t tag, uint32_t length, bint implicit) noexcept nogil
    cdef void pop(self) noexcept nogil
    cdef int begin_bytes(self, uint32_t tag, uint32_t length) noexcept nogil
    cdef void keep_value(self, const WantedElement *wanted, uint32_t tag, uint32_t sequence, const char *vr,
                         uint32_t length) noexcept nogil
    cdef bytes note(self, int i)            # the i-th of the noted values, its first NOTE_BYTES
    cdef int number(self, int i)            # likewise as US; 0 where it is none
    cdef int bad(self, const char *field, uint32_t tag) noexcept nogil
