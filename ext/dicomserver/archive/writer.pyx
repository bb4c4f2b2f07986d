"""The streaming writer: a dataset goes from the receive buffer into a slot as it arrives.

PDV headers are parsed in place, the scanner and the checksum see the fragments, and gathered writes take them to the
file: the bytes are copied by the kernel alone, an instance of any size costs the same memory (of the page cache, too),
and the GIL is released from the first byte to the last, and while the file is synced.

The slot becomes a complete Part 10 file (PS3.10 7.1). Its preamble says what recovery needs to know after a power cut
(dicomserver.archive.preamble has the same layout); it is written last.
"""
from libc.errno cimport EINTR, EINVAL, ENOSYS, ESPIPE, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.types cimport off_t

from dicomserver.wire.kept cimport IDENTITY_GOOD
from dicomserver.wire.scanner cimport DatasetScanner
from dicomserver.wire.stream cimport STREAM_ENDED, STREAM_FRAGMENT, STREAM_MORE, Fragment, PduStream
from dicomserver.wire.xxh3 cimport (
    XXH3_64bits, XXH3_64bits_digest, XXH3_64bits_reset, XXH3_64bits_update, XXH3_createState, XXH3_freeState,
    XXH3_state_t,
)

from dicomserver.wire.kept import IDENTITY_PROBLEMS

cdef extern from "sys/uio.h" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t pwritev(int, const iovec *, int, off_t)

cdef extern from "unistd.h" nogil:
    int fdatasync(int)

cdef extern from "fcntl.h" nogil:
    int sync_file_range(int, off_t, off_t, unsigned int)
    int posix_fadvise(int, off_t, off_t, int)
    unsigned int SYNC_FILE_RANGE_WAIT_BEFORE, SYNC_FILE_RANGE_WRITE
    int POSIX_FADV_DONTNEED

cdef enum:
    MOST_VECTORS = 1024         # IOV_MAX of Linux
    GATHER = 262144             # bytes that are gathered for one write
    LEAST_ROOM = 65536          # of the buffer: with less, it is written out and compacted before the next fill
    WINDOW = 8388608            # bytes that the disk writes while the next ones come in
    LARGE = 33554432            # bytes of a file from which on it does not stay in the page cache
    TAKES_A_WHILE = 65536       # bytes of a file from which on `seal` starts the disk and does not wait for it
    PAGE = 4096
    PREAMBLE = 128              # its bytes
    DATASET_PREFIX = 132        # preamble and "DICM"


class IdentityMismatch(ValueError):
    """The dataset is not the instance that the command named, or names no study or series (PS3.4 B.2.3: A900).
    The text says which UID, not its value."""


cdef class Received:
    """A complete, durable Part 10 file in its slot."""
    cdef readonly uint64_t file_length      # bytes
    cdef readonly uint32_t dataset_offset   # bytes before the dataset
    cdef readonly uint64_t checksum         # XXH3-64 of the dataset as received


cdef class DatasetWriter:
    """Writes one dataset after another; belongs to one association and its thread."""
    cdef XXH3_state_t *hash
    cdef iovec *vectors             # [0] is kept for the header
    cdef int count                  # vectors gathered, [0] counted
    cdef size_t gathered            # bytes of them
    cdef off_t written              # where the next write goes
    cdef off_t begun                # up to here the disk was told to begin
    cdef off_t dropped              # up to here the pages have left the page cache
    cdef bint sealed                # all is written, and waits for `sync`
    cdef bint synced                # and has been synced
    cdef PduStream source           # kept until `seal`: the last gathered bytes are in its buffer
    cdef bytearray header           # preamble, "DICM" and file meta information of the file that has begun
    cdef int fd                     # its descriptor, borrowed; -1 where no file has begun
    cdef int error                  # errno of the first write or sync that failed

    def __cinit__(self):
        self.hash = XXH3_createState()
        self.vectors = <iovec *>malloc(MOST_VECTORS * sizeof(iovec))
        self.fd = -1
        if self.hash == NULL or self.vectors == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.hash != NULL:
            XXH3_freeState(self.hash)
        free(self.vectors)

    def receive(self, PduStream stream not None, DatasetScanner scanner not None, int fd,
                const unsigned char[::1] meta not None, bytes sop_class_uid not None,
                bytes sop_instance_uid not None) -> None:
        """Streams the announced dataset into the empty file fd, which `seal` makes an instance. The GIL is released.

        meta: the file meta information, group 0002 whole. The two UIDs are those of the command, without padding.
        Until `settle` or `seal` nothing may be read from the stream: the last bytes are still in its buffer.
        Raises PduError or StreamEnded where the peer broke off: the association is at its end or about to be.
        In the other cases the dataset was read to its end and nothing in the file may be kept: DatasetError
        (malformed), IdentityMismatch, OSError (a write failed; the descriptor must not be used again).
        """
        cdef int found, identity = IDENTITY_GOOD
        cdef const unsigned char *class_uid = sop_class_uid
        cdef const unsigned char *instance_uid = sop_instance_uid
        cdef size_t class_length = len(sop_class_uid), instance_length = len(sop_instance_uid)
        self.begin(fd, meta)
        self.source = stream
        scanner.clear()
        with nogil:
            found = self.pump(stream, scanner)
            if found == STREAM_FRAGMENT and not self.error and scanner.end() == 0:
                identity = scanner.values.check_identity(class_uid, class_length, instance_uid, instance_length)
        if found == STREAM_FRAGMENT and not self.error and not scanner.failed and identity == IDENTITY_GOOD:
            return
        self.forget()
        if found != STREAM_FRAGMENT:
            raise stream.failure(found)
        scanner.raise_if_bad()
        self.raise_if_failed()
        raise IdentityMismatch(IDENTITY_PROBLEMS[identity])

    def settle(self) -> None:
        """Writes what is left of the dataset that was received, so that the stream may be read on before `seal`, which
        and `sync` may then be called by any one thread. The GIL is released. An error comes out at `seal`."""
        with nogil:
            self.write_out()
        self.source = None

    def seal(self, uint64_t slot, uint64_t order) -> Received:
        """Completes the file that was received: writes what is left and the header. The GIL is released.

        Nothing may be taken for durable before `sync`. A file of some size is with the disk meanwhile, so that
        something else can be done; a small one is synced at once, as handing the GIL over twice takes longer.

        slot, order: for the preamble (dicomserver.archive.preamble). Raises OSError where a write failed; nothing in
        the file may be kept then, and its descriptor not be used again.
        """
        cdef Received received = Received()
        cdef unsigned char *head
        cdef size_t header_length
        if self.fd < 0 or self.sealed:
            raise RuntimeError("there is nothing to seal")
        head = self.header
        header_length = len(self.header)
        with nogil:
            received.checksum = XXH3_64bits_digest(self.hash)
            received.file_length = self.written + self.gathered
            received.dataset_offset = <uint32_t>header_length
            fill_preamble(head, header_length, received, slot, order)
            self.finish(head, header_length)
            if received.file_length < TAKES_A_WHILE:
                self.sync_file()
            else:
                self.begin_disk(0, 0)
        self.source = None
        self.sealed = True
        self.raise_if_failed()
        return received

    def sync(self) -> None:
        """Makes the sealed file durable. The GIL is released. Raises OSError where it is not; nothing in the file may
        be kept then, and its descriptor not be used again."""
        if not self.sealed:
            raise RuntimeError("there is nothing to sync")
        if not self.synced:
            with nogil:
                self.sync_file()
        self.forget()
        self.raise_if_failed()

    def complete(self) -> None:
        """Completes the file that was received without a preamble of ours and without a sync: it is nobody's slot.
        The GIL is released. Raises OSError; nothing in the file may be kept then."""
        cdef unsigned char *head
        cdef size_t header_length
        if self.fd < 0 or self.sealed:
            raise RuntimeError("there is nothing to complete")
        head = self.header
        header_length = len(self.header)
        with nogil:
            self.finish(head, header_length)
        self.forget()
        self.raise_if_failed()

    cdef void begin(self, int fd, const unsigned char[::1] meta):
        self.header = bytearray(DATASET_PREFIX + meta.shape[0])
        self.header[PREAMBLE:DATASET_PREFIX] = b"DICM"
        self.header[DATASET_PREFIX:] = meta
        XXH3_64bits_reset(self.hash)
        self.fd = fd
        self.written = len(self.header)
        self.begun = self.dropped = 0
        self.sealed = self.synced = False
        self.gathered = self.error = 0
        self.count = 1

    cdef void forget(self):
        self.source = None
        self.fd = -1
        self.sealed = False

    cdef object raise_if_failed(self):
        if self.error:
            self.forget()
            raise OSError(self.error, "the instance could not be written")

    cdef int pump(self, PduStream stream, DatasetScanner scanner) noexcept nogil:
        """Takes the dataset to its last fragment, whatever is wrong with it; -> what ended it."""
        cdef Fragment f
        cdef int found
        while True:
            found = stream.step(&f)
            if found == STREAM_FRAGMENT:
                if f.length and not self.error and scanner.scan(f.data, f.length) == 0:
                    self.gather(&f)
                if f.last:
                    return found
            elif found == STREAM_MORE:
                if self.gathered >= GATHER or stream.inlet.capacity - stream.inlet.hi < LEAST_ROOM:
                    self.write_out()
                    stream.inlet.compact()
                if stream.fill() == STREAM_ENDED:
                    return STREAM_ENDED
            else:
                return found

    cdef void gather(self, const Fragment *f) noexcept nogil:
        XXH3_64bits_update(self.hash, f.data, f.length)
        if self.count == MOST_VECTORS:
            self.write_out()
        self.vectors[self.count].iov_base = <void *>f.data
        self.vectors[self.count].iov_len = f.length
        self.count += 1
        self.gathered += f.length

    cdef void write_out(self) noexcept nogil:
        """Writes what was gathered."""
        if self.count > 1 and not self.error:
            self.write_all(&self.vectors[1], self.count - 1, self.written)
            self.written += self.gathered
            if self.written - self.begun >= WINDOW:
                self.write_behind()
        self.count = 1
        self.gathered = 0

    cdef void write_behind(self) noexcept nogil:
        """Has the disk begin with what has come in since the last time, so that the sync at the end does not find all
        of it still to do; and takes from the page cache what the disk has written by now of a large file.

        What follows gets the same pages again: a large instance pushes nobody else's out, and waits for no new ones,
        which can take longer than the disk.
        """
        cdef off_t done = (self.begun - WINDOW) & ~<off_t>(PAGE - 1)
        if not self.begin_disk(self.begun, self.written - self.begun):
            return
        if self.written > LARGE and done > self.dropped:
            if sync_file_range(self.fd, self.dropped, done - self.dropped, SYNC_FILE_RANGE_WAIT_BEFORE) != 0:
                self.error = errno
                return
            posix_fadvise(self.fd, self.dropped, done - self.dropped, POSIX_FADV_DONTNEED)
            self.dropped = done
        self.begun = self.written

    cdef bint begin_disk(self, off_t offset, off_t length) noexcept nogil:
        """Has the disk begin with a part of the file, 0 for all that follows; -> whether it has.

        An error is the instance's: the kernel may tell it once, and the sync then finds nothing left to write.
        """
        if sync_file_range(self.fd, offset, length, SYNC_FILE_RANGE_WRITE) == 0:
            return True
        if errno != ENOSYS and errno != EINVAL and errno != ESPIPE:     # a file system that cannot
            self.error = errno
        return False

    cdef void finish(self, unsigned char *head, size_t header_length) noexcept nogil:
        """Writes the rest, then the preamble.

        A SIGKILL breaks a write off between two pages. So the preamble has a write of its own, within one page: where
        it is in the file, all the rest is.
        """
        if self.written > <off_t>header_length:
            self.write_out()
        self.vectors[0].iov_base = head + PREAMBLE
        self.vectors[0].iov_len = header_length - PREAMBLE
        if not self.error:
            self.write_all(self.vectors, self.count, PREAMBLE)
        self.vectors[0].iov_base = head
        self.vectors[0].iov_len = PREAMBLE
        if not self.error:
            self.write_all(self.vectors, 1, 0)

    cdef void sync_file(self) noexcept nogil:
        if not self.error and fdatasync(self.fd) != 0:
            self.error = errno
        elif self.written > LARGE:
            posix_fadvise(self.fd, 0, 0, POSIX_FADV_DONTNEED)
        self.synced = True

    cdef void write_all(self, iovec *vectors, int count, off_t offset) noexcept nogil:
        cdef ssize_t n
        while count:
            n = pwritev(self.fd, vectors, count, offset)
            if n < 0:
                if errno == EINTR:
                    continue
                self.error = errno
                return
            offset += n
            while count and <size_t>n >= vectors.iov_len:
                n -= vectors.iov_len
                vectors += 1
                count -= 1
            if n:
                vectors.iov_base = <char *>vectors.iov_base + n
                vectors.iov_len -= n


cdef void fill_preamble(unsigned char *head, size_t header_length, Received received, uint64_t slot,
                        uint64_t order) noexcept nogil:
    """The layout is dicomserver.archive.preamble's. Both our machines are little endian."""
    cdef uint64_t header_checksum
    memset(head, 0, PREAMBLE)
    memcpy(head, b"DCMSRV\0\1", 8)
    memcpy(head + 8, &received.file_length, 8)
    memcpy(head + 16, &received.checksum, 8)
    memcpy(head + 24, &slot, 8)
    memcpy(head + 32, &received.dataset_offset, 4)
    memcpy(head + 48, &order, 8)
    header_checksum = XXH3_64bits(head, header_length)
    memcpy(head + 40, &header_checksum, 8)
