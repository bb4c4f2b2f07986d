"""One TCP connection as an association sees it: an Inlet with deadlines, and sends that cannot stall for ever.

What a deadline means depends on where the peer stands: between messages it may be silent for `idle`; inside a
message (or a PDU) it must send something every `progress`, and on the whole no less than `minimum_rate`, so that a
peer that trickles does not hold its place for hours. Of what we send it must take something every `write`, and in each
`write` that we have waited no less than `sending_rate`. Time in which we do not wait for the peer does not count.
"""
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from dicomserver.session.pieces cimport (
    ABANDONED, BROKEN, CHANGED, FILE_BUFFER, LONGEST_FRAGMENT, SENT, STALLED, TOO_SHORT, UNREADABLE, FilePiece,
    fill_piece,
)
from dicomserver.wire.inlet cimport INLET_CLOSED, INLET_FAILED, INLET_STOPPED, INLET_TIMEOUT, Inlet
from dicomserver.wire.pdata cimport fragment_room
from dicomserver.wire.xxh3 cimport XXH3_64bits_reset, XXH3_createState, XXH3_freeState

import socket
import threading

cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int, void *, size_t, int)
    ssize_t send(int, const void *, size_t, int)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *, unsigned long, int)
    short POLLIN
    short POLLOUT
    short POLLRDHUP


cdef inline int64_t now_ms() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t>t.tv_sec * 1000 + t.tv_nsec // 1000000


cdef inline int wait_for(int fd, short events, int64_t timeout_ms) noexcept nogil:
    """-> what is ready, 0 the time is over, -1 errno"""
    cdef pollfd p
    cdef int64_t until = now_ms() + timeout_ms
    cdef int r
    p.fd = fd
    p.events = events
    while True:
        r = poll(&p, 1, <int>max(0, until - now_ms()))
        if r >= 0 or errno != EINTR:
            return p.revents if r > 0 else r


class Abandoned(OSError):
    """The association shall end now: what was to be sent is not sent, or not to its end."""


class FileUnusable(Exception):
    """A file that is being sent cannot be read, ends too soon, or has other bytes than it should.

    is_begun: part of it has been sent: the peer waits for the rest in vain, and the association has to be aborted.
    """

    def __init__(self, why: str, is_begun: bool):
        super().__init__(why)
        self.is_begun = is_begun


# Bytes: a dataset in a file that is no longer fits into one buffer, with its headers for PDUs of 4 kB and more, and is
# known to be unusable before any of it is sent.
CHECKED_FIRST = FILE_BUFFER - FILE_BUFFER // 8

cdef enum:
    LOOK_EVERY_MS = 500     # whether `abandon` was called, where it cannot wake us

cdef dict UNUSABLE = {TOO_SHORT: "it ends too soon", UNREADABLE: "it cannot be read",
                      CHANGED: "its bytes have changed since they were stored"}


cdef class SocketInlet(Inlet):
    """Receives from and sends to `connection`, a connected socket that it owns from now on.

    capacity: bytes of the receive buffer. The times are in seconds, the rates in bytes a second.
    One thread receives; any may send, whole messages; `stop` and `abandon` may be called from any.
    """
    cdef object connection
    cdef object sending                 # lock of whoever sends
    cdef object closing                 # lock of whoever closes, or wakes: Python's socket gives the GIL back first and
                                        # then looks at its descriptor, whose number may be another connection's by then
    cdef int fd                         # of the connection; -1: closed
    cdef int64_t idle_ms, progress_ms, write_ms
    cdef double minimum_rate, sending_rate
    cdef bint in_message
    cdef uint64_t message_begin         # self.received at the begin of the message
    cdef int64_t waited_ms              # for the peer, in this message
    cdef uint64_t taken                 # self.sent when its rate was last looked at
    cdef int64_t stalled_ms             # waited since then, until it took more
    cdef volatile bint stop_when_idle, stop_now
    cdef public bint answering          # a request: `stop` lets its answer come to the end
    cdef readonly uint64_t sent         # bytes

    def __init__(self, size_t capacity, connection not None, double idle=60, double progress=30, double write=30,
                 double minimum_rate=1024, double sending_rate=1024):
        self.connection = connection
        self.sending, self.closing = threading.Lock(), threading.Lock()
        self.fd = connection.fileno()
        self.idle_ms, self.progress_ms, self.write_ms = int(idle * 1000), int(progress * 1000), int(write * 1000)
        self.minimum_rate, self.sending_rate = minimum_rate, sending_rate

    def take(self, const unsigned char[::1] already not None) -> None:
        """Puts bytes that somebody else has received from the connection in front of what comes."""
        cdef Py_ssize_t i, n = already.shape[0]
        if self.hi + n > self.capacity:
            raise ValueError("more bytes than the buffer holds")
        for i in range(n):
            self.data[self.hi + i] = already[i]
        self.hi += n
        self.received += n

    cdef long fill(self) noexcept nogil:
        cdef ssize_t n
        cdef int64_t begin
        cdef int ready
        while True:
            if self.is_stopped():
                return INLET_STOPPED
            n = recv(self.fd, self.data + self.hi, self.capacity - self.hi, MSG_DONTWAIT)
            if n > 0:
                self.hi += n
                self.received += n
                return n
            if n == 0:
                return INLET_STOPPED if self.stop_now or self.stop_when_idle else INLET_CLOSED
            if errno == EINTR:
                continue
            if errno != EAGAIN:
                self.failure = errno
                return INLET_FAILED
            begin = now_ms()
            ready = wait_for(self.fd, POLLIN, self.progress_ms if self.in_message else self.idle_ms)
            if ready < 0:
                self.failure = errno
                return INLET_FAILED
            self.waited_ms += now_ms() - begin
            if ready == 0 or self.trickles():
                return INLET_TIMEOUT

    cdef bint is_stopped(self) noexcept nogil:
        return self.stop_now or (self.stop_when_idle and not self.in_message and not self.answering)

    cdef bint trickles(self) noexcept nogil:
        return (self.in_message and self.waited_ms > self.progress_ms
                and (self.received - self.message_begin) * 1000.0 < self.minimum_rate * self.waited_ms)

    cdef void begin_message(self) noexcept nogil:
        if not self.in_message:
            self.in_message = True
            self.message_begin = self.received
            self.waited_ms = 0

    cdef void end_message(self) noexcept nogil:
        self.in_message = False

    @property
    def busy(self) -> bool:
        """Whether the peer is inside a message."""
        return self.in_message

    @property
    def stopping(self) -> bool:
        """Whether `stop` or `abandon` ends what is done now; reading on says so."""
        return self.is_stopped()

    @property
    def pending(self) -> bool:
        """Whether a whole PDU has arrived, or the connection has ended: reading it would not wait. To be asked between
        messages."""
        cdef ssize_t n
        self.compact()
        while not self.has_whole_pdu():
            n = recv(self.fd, self.data + self.hi, self.capacity - self.hi, MSG_DONTWAIT)
            if n > 0:
                self.hi += n
                self.received += n
            elif n == 0:
                return True
            elif errno != EINTR:
                return errno != EAGAIN
        return True

    def wait_beside(self, int other) -> bool:
        """Waits, between messages, until the peer has sent something (or its connection ended, or `stop` was called)
        or there is something to read from `other`, a descriptor; -> whether it is `other` and not the peer. The GIL is
        released. Raises TimeoutError where neither came within the idle deadline."""
        cdef pollfd[2] both
        cdef int64_t until = now_ms() + self.idle_ms
        cdef int ready = 0
        self.end_message()      # from now on `stop` wakes us
        if self.hi > self.lo or self.stop_when_idle or self.stop_now:
            return False
        both[0].fd, both[1].fd = self.fd, other
        both[0].events = both[1].events = POLLIN
        both[0].revents = both[1].revents = 0
        with nogil:
            while True:
                ready = poll(both, 2, <int>max(0, until - now_ms()))
                if ready >= 0 or errno != EINTR:
                    break
        if ready == 0:
            raise TimeoutError("neither the peer nor anybody else has said a word")
        return both[0].revents == 0 and both[1].revents != 0

    cdef bint has_whole_pdu(self) noexcept nogil:
        """One that the buffer cannot hold counts: it is to be refused by whoever reads it."""
        cdef const unsigned char *p = self.data + self.lo
        cdef uint64_t length
        if self.hi - self.lo < 6:
            return False
        length = <uint64_t>p[2] << 24 | <uint64_t>p[3] << 16 | <uint64_t>p[4] << 8 | p[5]
        return self.hi - self.lo >= min(length + 6, <uint64_t>self.capacity)

    def send(self, const unsigned char[::1] data not None, bint wait=True) -> int:
        """Sends all of it, in one write where the peer keeps up; without `wait`, what the connection takes at once.
        -> how many bytes. The GIL is released.

        Raises TimeoutError where the peer takes nothing for the write deadline, or too little; Abandoned where
        `abandon` was called and it would have to wait; OSError where the connection broke.
        """
        cdef size_t left = data.shape[0]
        cdef int outcome
        with self.sending, nogil:
            outcome = self.send_all(&data[0] if left else NULL, &left, wait)
        self.raise_unless_sent(outcome)
        return data.shape[0] - left

    cdef int send_all(self, const unsigned char *p, size_t *left, bint wait) noexcept nogil:
        """Sends what is left; without `wait` what the connection takes at once. -> SENT, or why not."""
        cdef ssize_t n
        cdef int outcome
        while left[0]:
            n = send(self.fd, p, left[0], MSG_DONTWAIT | MSG_NOSIGNAL)
            if n >= 0:
                p += n
                left[0] -= n
                self.sent += n
            elif errno == EAGAIN:
                if not wait:
                    return SENT
                outcome = self.wait_to_send()
                if outcome != SENT:
                    return outcome
            elif errno != EINTR:
                self.failure = errno
                return BROKEN
        return SENT

    cdef int wait_to_send(self) noexcept nogil:
        """-> SENT where the connection may take more, or why nothing more is sent."""
        cdef short events = POLLOUT | POLLRDHUP     # `wake` brings the second one
        cdef int64_t left, begin = now_ms(), until = begin + self.write_ms
        cdef int ready
        if self.takes_too_little():
            return STALLED
        while not self.stop_now:
            left = max(0, until - now_ms())
            ready = wait_for(self.fd, events, left if events & POLLRDHUP else min(left, LOOK_EVERY_MS))
            if ready < 0:
                self.failure = errno
                return BROKEN
            if ready & ~POLLRDHUP:
                self.stalled_ms += now_ms() - begin
                return SENT
            if ready == 0 and now_ms() >= until:
                return STALLED
            events = POLLOUT        # the peer, or `stop`, has used up what would wake us: from now on we look
        return ABANDONED

    cdef bint takes_too_little(self) noexcept nogil:
        """Whether the peer took less than it must in the last `write` of waiting. Then the next one begins: what went
        fast before is no credit."""
        cdef uint64_t took = self.sent - self.taken
        cdef int64_t waited = self.stalled_ms
        if waited < self.write_ms:
            return False
        self.taken, self.stalled_ms = self.sent, 0
        return took * 1000.0 < self.sending_rate * waited

    cdef int raise_unless_sent(self, int outcome) except -1:
        if outcome == BROKEN:
            raise OSError(self.failure, "the connection broke")
        if outcome == STALLED:
            raise TimeoutError("the peer takes no data, or too little")
        if outcome == ABANDONED:
            raise Abandoned("sending is given up")
        return 0

    def send_file(self, const unsigned char[::1] before not None, int context_id, int file, uint64_t offset,
                  uint64_t length, checksum, maximum_length) -> None:
        """Sends `before`, then `length` bytes of an open file from `offset` on as the fragments of one dataset, in PDUs
        as long as the peer takes. The GIL is released over all of it.

        length: not 0. checksum: XXH3-64 of these bytes, others are never sent to the end; None where it is not known.
        maximum_length: what the peer announced (PS3.8 D.1). Raises as `send` does, Abandoned also between two PDUs, and
        FileUnusable.
        """
        cdef FilePiece piece
        cdef size_t have = before.shape[0]
        cdef uint64_t sent = self.sent
        cdef int outcome = SENT
        if have > FILE_BUFFER // 2 or not length:
            raise ValueError("more bytes than the buffer holds, or none to send")
        piece.file, piece.offset, piece.left = file, offset, length
        piece.room = <size_t>min(fragment_room(maximum_length), <uint64_t>LONGEST_FRAGMENT)
        piece.context_id, piece.checksum = <uint8_t>context_id, 0 if checksum is None else checksum
        piece.buffer = <unsigned char *>malloc(FILE_BUFFER)
        piece.hash = NULL if checksum is None else XXH3_createState()
        try:
            if piece.buffer == NULL or (piece.hash == NULL and checksum is not None):
                raise MemoryError
            if piece.hash != NULL:
                XXH3_64bits_reset(piece.hash)
            if have:
                memcpy(piece.buffer, &before[0], have)
            with self.sending, nogil:
                while outcome == SENT and (piece.left or have):
                    outcome = ABANDONED if self.stop_now else fill_piece(&piece, &have)
                    if outcome == SENT:
                        outcome = self.send_all(piece.buffer, &have, True)
        finally:
            free(piece.buffer)
            if piece.hash != NULL:
                XXH3_freeState(piece.hash)
        if outcome in UNUSABLE:
            raise FileUnusable(UNUSABLE[outcome], self.sent != sent)
        self.raise_unless_sent(outcome)

    def stop(self) -> None:
        """The association shall end: at once where nothing is under way, else after this message and its answer."""
        self.stop_when_idle = True
        if not self.in_message and not self.answering:
            self.wake()

    def abandon(self) -> None:
        """The association shall end now, in the middle of a message if need be: nothing waits for the peer any more."""
        self.stop_now = True
        self.wake()

    def wake(self) -> None:
        """Makes a waiting receive return, and a waiting send look again. Sending goes on to work."""
        try:
            with self.closing:
                self.connection.shutdown(socket.SHUT_RD)
        except OSError:
            pass    # the peer was faster: there is nothing left to wake

    def fileno(self) -> int:
        """The connection's descriptor: to wait on it beside others, when `pending` has said no."""
        return self.connection.fileno()

    def close(self) -> None:
        """Closes the connection; once. By the thread that receives: the buffer's memory goes back to the system, as
        what refers to it may live until Python next looks for cycles. Who sends or receives afterwards fails: the
        descriptor's number may be another connection's by then."""
        with self.sending, self.closing:
            self.fd = -1
            self.connection.close()
        self.lo = self.hi = 0
        self.give_back()

    def wait_for_close(self, double seconds) -> None:
        """Waits, no longer than `seconds`, until the peer closes; forgets what it still sends (PS3.8: Sta13)."""
        cdef int64_t until = now_ms() + <int64_t>(seconds * 1000)
        cdef ssize_t n
        with nogil:
            while now_ms() < until and not self.stop_now:
                if wait_for(self.fd, POLLIN, max(0, until - now_ms())) <= 0:
                    break
                n = recv(self.fd, self.data, self.capacity, MSG_DONTWAIT)
                if n == 0 or (n < 0 and errno != EAGAIN and errno != EINTR):
                    break
                self.received += max(0, n)
