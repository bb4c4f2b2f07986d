"""Which elements a dataset scanner keeps."""
from libc.stdint cimport uint64_t

cdef struct WantedElement:
    uint64_t key                # enclosing sequence's tag << 32 | tag
    int level                   # which of the packed blobs gets it
    char vr[2]                  # from the dictionary: for implicit VR and UN
    bint sequence               # not kept itself, walked into


cdef class Wanted:
    cdef WantedElement *elements        # sorted by key; owned
    cdef size_t count
    cdef readonly int levels            # blobs to make: the highest level + 1

    cdef const WantedElement *find(self, uint64_t key) noexcept nogil
