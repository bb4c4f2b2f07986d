"""Memory in which a file lies until it is written, and how: by the page cache, or past it (O_DIRECT).

A small file goes by the page cache, which writes it in one piece and has it for whoever looks at it next. A large one,
which does not fit into the stage, goes past it: it would push everything else out, and wait for its pages.
In between it depends on what a page costs. Commonly that is less than a microsecond; on a virtual machine that gives
free memory back to its host, ten, and then the disk itself is faster.

A stage is used again and again. It holds the file's first page, which is written last, and a window of the rest, which
is written whenever it is full.
"""
from libc.errno cimport EDQUOT, EINTR, EINVAL, EIO, ENOSPC, errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy
from posix.time cimport CLOCK_THREAD_CPUTIME_ID, clock_gettime, timespec
from posix.types cimport off_t

cdef extern from "stdlib.h" nogil:
    void *aligned_alloc(size_t alignment, size_t size)

cdef extern from "sys/mman.h" nogil:
    int madvise(void *, size_t, int)
    int MADV_HUGEPAGE

cdef extern from "unistd.h" nogil:
    ssize_t pwrite(int, const void *, size_t, off_t)
    int ftruncate(int, off_t)
    int fdatasync(int)

cdef extern from "fcntl.h" nogil:
    int fcntl(int, int, ...)
    int F_SETFL, O_DIRECT
    int sync_file_range(int, off_t, off_t, unsigned int)
    unsigned int SYNC_FILE_RANGE_WRITE

cdef extern from "sys/statvfs.h" nogil:
    ctypedef struct FileSystem "struct statvfs":
        uint64_t f_frsize, f_bavail
    int fstatvfs(int, FileSystem *)

cdef enum:
    LARGE = 2097152             # bytes: a huge page of most machines, which the kernel takes for one piece
    SMALL = 262144
    MOST_LARGE = 32             # in the process; who comes when all are in use gets a small stage
    MOST_IDLE = 8               # large ones that are kept for the next file
    DIRECT_FROM = 131072        # bytes of a file: a smaller one takes few pages, whatever they cost
    DEAR = 4000                 # nanoseconds for a page
    LOOK_AGAIN = 32             # files: so often one goes by the page cache although pages are dear

cdef list idle = []             # large ones
cdef int made = 0               # large ones that there are
# Files that go past the page cache before the next looks what a page costs. All threads write it, and none minds.
cdef int past_cache = 0


def assume_dear_pages(int files) -> None:
    """So many files of middle size go past the page cache, whatever a page costs. For tests."""
    global past_cache
    past_cache = files


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

    cdef void begin(self, int fd, uint64_t reserve) noexcept nogil:
        """An empty file. Whoever begins it fills memory[:STAGE_PREAMBLE] before `finish`.

        reserve: bytes of the file system that a file which does not fit into the stage leaves free; else ENOSPC.
        """
        self.fd = fd
        self.reserve = reserve
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
                self.write_direct(self.size)
                self.offset += self.size - STAGE_PAGE
                self.filled = STAGE_PAGE
            n = min(length, self.size - self.filled)
            memcpy(self.memory + self.filled, data, n)
            self.filled += n
            data += n
            length -= n

    cdef void empty_file(self) noexcept nogil:
        """Gives back the room of a file that nobody wants any more; where that fails, removing it does."""
        ftruncate(self.fd, 0)

    cdef void finish(self) noexcept nogil:
        """Writes what is left, and the preamble last.

        A SIGKILL breaks a write off between two pages. So the preamble is written within one page by the last write:
        where it is in the file, all the rest is.
        """
        global past_cache
        cdef size_t whole
        if self.offset == STAGE_PAGE:       # it fits
            if self.filled < DIRECT_FROM or not past_cache:
                self.finish_cached()
                return
            past_cache = max(0, past_cache - 1)
        whole = self.filled & ~<size_t>(STAGE_PAGE - 1)
        self.write_direct(whole)
        self.use_cache()
        self.write(self.memory + whole, self.filled - whole, self.offset + <off_t>(whole - STAGE_PAGE))
        self.write(self.memory, STAGE_PAGE, 0)

    cdef void finish_cached(self) noexcept nogil:
        """By the page cache, the whole file."""
        global past_cache
        cdef size_t rest = self.filled - STAGE_PREAMBLE
        cdef bint tells = self.filled >= DIRECT_FROM
        # Not the time that passes: where the disk is slow, the kernel makes writers wait.
        cdef int64_t begun = cpu_time() if tells else 0
        self.write(self.memory + STAGE_PREAMBLE, rest, STAGE_PREAMBLE)
        if tells and cpu_time() - begun > <int64_t>(rest // STAGE_PAGE * DEAR):
            past_cache = LOOK_AGAIN
        self.write(self.memory, STAGE_PREAMBLE, 0)

    cdef void begin_sync(self) noexcept nogil:
        """Tells the disk to begin with what `sync` waits for. What the disk refuses now a sync might not say again; a
        system that does not have or allow the call says nothing of the data."""
        if (not self.error and sync_file_range(self.fd, 0, 0, SYNC_FILE_RANGE_WRITE) != 0
                and errno in (EIO, ENOSPC, EDQUOT)):
            self.error = errno

    cdef void sync(self) noexcept nogil:
        """Makes the file durable, which was finished."""
        if not self.error and fdatasync(self.fd) != 0:
            self.error = errno

    cdef void write_direct(self, size_t until) noexcept nogil:
        """Writes the window, whole pages, past the page cache."""
        if self.reserve and not self.error and not self.has_room(until - STAGE_PAGE):
            self.error = ENOSPC
        if not self.is_direct and fcntl(self.fd, F_SETFL, O_DIRECT) == 0:
            self.is_direct = True
        self.write(self.memory + STAGE_PAGE, until - STAGE_PAGE, self.offset)

    cdef bint has_room(self, size_t length) noexcept nogil:
        """Whether so many bytes leave the reserve as it is; also where the file system does not say."""
        cdef FileSystem now
        return fstatvfs(self.fd, &now) != 0 or now.f_bavail * now.f_frsize >= self.reserve + length

    cdef void use_cache(self) noexcept nogil:
        """The descriptor writes by the page cache again."""
        if self.is_direct:
            fcntl(self.fd, F_SETFL, 0)
            self.is_direct = False

    cdef void write(self, const unsigned char *data, size_t length, off_t offset) noexcept nogil:
        cdef ssize_t n
        while length and not self.error:
            n = pwrite(self.fd, data, length, offset)
            if n > 0:
                data += n
                length -= n
                offset += n
            elif n == 0:
                self.error = EIO
            elif errno == EINVAL and self.is_direct:
                # A file system that cannot, or the rest of a write that was cut short and says why only now.
                self.use_cache()
            elif errno != EINTR:
                self.error = errno


cdef inline int64_t cpu_time() noexcept nogil:
    """Of this thread, in nanoseconds."""
    cdef timespec now
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef Stage take_stage():
    """A stage that nobody uses, which is owed to `give_stage_back`. Both with the GIL."""
    if idle:
        return idle.pop()
    return Stage(LARGE if made < MOST_LARGE else SMALL)


cdef void give_stage_back(Stage stage):
    if stage.size == LARGE and len(idle) < MOST_IDLE:
        idle.append(stage)
