"""Reading and writing files in large blocks, for code that walks datasets without the GIL.

Neither owns its descriptor, neither moves the descriptor's offset. Both have one buffer and no other memory.
"""
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove
from posix.types cimport off_t

from dicomserver.transcoding.errors import ConversionFailed

cdef extern from "unistd.h" nogil:
    ssize_t pread(int, void *, size_t, off_t)
    ssize_t pwrite(int, const void *, size_t, off_t)

cdef enum:
    BLOCK = 262144              # bytes of each buffer


cdef class FileReader:
    """The bytes of an open file from `offset` on, `length` of them."""

    def __cinit__(self, int fd, uint64_t offset, uint64_t length):
        self.data = <unsigned char *>malloc(BLOCK)
        if self.data == NULL:
            raise MemoryError
        self.fd = fd
        self.position = self.buffered = offset
        self.end = offset + length

    def __dealloc__(self):
        free(self.data)

    cdef const unsigned char *peek(self, size_t n) noexcept nogil:
        """The next n bytes, a few, which are not taken; NULL where they are not there."""
        return self.data + self.lo if self.hi - self.lo >= n or self.fill(n) == 0 else NULL

    cdef const unsigned char *some(self, uint64_t most, size_t multiple, size_t *n) noexcept nogil:
        """Takes the next bytes, as many as are at hand, up to `most`, a multiple of `multiple`; NULL: none."""
        cdef const unsigned char *p = self.peek(multiple)
        if p == NULL:
            return NULL
        n[0] = <size_t>min(most, <uint64_t>(self.hi - self.lo))
        n[0] -= n[0] % multiple
        self.lo += n[0]
        self.position += n[0]
        return p

    cdef void skip(self, uint64_t n) noexcept nogil:
        """Counts past n bytes, which are not read if they are many."""
        self.position += n
        if n <= self.hi - self.lo:
            self.lo += <size_t>n
        else:
            self.lo = self.hi = 0
            self.buffered = self.position

    cdef int fill(self, size_t n) noexcept nogil:
        """Reads until n bytes are in the buffer; -> 0, or -1 where they are not there."""
        cdef ssize_t got
        memmove(self.data, self.data + self.lo, self.hi - self.lo)
        self.hi -= self.lo
        self.lo = 0
        while self.hi < n:
            got = 0
            if self.buffered < self.end:
                got = pread(self.fd, self.data + self.hi, min(<uint64_t>(BLOCK - self.hi), self.end - self.buffered),
                            <off_t>self.buffered)
            if got < 0 and errno == EINTR:
                continue
            if got <= 0:
                self.problem = b"the file cannot be read" if got < 0 else b"the dataset ends too soon"
                return -1
            self.hi += got
            self.buffered += got
        return 0


cdef class FileWriter:
    """Writes an empty file of at most `most` bytes, from its begin."""

    def __cinit__(self, int fd, uint64_t most):
        self.data = <unsigned char *>malloc(BLOCK)
        if self.data == NULL:
            raise MemoryError
        self.fd = fd
        self.most = most

    def __dealloc__(self):
        free(self.data)

    @property
    def length(self) -> int:
        """Bytes that were written."""
        return self.tell()

    def write(self, const unsigned char[::1] data not None) -> None:
        """Appends bytes. Raises ConversionFailed where they find no room."""
        cdef const unsigned char *p = &data[0] if data.shape[0] else NULL
        cdef size_t n = data.shape[0]
        cdef int outcome
        with nogil:
            outcome = self.put(p, n)
        if outcome < 0:
            self.raise_problem()

    def flush(self) -> None:
        """All that was written is in the file when this returns. Raises ConversionFailed."""
        cdef int outcome
        with nogil:
            outcome = self.write_out()
        if outcome < 0:
            self.raise_problem()

    def raise_problem(self) -> None:
        """Raises ConversionFailed with what went wrong."""
        raise ConversionFailed(self.problem.decode("ascii"))

    cdef uint64_t tell(self) noexcept nogil:
        return self.written + self.have

    cdef unsigned char *room(self, size_t n) noexcept nogil:
        """Where the next n bytes go, at most a block, which count as written; NULL where there is no room."""
        cdef unsigned char *p
        if BLOCK - self.have < n and self.write_out() < 0:
            return NULL
        if self.tell() + n > self.most:
            self.problem = b"there is no room on the disk for the converted dataset"
            return NULL
        p = self.data + self.have
        self.have += n
        return p

    cdef int put(self, const unsigned char *data, size_t n) noexcept nogil:
        """Appends n bytes; -> 0 or -1."""
        cdef unsigned char *p
        cdef size_t piece
        while n:
            piece = min(n, <size_t>BLOCK)
            p = self.room(piece)
            if p == NULL:
                return -1
            memcpy(p, data, piece)
            data += piece
            n -= piece
        return 0

    cdef int patch(self, uint64_t at, const unsigned char *data, size_t n) noexcept nogil:
        """Replaces n bytes that were put there by one call; -> 0 or -1."""
        if at >= self.written:
            memcpy(self.data + (at - self.written), data, n)
            return 0
        return self.write_at(data, n, at)

    cdef int write_out(self) noexcept nogil:
        if self.write_at(self.data, self.have, self.written) < 0:
            return -1
        self.written += self.have
        self.have = 0
        return 0

    cdef int write_at(self, const unsigned char *data, size_t n, uint64_t at) noexcept nogil:
        cdef ssize_t done
        while n:
            done = pwrite(self.fd, data, n, <off_t>at)
            if done < 0:
                if errno == EINTR:
                    continue
                self.problem = b"the converted dataset cannot be written"
                return -1
            data += done
            at += done
            n -= done
        return 0
