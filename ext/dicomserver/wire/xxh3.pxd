"""XXH3-64, the fast checksum of stored datasets: the C library's header, inlined."""
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #define XXH_INLINE_ALL
    #include <xxhash.h>
    """
    ctypedef struct XXH3_state_t:
        pass
    XXH3_state_t *XXH3_createState() nogil
    int XXH3_freeState(XXH3_state_t *) nogil
    int XXH3_64bits_reset(XXH3_state_t *) nogil
    int XXH3_64bits_update(XXH3_state_t *, const void *, size_t) nogil
    uint64_t XXH3_64bits_digest(const XXH3_state_t *) nogil
    uint64_t XXH3_64bits(const void *, size_t) nogil
