"""The streaming writer: a dataset goes from the receive buffer into a slot as it arrives.

PDV headers are parsed in place, the scanner and the checksum see the fragments, and a stage takes them to the file: an
instance of any size costs the same memory (of the page cache, too), and the GIL is released from the first byte to the
last, and while the file is synced.

The slot becomes a complete Part 10 file (PS3.10 7.1). Its preamble says what recovery needs to know after a power cut
(dicomserver.archive.preamble has the same layout); it is written last.
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dicomserver.archive.stage cimport STAGE_PAGE, STAGE_PREAMBLE, Stage, give_stage_back, take_stage
from dicomserver.wire.kept cimport IDENTITY_GOOD
from dicomserver.wire.scanner cimport DatasetScanner
from dicomserver.wire.stream cimport STREAM_FRAGMENT, Fragment, PduStream
from dicomserver.wire.xxh3 cimport (
    XXH3_64bits, XXH3_64bits_digest, XXH3_64bits_reset, XXH3_64bits_update, XXH3_createState, XXH3_freeState,
    XXH3_state_t,
)

from dicomserver.wire.kept import IDENTITY_PROBLEMS

cdef enum:
    DATASET_PREFIX = STAGE_PREAMBLE + 4     # preamble and "DICM"


class IdentityMismatch(ValueError):
    """The dataset is not the instance that the command named, or names no study or series (PS3.4 B.2.3: A900).
    The text says which UID, not its value."""


cdef class Received:
    """A complete, durable Part 10 file in its slot."""
    cdef readonly uint64_t file_length      # bytes
    cdef readonly uint32_t dataset_offset   # bytes before the dataset
    cdef readonly uint64_t checksum         # XXH3-64 of the dataset as received


cdef class DatasetWriter:
    """Writes one dataset after another; belongs to one association and its thread.

    reserve: bytes of the file system that a file of more than 2 MiB leaves free. Smaller ones are no danger to it.
    """
    cdef XXH3_state_t *hash
    cdef Stage stage                # of the file that has begun, else None
    cdef size_t header_length       # bytes before its dataset
    cdef uint64_t reserve

    def __cinit__(self, uint64_t reserve=0):
        self.reserve = reserve
        self.hash = XXH3_createState()
        if self.hash == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.hash != NULL:
            XXH3_freeState(self.hash)

    def receive(self, PduStream stream not None, DatasetScanner scanner not None, int fd,
                const unsigned char[::1] meta not None, bytes sop_class_uid not None,
                bytes sop_instance_uid not None) -> None:
        """Streams the announced dataset into the empty file fd, which `seal` makes an instance. The GIL is released.

        meta: the file meta information, group 0002 whole, less than a page. The two UIDs are those of the command,
        without padding. The stream may be read on at once, and `seal` be called by any one thread.
        Raises PduError or StreamEnded where the peer broke off: the association is at its end or about to be.
        In the other cases the dataset was read to its end and nothing in the file may be kept: DatasetError
        (malformed), IdentityMismatch, OSError (a write failed; the descriptor must not be used again).
        """
        cdef int found, identity = IDENTITY_GOOD
        cdef const unsigned char *class_uid = sop_class_uid
        cdef const unsigned char *instance_uid = sop_instance_uid
        cdef size_t class_length = len(sop_class_uid), instance_length = len(sop_instance_uid)
        self.begin(fd, meta)
        scanner.clear()
        with nogil:
            found = self.pump(stream, scanner)
            if found == STREAM_FRAGMENT and not self.stage.error and scanner.end() == 0:
                identity = scanner.values.check_identity(class_uid, class_length, instance_uid, instance_length)
        if found == STREAM_FRAGMENT and not self.stage.error and not scanner.failed and identity == IDENTITY_GOOD:
            return
        self.stage.use_cache()
        error = self.forget()
        if found != STREAM_FRAGMENT:
            raise stream.failure(found)
        scanner.raise_if_bad()
        raise_if_failed(error)
        raise IdentityMismatch(IDENTITY_PROBLEMS[identity])

    @property
    def file_length(self) -> int:
        """Bytes of the file that was received, and is not sealed yet."""
        self.raise_unless_begun()
        return self.stage.length()

    def seal(self, uint64_t slot, uint64_t order, bint durable=True) -> Received:
        """Completes the file that was received, and makes it durable; or tells the disk to begin, and `sync`, which is
        to be called then, makes it durable. The GIL is released.

        slot, order: for the preamble (dicomserver.archive.preamble). Raises OSError; nothing in the file may be kept
        then, and its descriptor not be used again.
        """
        cdef Received received = Received()
        self.raise_unless_begun()
        with nogil:
            received.checksum = XXH3_64bits_digest(self.hash)
            received.file_length = self.stage.length()
            received.dataset_offset = <uint32_t>self.header_length
            fill_preamble(self.stage.memory, self.header_length, received, slot, order)
            self.stage.finish()
            if durable:
                self.stage.sync()
            else:
                self.stage.begin_sync()
        if durable or self.stage.error:
            raise_if_failed(self.forget())
        return received

    def sync(self) -> None:
        """Makes durable what was sealed and is not yet. The GIL is released. Raises OSError as `seal` does."""
        self.raise_unless_begun()
        with nogil:
            self.stage.sync()
        raise_if_failed(self.forget())

    def complete(self) -> None:
        """Completes the file that was received without a preamble of ours and without a sync: it is nobody's slot.
        The GIL is released. Raises OSError; nothing in the file may be kept then."""
        self.raise_unless_begun()
        with nogil:
            self.stage.finish()
        raise_if_failed(self.forget())

    def give_up(self) -> None:
        """Forgets a file that was received and is not to be completed; nothing where there is none."""
        if self.stage is not None:
            self.forget()

    cdef object begin(self, int fd, const unsigned char[::1] meta):
        if DATASET_PREFIX + meta.shape[0] > STAGE_PAGE:
            raise ValueError("more file meta information than a page")
        self.give_up()
        self.header_length = DATASET_PREFIX + meta.shape[0]
        XXH3_64bits_reset(self.hash)
        self.stage = take_stage()
        self.stage.begin(fd, self.reserve)
        memset(self.stage.memory, 0, STAGE_PREAMBLE)
        self.stage.add(b"DICM", 4)
        self.stage.add(&meta[0], meta.shape[0])

    cdef int raise_unless_begun(self) except -1:
        if self.stage is None:
            raise RuntimeError("nothing was received")
        return 0

    cdef int forget(self):
        """-> the errno of the stage."""
        cdef int error = self.stage.error
        give_stage_back(self.stage)
        self.stage = None
        return error

    cdef bint take(self, const unsigned char *data, size_t length, DatasetScanner scanner) noexcept nogil:
        """-> whether all is well so far."""
        if scanner.scan(data, length) != 0:
            return False
        XXH3_64bits_update(self.hash, data, length)
        self.stage.add(data, length)
        return not self.stage.error

    cdef int pump(self, PduStream stream, DatasetScanner scanner) noexcept nogil:
        """Takes the dataset to its last fragment, whatever is wrong with it; -> what ended it.

        The rest of what is refused goes nowhere. What was written of it is given back at once: its sender may take
        long to come to the end.
        """
        cdef Fragment f
        cdef int found
        cdef bint is_wanted = True
        while True:
            found = stream.fragment(&f)
            if found != STREAM_FRAGMENT:
                return found
            if f.length and is_wanted:
                is_wanted = self.take(f.data, f.length, scanner)
                if not is_wanted:
                    self.stage.empty_file()
            if f.last:
                return found


cdef int raise_if_failed(int error) except -1:
    if error:
        raise OSError(error, "the instance could not be written")
    return 0


cdef void fill_preamble(unsigned char *head, size_t header_length, Received received, uint64_t slot,
                        uint64_t order) noexcept nogil:
    """Into zeros. The layout is dicomserver.archive.preamble's. Both our machines are little endian."""
    cdef uint64_t header_checksum
    memcpy(head, b"DCMSRV\0\1", 8)
    memcpy(head + 8, &received.file_length, 8)
    memcpy(head + 16, &received.checksum, 8)
    memcpy(head + 24, &slot, 8)
    memcpy(head + 32, &received.dataset_offset, 4)
    memcpy(head + 48, &order, 8)
    header_checksum = XXH3_64bits(head, header_length)
    memcpy(head + 40, &header_checksum, 8)
