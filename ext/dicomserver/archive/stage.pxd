"""Memory in which a file lies until it is written."""
from libc.stdint cimport uint64_t
from posix.types cimport off_t

cdef enum:
    STAGE_PREAMBLE = 128        # bytes of a Part 10 file's preamble (PS3.10 7.1)
    STAGE_PAGE = 4096           # bytes: direct writes begin, end and lie in memory at a multiple of it


cdef class Stage:
    cdef unsigned char *memory  # `size` bytes: the first page of the file, and a window of the rest
    cdef size_t size
    cdef size_t filled          # bytes of the memory
    cdef off_t offset           # in the file, of the window
    cdef int fd                 # borrowed
    cdef bint is_direct         # writes go past the page cache just now
    cdef uint64_t reserve       # bytes that its file system keeps
    cdef int error              # errno of the first write that failed

    cdef void begin(self, int fd, uint64_t reserve) noexcept nogil
    cdef void add(self, const unsigned char *data, size_t length) noexcept nogil
    cdef uint64_t length(self) noexcept nogil
    cdef void empty_file(self) noexcept nogil
    cdef void finish(self) noexcept nogil
    cdef void finish_cached(self) noexcept nogil
    cdef void begin_sync(self) noexcept nogil
    cdef void sync(self) noexcept nogil
    cdef void write_direct(self, size_t until) noexcept nogil
    cdef bint has_room(self, size_t length) noexcept nogil
    cdef void use_cache(self) noexcept nogil
    cdef void write(self, const unsigned char *data, size_t length, off_t offset) noexcept nogil

cdef Stage take_stage()
cdef void give_stage_back(Stage stage)
