"""The receive buffer and the promise that someone fills it."""

cdef enum:
    INLET_CLOSED = 0        # fill(): the peer closed its side in good order
    INLET_FAILED = -1       # fill(): the connection broke; Inlet.failure is the errno
    INLET_TIMEOUT = -2      # fill(): the deadline in force has passed
    INLET_STOPPED = -3      # fill(): we were asked to stop


cdef class Inlet:
    cdef unsigned char *data        # owned by the inlet; stays where it is for its whole life
    cdef size_t capacity            # bytes allocated at data
    cdef size_t lo                  # unread bytes are data[lo:hi]
    cdef size_t hi
    cdef readonly int failure       # errno behind INLET_FAILED
    cdef readonly unsigned long long received   # bytes received so far: the buffer beyond them is zeros

    cdef long fill(self) noexcept nogil
    cdef bint is_stopped(self) noexcept nogil
    cdef void begin_message(self) noexcept nogil
    cdef void end_message(self) noexcept nogil
    cdef void compact(self) noexcept nogil
    cdef void give_back(self) noexcept nogil


cdef class BytesInlet(Inlet):
    cdef bytes source               # what there is to receive
    cdef const unsigned char *next  # borrowed from source
    cdef size_t left                # bytes of source not yet handed out
    cdef size_t chunk               # at most so many bytes a fill
