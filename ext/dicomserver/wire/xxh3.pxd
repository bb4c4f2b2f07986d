# distutils: libraries = xxhash
"""XXH3-64, the fast checksum of stored datasets, from the C library.

On amd64 the library chooses the widest instructions that the processor has. On arm64 all have the same: there the
header is inlined.
"""
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #if defined(__x86_64__)
    #include <xxh_x86dispatch.h>
    #else
    #define XXH_INLINE_ALL
    #include <xxhash.h>
    #endif
    """
    ctypedef struct XXH3_state_t:
        pass
    XXH3_state_t *XXH3_createState() nogil
    int XXH3_freeState(XXH3_state_t *) nogil
    int XXH3_64bits_reset(XXH3_state_t *) nogil
    int XXH3_64bits_update(XXH3_state_t *, const void *, size_t) nogil
    uint64_t XXH3_64bits_digest(const XXH3_state_t *) nogil
    uint64_t XXH3_64bits(const void *, size_t) nogil
