"""Memory in which a file lies until it is written past the page cache (O_DIRECT).

A page of the cache costs a write more than the disk does: it has to be found, filled, written back and given up, and on
a virtual machine that gives free memory back to its host, fetched from there. A stage is used again and again instead.
It holds the file's first page, which is written last, and a window of the rest, which is written whenever it is full.
"""
from libc.errno cimport EINTR, EINVAL, errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy
from posix.types cimport off_t

cdef extern from "stdlib.h" nogil:
    void *aligned_alloc(size_t alignment, size_t size)

cdef extern from "sys/mman.h" nogil:
    int madvise(void *, size_t, int)
    int MADV_HUGEPAGE

cdef extern from "unistd.h" nogil:
    ssize_t pwrite(int, const void *, size_t, off_t)

cdef extern from "fcntl.h" nogil:
    int fcntl(int, int, ...)
    int F_SETFL, O_DIRECT

cdef enum:
    LARGE = 2097152             # bytes: a huge page, which the kernel need not look up piece by piece
    SMALL = 262144
    MOST_LARGE = 8              # in the process; who comes when all are in use gets a small stage
    DIRECT_FROM = 131072        # bytes of a file: a smaller one is in the page cache sooner than on the disk

cdef list idle = []             # large ones
cdef int made = 0


cdef class Stage:
    """One file at a time; one thread at a time."""

    def __cinit__(self, size_t size):
        global made
        self.memory = <unsigned char *>aligned_alloc(LARGE if size == LARGE else STAGE_PAGE, size)
        if self.memory == NULL:
            raise MemoryError
        self.size = size
        if size == LARGE:
            made += 1
            madvise(self.memory, size, MADV_HUGEPAGE)

    def __dealloc__(self):
        global made
        free(self.memory)
        if self.size == LARGE:
            made -= 1

    cdef void begin(self, int fd, bint past_cache) noexcept nogil:
        """An empty file. Whoever begins it fills memory[:STAGE_PREAMBLE] before `finish`."""
        self.fd = fd
        self.past_cache = past_cache
        self.filled = STAGE_PREAMBLE
        self.offset = STAGE_PAGE
        self.is_direct = False
        self.error = 0

    cdef uint64_t length(self) noexcept nogil:
        """Bytes of the file so far."""
        return <uint64_t>self.offset + self.filled - STAGE_PAGE

    cdef void add(self, const unsigned char *data, size_t length) noexcept nogil:
        """Appends to the file; nothing happens after an error."""
        cdef size_t n
        while length and not self.error:
            if self.filled == self.size:
                self.write_pages(self.size)
                self.offset += self.size - STAGE_PAGE
                self.filled = STAGE_PAGE
            n = min(length, self.size - self.filled)
            memcpy(self.memory + self.filled, data, n)
            self.filled += n
            data += n
            length -= n

    cdef void finish(self) noexcept nogil:
        """Writes what is left, and the preamble last.

        A SIGKILL breaks a write off between two pages. So the preamble is written within one page by the last write:
        where it is in the file, all the rest is.
        """
        cdef size_t whole
        if self.length() < DIRECT_FROM:
            self.write(self.memory + STAGE_PREAMBLE, self.filled - STAGE_PREAMBLE, STAGE_PREAMBLE)
            self.write(self.memory, STAGE_PREAMBLE, 0)
            return
        whole = self.filled & ~<size_t>(STAGE_PAGE - 1)
        self.write_pages(whole)
        self.use_cache()
        self.write(self.memory + whole, self.filled - whole, self.offset + <off_t>(whole - STAGE_PAGE))
        self.write(self.memory, STAGE_PAGE, 0)

    cdef void write_pages(self, size_t until) noexcept nogil:
        """Writes the window, whole pages."""
        if self.past_cache and not self.is_direct and fcntl(self.fd, F_SETFL, O_DIRECT) == 0:
            self.is_direct = True
        self.write(self.memory + STAGE_PAGE, until - STAGE_PAGE, self.offset)

    cdef void use_cache(self) noexcept nogil:
        if self.is_direct:
            fcntl(self.fd, F_SETFL, 0)
            self.is_direct = False

    cdef void write(self, const unsigned char *data, size_t length, off_t offset) noexcept nogil:
        cdef ssize_t n
        while length and not self.error:
            n = pwrite(self.fd, data, length, offset)
            if n >= 0:
                data += n
                length -= n
                offset += n
            elif errno == EINVAL and self.is_direct:
                # A file system that cannot, or the rest of a write that was cut short and says why only now.
                self.use_cache()
            elif errno != EINTR:
                self.error = errno


cdef Stage take_stage():
    """A stage that nobody uses; `give_stage_back` is owed. With the GIL, as that."""
    if idle:
        return idle.pop()
    return Stage(LARGE if made < MOST_LARGE else SMALL)


cdef void give_stage_back(Stage stage):
    if stage.size == LARGE:
        idle.append(stage)
