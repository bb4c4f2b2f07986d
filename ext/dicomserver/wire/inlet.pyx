"""The receive buffer of one association, and where its bytes come from.

The codecs read `data[lo:hi]` in place and call `fill()` for more; a subclass says where more comes from:
a socket (dicomserver.session.transport), a TLS connection, or bytes in memory (`BytesInlet`, for tests and tools).
One thread at a time uses an inlet.
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

cdef extern from "<sys/mman.h>" nogil:
    int MADV_DONTNEED
    int madvise(void *begin, size_t length, int advice)

cdef enum:
    MAPPED_FROM = 131072        # bytes: the pages of such a buffer go back to the system, not to the heap
    MOST_SPARE = 8              # buffers that are kept for the next inlets
    CLEARED_BY_HAND = 65536     # bytes: for so many the pages stay

ctypedef struct Buffer:
    unsigned char *data
    size_t capacity

# Mapped buffers of inlets that are gone, all zeros: mapping one anew costs a tenth of an association with one C-ECHO.
# Under the GIL.
cdef Buffer[MOST_SPARE] spare
cdef size_t spares = 0


def spare_buffers() -> list[bytes]:
    """What is in the buffers that the next inlets get. For tests."""
    return [spare[i].data[:spare[i].capacity] for i in range(spares)]


cdef unsigned char *allocate(size_t capacity) noexcept:
    global spares
    cdef void *data
    cdef size_t i
    if capacity < MAPPED_FROM:
        return <unsigned char *>malloc(capacity)
    for i in range(spares):
        if spare[i].capacity == capacity:
            data = spare[i].data
            spares -= 1
            spare[i] = spare[spares]
            return <unsigned char *>data
    data = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    return NULL if data == MAP_FAILED else <unsigned char *>data


cdef void release(unsigned char *data, size_t capacity) noexcept:
    """Takes a buffer back: malloc's, or a mapped one of zeros."""
    global spares
    if capacity < MAPPED_FROM:
        free(data)
        return
    if spares == MOST_SPARE:
        spares -= 1
        munmap(spare[spares].data, spare[spares].capacity)
    spare[spares].data, spare[spares].capacity = data, capacity
    spares += 1


cdef class Inlet:
    """A buffer of `capacity` bytes, allocated once; pointers into it are good until the next `fill` or `compact`."""

    def __cinit__(self, size_t capacity=1 << 20, *args, **kwargs):
        if capacity < 64:
            raise ValueError("an inlet needs 64 bytes or more")
        self.data = allocate(capacity)
        if self.data == NULL:
            raise MemoryError
        self.capacity = capacity
        self.lo = self.hi = 0

    def __dealloc__(self):
        if self.data != NULL:
            self.give_back()
            release(self.data, self.capacity)

    cdef long fill(self) noexcept nogil:
        """Appends what has arrived at data[hi:capacity], at least one byte; -> how many, or INLET_*.

        There must be room: a caller that has used data[:lo] calls `compact` first.
        """
        return INLET_CLOSED

    cdef bint is_stopped(self) noexcept nogil:
        """Whether we were asked to stop, and may where the stream stands: then nothing more is begun, though it lie in
        the buffer."""
        return False

    cdef void begin_message(self) noexcept nogil:
        """The first byte of a message was seen: from now on the deadlines inside a message hold."""

    cdef void end_message(self) noexcept nogil:
        """The message is complete: from now on the idle deadline holds."""

    cdef void compact(self) noexcept nogil:
        """Moves the unread bytes to the begin of the buffer."""
        if self.lo == self.hi:
            self.lo = self.hi = 0
        elif self.lo:
            memmove(self.data, self.data + self.lo, self.hi - self.lo)
            self.hi -= self.lo
            self.lo = 0

    cdef void give_back(self) noexcept nogil:
        """Nothing is received any more: the system gets the memory back, but a few pages, whoever still holds the
        inlet. What was in the buffer is zeros then."""
        if self.capacity < MAPPED_FROM:
            return
        # What has been received lies in front of what has not.
        if self.received <= CLEARED_BY_HAND:
            memset(self.data, 0, <size_t>self.received)
        else:
            madvise(self.data, self.capacity, MADV_DONTNEED)


cdef class BytesInlet(Inlet):
    """Hands out `source`, at most `chunk` bytes a fill, then says that the peer closed."""

    def __init__(self, size_t capacity, bytes source not None, size_t chunk=1 << 20):
        self.source = source
        self.next = source
        self.left = len(source)
        self.chunk = chunk

    cdef long fill(self) noexcept nogil:
        cdef size_t n = min(self.left, self.chunk, self.capacity - self.hi)
        memcpy(self.data + self.hi, self.next, n)
        self.next += n
        self.left -= n
        self.hi += n
        self.received += n
        return <long>n
