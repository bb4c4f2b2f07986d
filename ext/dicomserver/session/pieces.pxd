"""A dataset in a file, read piece by piece between the headers of the P-DATA-TF PDUs that carry it."""
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint8_t, uint64_t
from posix.types cimport off_t

from dicomserver.wire.pdata cimport PDV_LAST, frame_header
from dicomserver.wire.xxh3 cimport XXH3_64bits_digest, XXH3_64bits_update, XXH3_state_t

cdef extern from "sys/uio.h" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t preadv(int, const iovec *, int, off_t)

cdef enum:
    SENT = 0
    STALLED = 1                 # the write deadline passed
    BROKEN = 2
    TOO_SHORT = 3
    UNREADABLE = 4
    CHANGED = 5
    ABANDONED = 6

cdef enum:
    FILE_BUFFER = 1048576       # bytes that are read and sent at once: few system calls, whatever the length of PDUs
    LONGEST_FRAGMENT = 524288
    PDV_HEADERS = 12            # of a P-DATA-TF PDU with one PDV
    MOST_FRAGMENTS = 256        # in one buffer


cdef struct FilePiece:          # what is left of a dataset in a file
    int file
    uint64_t offset, left       # bytes
    size_t room                 # the longest fragment
    uint8_t context_id
    unsigned char *buffer       # FILE_BUFFER bytes
    XXH3_state_t *hash          # of what was read; NULL where nobody knows what it must be
    uint64_t checksum           # what it must be in the end


cdef inline int fill_piece(FilePiece *piece, size_t *have) noexcept nogil:
    """Puts headers and fragments behind what the buffer has, read by one call; -> SENT or what is wrong."""
    cdef iovec[MOST_FRAGMENTS] vectors
    cdef int count = 0, i, outcome
    cdef size_t n, begin = have[0]
    while piece.left and count < MOST_FRAGMENTS:
        n = <size_t>min(piece.left, <uint64_t>piece.room)
        if have[0] + PDV_HEADERS + n > FILE_BUFFER:
            break
        piece.left -= n
        frame_header(piece.buffer + have[0], n, piece.context_id, 0 if piece.left else PDV_LAST)
        vectors[count].iov_base = piece.buffer + have[0] + PDV_HEADERS
        vectors[count].iov_len = n
        have[0] += PDV_HEADERS + n
        count += 1
    outcome = read_vectors(piece, vectors, count)
    if outcome != SENT or piece.hash == NULL:
        return outcome
    # The last piece is not sent before it is known that all were right.
    for i in range(count):
        n = fragment_length(piece.buffer + begin)
        XXH3_64bits_update(piece.hash, piece.buffer + begin + PDV_HEADERS, n)
        begin += PDV_HEADERS + n
    return CHANGED if piece.left == 0 and XXH3_64bits_digest(piece.hash) != piece.checksum else SENT


cdef inline size_t fragment_length(const unsigned char *header) noexcept nogil:
    """The bytes of the one fragment of a PDU, from its length field (PS3.8 9.3.5)."""
    return (<size_t>header[2] << 24 | <size_t>header[3] << 16 | <size_t>header[4] << 8 | header[5]) - 6


cdef inline int read_vectors(FilePiece *piece, iovec *vectors, int count) noexcept nogil:
    cdef ssize_t n
    while count:
        n = preadv(piece.file, vectors, count, <off_t>piece.offset)
        if n < 0 and errno == EINTR:
            continue
        if n < 0:
            return UNREADABLE
        if n == 0:
            return TOO_SHORT
        piece.offset += n
        while count and <size_t>n >= vectors.iov_len:
            n -= vectors.iov_len
            vectors += 1
            count -= 1
        if count:
            vectors.iov_base = <char *>vectors.iov_base + n
            vectors.iov_len -= n
    return SENT
