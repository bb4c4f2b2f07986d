"""The checksum of stored datasets (XXH3-64), of bytes in memory, in parts, and in files."""
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from posix.types cimport off_t

from dicomserver.wire.xxh3 cimport (
    XXH3_64bits, XXH3_64bits_digest, XXH3_64bits_reset, XXH3_64bits_update, XXH3_createState, XXH3_freeState,
    XXH3_state_t,
)

cdef extern from "unistd.h" nogil:
    ssize_t pread(int, void *, size_t, off_t)

cdef enum:
    READ_BLOCK = 1048576


def xxh3_64(const unsigned char[::1] buffer not None) -> int:
    """The checksum of the bytes, unsigned."""
    return XXH3_64bits(&buffer[0] if buffer.shape[0] else NULL, buffer.shape[0])


cdef class Checksum:
    """The checksum of bytes that come in parts. For one thread."""

    cdef XXH3_state_t *state

    def __cinit__(self):
        self.state = XXH3_createState()
        if self.state == NULL:
            raise MemoryError
        XXH3_64bits_reset(self.state)

    def __dealloc__(self):
        if self.state != NULL:
            XXH3_freeState(self.state)

    def update(self, const unsigned char[::1] part not None) -> None:
        """The next bytes; the GIL is released."""
        cdef size_t length = part.shape[0]
        cdef const unsigned char *data = &part[0] if length else NULL
        with nogil:
            XXH3_64bits_update(self.state, data, length)

    def value(self) -> int:
        """Of all so far, unsigned."""
        return XXH3_64bits_digest(self.state)


def checksum_file(int fd, off_t offset, uint64_t length) -> int:
    """The checksum of `length` bytes of a file from `offset` on, of fewer where it ends before; the GIL is released.

    Raises OSError where it cannot be read.
    """
    cdef unsigned char *block = <unsigned char *>malloc(READ_BLOCK)
    cdef XXH3_state_t *state = XXH3_createState()
    cdef uint64_t left = length, checksum = 0
    cdef ssize_t n = 1
    cdef int error = 0
    try:
        if block == NULL or state == NULL:
            raise MemoryError
        with nogil:
            XXH3_64bits_reset(state)
            while left and n > 0:
                n = pread(fd, block, min(left, <uint64_t>READ_BLOCK), offset)
                if n < 0 and errno == EINTR:
                    n = 1
                    continue
                if n < 0:
                    error = errno
                elif n:
                    XXH3_64bits_update(state, block, n)
                    offset += n
                    left -= n
            checksum = XXH3_64bits_digest(state)
        if error:
            raise OSError(error, "the file could not be read")
        return checksum
    finally:
        free(block)
        if state != NULL:
            XXH3_freeState(state)
