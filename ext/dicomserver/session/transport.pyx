"""One TCP connection as an association sees it: an Inlet with deadlines, and sends that cannot stall for ever.

What a deadline means depends on where the peer stands: between messages it may be silent for `idle`; inside a
message (or a PDU) it must send something every `progress`, and on the whole no less than `minimum_rate`, so that a
peer that trickles does not hold its place for hours. Time in which we do not wait for the peer does not count.
"""
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint64_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from dicomserver.wire.inlet cimport INLET_CLOSED, INLET_FAILED, INLET_STOPPED, INLET_TIMEOUT, Inlet

import socket

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


cdef inline int64_t now_ms() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return <int64_t>t.tv_sec * 1000 + t.tv_nsec // 1000000


cdef inline int wait_for(int fd, short events, int64_t timeout_ms) noexcept nogil:
    """-> 1 ready, 0 the time is over, -1 errno"""
    cdef pollfd p
    cdef int64_t until = now_ms() + timeout_ms
    cdef int r
    p.fd = fd
    p.events = events
    while True:
        r = poll(&p, 1, <int>max(0, until - now_ms()))
        if r >= 0 or errno != EINTR:
            return r


cdef class SocketInlet(Inlet):
    """Receives from and sends to `connection`, a connected socket that it owns from now on.

    capacity: bytes of the receive buffer. The times are in seconds, minimum_rate in bytes a second.
    One thread receives and sends; `stop` and `abandon` may be called from any other.
    """
    cdef object connection
    cdef int fd
    cdef int64_t idle_ms, progress_ms, write_ms
    cdef double minimum_rate
    cdef bint in_message
    cdef uint64_t message_begin         # self.received at the begin of the message
    cdef int64_t waited_ms              # for the peer, in this message
    cdef volatile bint stop_when_idle, stop_now
    cdef readonly uint64_t sent         # bytes

    def __init__(self, size_t capacity, connection not None, double idle=60, double progress=30, double write=30,
                 double minimum_rate=1024):
        self.connection = connection
        self.fd = connection.fileno()
        self.idle_ms, self.progress_ms, self.write_ms = int(idle * 1000), int(progress * 1000), int(write * 1000)
        self.minimum_rate = minimum_rate

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
            if self.stop_now or (self.stop_when_idle and not self.in_message):
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

        Raises TimeoutError where the peer takes nothing for the write deadline, OSError where the connection broke.
        """
        cdef const unsigned char *p = &data[0] if data.shape[0] else NULL
        cdef size_t left = data.shape[0]
        cdef ssize_t n
        cdef int ready = 1, failure = 0
        with nogil:
            while left and ready > 0:
                n = send(self.fd, p, left, MSG_DONTWAIT | MSG_NOSIGNAL)
                if n >= 0:
                    p += n
                    left -= n
                    self.sent += n
                elif errno == EAGAIN:
                    if not wait:
                        break
                    ready = wait_for(self.fd, POLLOUT, self.write_ms)
                elif errno != EINTR:
                    ready = -1
            if ready < 0:
                failure = errno
        if failure:
            raise OSError(failure, "the connection broke")
        if left and wait:
            raise TimeoutError("the peer takes no data")
        return data.shape[0] - left

    def stop(self) -> None:
        """The association shall end: at once where the peer is between messages, else after this message."""
        self.stop_when_idle = True
        if not self.in_message:
            self.wake()

    def abandon(self) -> None:
        """The association shall end now, in the middle of a message if need be."""
        self.stop_now = True
        self.wake()

    def wake(self) -> None:
        """Makes a waiting receive return. Sending goes on to work."""
        try:
            self.connection.shutdown(socket.SHUT_RD)
        except OSError:
            pass    # the peer was faster: there is nothing left to wake

    def close(self) -> None:
        """Closes the connection; once."""
        self.connection.close()

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
