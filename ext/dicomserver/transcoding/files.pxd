"""Reading and writing files in large blocks, for code that walks datasets without the GIL."""
from libc.stdint cimport uint64_t


cdef class FileReader:
    cdef int fd
    cdef readonly uint64_t position     # offset in the file of the next byte that is taken
    cdef uint64_t end                   # offset behind the last byte that may be taken
    cdef uint64_t buffered              # offset in the file behind what the buffer has
    cdef unsigned char *data
    cdef size_t lo, hi                  # what the buffer has
    cdef const char *problem            # NULL, or why nothing more can be read

    cdef const unsigned char *peek(self, size_t n) noexcept nogil
    cdef const unsigned char *some(self, uint64_t most, size_t multiple, size_t *n) noexcept nogil
    cdef void skip(self, uint64_t n) noexcept nogil
    cdef int fill(self, size_t n) noexcept nogil


cdef class FileWriter:
    cdef int fd
    cdef uint64_t written               # bytes that the file has
    cdef uint64_t most                  # bytes that it may have
    cdef unsigned char *data
    cdef size_t have                    # bytes in the buffer, behind those of the file
    cdef const char *problem            # NULL, or why nothing more can be written

    cdef uint64_t tell(self) noexcept nogil
    cdef unsigned char *room(self, size_t n) noexcept nogil
    cdef int put(self, const unsigned char *data, size_t n) noexcept nogil
    cdef int patch(self, uint64_t at, const unsigned char *data, size_t n) noexcept nogil
    cdef int write_out(self) noexcept nogil
    cdef int write_at(self, const unsigned char *data, size_t n, uint64_t at) noexcept nogil
