"""The VRs of the dictionary, looked up without the GIL."""
from libc.stdint cimport uint16_t, uint32_t

cdef struct VrRow:
    uint32_t tag
    char[3] vr                  # two letters, small ones where the dictionary leaves a choice; and NUL

cdef struct VrMask:
    uint32_t mask, tag          # the row is for every tag of which the masked bits are these
    char[3] vr

cdef class VrTable:
    cdef VrRow *rows            # by tag
    cdef VrMask *masks
    cdef int row_count, mask_count

    cdef const char *find(self, uint32_t tag) noexcept nogil
