"""What a dataset scanner keeps of one dataset: a few values for itself, and a packed blob a level for the index."""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dicomserver.wire.wanted cimport Wanted, WantedElement

cdef enum:
    NOTES = 11                  # elements that are kept for ourselves, see NOTED in kept.pyx
    NOTE_BYTES = 66             # of each: a UID has 64 at most

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
    unsigned char *data         # owned, used again for the next dataset
    size_t length
    size_t capacity
    uint32_t sequence           # where the last record stands
    uint16_t item


cdef class KeptValues:
    cdef readonly Wanted wanted
    cdef bint big_endian
    cdef size_t maximum_value           # bytes kept of one value
    cdef Blob *blobs                    # one a level; owned
    cdef int levels
    cdef Note notes[NOTES]
    cdef readonly bint native_pixels    # Pixel Data of defined length was seen
    cdef readonly uint64_t pixel_length # bytes of it
    cdef uint64_t value_length          # of the value that has begun, and how much of it was taken
    cdef uint64_t value_taken
    cdef Note *noting                   # where it goes; NULL where it is not noted
    cdef Blob *keep                     # likewise for a blob
    cdef size_t keep_left               # bytes of it that are still to be kept
    cdef size_t keep_from               # where in the blob it begins
    cdef int keep_unit                  # bytes of a number that is swapped to little endian; 0 where none

    cdef void clear(self) noexcept nogil
    cdef void begin(self, const WantedElement *wanted, uint32_t tag, uint32_t sequence, uint16_t item,
                    const char *vr, uint32_t length) noexcept nogil
    cdef void take(self, const unsigned char *p, size_t n) noexcept nogil
    cdef bint wants_more(self) noexcept nogil
    cdef void abandon(self) noexcept nogil
    cdef void end(self) noexcept nogil
    cdef void open_record(self, const WantedElement *wanted, uint32_t tag, uint32_t sequence, uint16_t item,
                          const char *vr, uint32_t length) noexcept nogil
    cdef int check_identity(self, const unsigned char *sop_class, size_t class_length,
                            const unsigned char *instance, size_t instance_length) noexcept nogil
    cdef bytes note(self, int i)
    cdef int number(self, int i)
