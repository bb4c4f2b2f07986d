"""P-DATA-TF PDUs joined to command sets and dataset fragments (PS3.8 9.3.5, Annex E; PS3.7 6.3.1).

    P-DATA-TF PDU   04H 00H length(4, big endian), then PDVs
    PDV             length(4, big endian, counts the two octets that follow and the fragment)
                    presentation context id(1)  message control header(1: bit 0 command, bit 1 last)  fragment

A PduStream reads them in place from its inlet. A message is a command set and, where that says so, a dataset;
the command set is assembled here, the dataset's fragments are handed out as they arrive.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from dicomserver.wire.inlet cimport INLET_CLOSED, INLET_FAILED, INLET_STOPPED, INLET_TIMEOUT, Inlet

from dicomserver.wire.errors import PduError

cdef enum:
    PHASE_COMMAND = 0           # the next PDV begins a command set
    PHASE_IN_COMMAND = 1
    PHASE_COMPLETE = 2          # a command set is complete; its reader says whether a dataset follows
    PHASE_DATASET = 3           # the next PDV begins the dataset
    PHASE_IN_DATASET = 4

cdef enum:
    P_DATA_TF = 4
    UNRECOGNIZED_PDU = 1        # A-ABORT reasons of the service provider, PS3.8 9.3.8
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6
    MOST_EMPTY_FRAGMENTS = 128  # in one message: a peer may end a message with one, not live on them

# Events of PduStream.next and StreamEnded.
COMMAND = "command set"
PDU = "another PDU"
CLOSED = "closed"
FAILED = "connection broken"
TIMEOUT = "timeout"
STOPPED = "stopped"

cdef dict ENDINGS = {INLET_CLOSED: CLOSED, INLET_FAILED: FAILED, INLET_TIMEOUT: TIMEOUT, INLET_STOPPED: STOPPED}


class StreamEnded(Exception):
    """The dataset did not come to its end. `event` is PDU (a PDU of another type interrupts it: `next` returns
    it), CLOSED, FAILED, TIMEOUT or STOPPED."""

    def __init__(self, event: str):
        super().__init__(event)
        self.event = event


cdef inline uint32_t big_endian_32(const unsigned char *p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3]


cdef class PduStream:
    """The receiving half of an association's data transfer.

    inlet: an Inlet with room for the largest PDU other than P-DATA-TF. maximum_length: what we announced
    (0: no limit; nothing is ever allocated by it). One thread at a time.
    """

    def __init__(self, Inlet inlet not None, uint32_t maximum_length=0, uint32_t maximum_command=65536,
                 uint32_t maximum_control=262144):
        if inlet.capacity < maximum_control + 6:
            raise ValueError("the inlet has no room for a PDU of maximum_control bytes")
        if self.command_data == NULL:
            self.command_data = <unsigned char *>malloc(maximum_command)
            if self.command_data == NULL:
                raise MemoryError
        self.inlet = inlet
        self.maximum_length = maximum_length
        self.maximum_command = maximum_command
        self.maximum_control = maximum_control
        memset(self.accepted, 0, sizeof(self.accepted))

    def __dealloc__(self):
        free(self.command_data)

    def accept(self, context_ids) -> None:
        """From now on PDVs may use these presentation contexts, and no others."""
        memset(self.accepted, 0, sizeof(self.accepted))
        for context_id in context_ids:
            self.accepted[<uint8_t>context_id] = 1

    # -- what Python calls -------------------------------------------------------------------------------

    def next(self) -> tuple[str, bytes | None]:
        """Waits for what comes next: (COMMAND, command set), (PDU, one whole PDU of another type), or
        (CLOSED | FAILED | TIMEOUT | STOPPED, None). The GIL is released. No message is begun after a stop.

        After COMMAND the caller decodes it, calls `expect_dataset` where one follows, and reads that to its end.
        Raises PduError where the peer broke a rule: the association must be aborted.
        """
        cdef int found
        cdef size_t length = 0
        with nogil:
            if self.phase == PHASE_COMPLETE:
                self.phase = PHASE_COMMAND
            if self.phase == PHASE_COMMAND:
                self.inlet.end_message()
            found = self.collect_command()
            if found == STREAM_PDU:
                found = self.complete_pdu(&length)
        if found == STREAM_FRAGMENT:
            return COMMAND, PyBytes_FromStringAndSize(<char *>self.command_data, self.command_length)
        if found == STREAM_PDU:
            pdu = PyBytes_FromStringAndSize(<char *>self.inlet.data + self.inlet.lo, length)
            self.inlet.lo += length
            return PDU, pdu
        if found == STREAM_ENDED:
            return ENDINGS[self.ending], None
        raise self.failure(found)

    def expect_dataset(self) -> None:
        """The command set just read says that a dataset follows."""
        if self.phase != PHASE_COMPLETE:
            raise RuntimeError("no command set was read")
        self.phase = PHASE_DATASET

    @property
    def in_dataset(self) -> bool:
        """Whether a dataset is announced and not yet read to its end."""
        return self.phase >= PHASE_DATASET

    @property
    def in_pdu(self) -> bool:
        """Whether more of a P-DATA-TF PDU is to be read: several messages may share one."""
        return self.pdu_left > 0

    def drain(self) -> int:
        """Reads the rest of the dataset, if there is any, and forgets it; -> bytes. Raises StreamEnded, PduError."""
        cdef Fragment f
        cdef int found = STREAM_FRAGMENT
        cdef uint64_t total = 0
        f.last = False
        with nogil:
            while self.phase >= PHASE_DATASET and found == STREAM_FRAGMENT:
                found = self.fragment(&f)
                if found == STREAM_FRAGMENT:
                    total += f.length
        if found != STREAM_FRAGMENT:
            raise self.failure(found)
        return total

    def read_dataset(self, size_t most) -> bytes | None:
        """The dataset as one bytes object; None where it is longer than `most` bytes (it is read to its end all
        the same). Raises StreamEnded, PduError."""
        cdef Fragment f
        cdef int found
        whole = bytearray()
        while self.phase >= PHASE_DATASET:
            with nogil:
                found = self.fragment(&f)
            if found != STREAM_FRAGMENT:
                raise self.failure(found)
            if len(whole) + f.length > most:
                self.drain()
                return None
            whole += f.data[:f.length]
        return bytes(whole)

    # -- what the writer and the methods above call ------------------------------------------------------

    cdef int fragment(self, Fragment *found) noexcept nogil:
        """The next fragment of the dataset, waiting for it; -> STREAM_FRAGMENT or why there is none.

        Before it waits, everything handed out so far must be used: the buffer is compacted.
        """
        cdef int r
        while True:
            r = self.step(found)
            if r != STREAM_MORE:
                return r
            r = self.refill()
            if r != STREAM_MORE:
                return r

    cdef int refill(self) noexcept nogil:
        """Compacts and fills the inlet; -> STREAM_MORE where something came, or STREAM_ENDED."""
        cdef long got
        self.inlet.compact()
        got = self.inlet.fill()
        if got <= 0:
            self.ending = <int>got
            return STREAM_ENDED
        return STREAM_MORE

    cdef int step(self, Fragment *found) noexcept nogil:
        """Reads on in what is in the buffer; -> STREAM_FRAGMENT, _MORE, _PDU or _BAD."""
        cdef const unsigned char *p
        cdef size_t available
        cdef uint32_t length
        while True:
            p = self.inlet.data + self.inlet.lo
            available = self.inlet.hi - self.inlet.lo
            if self.pdv_left:
                if available == 0:
                    return STREAM_MORE
                found.data = p
                found.length = min(available, self.pdv_left)
                self.inlet.lo += found.length
                self.pdv_left -= found.length
                self.pdu_left -= found.length
                return self.hand_out(found)
            if available < 6:
                if self.pdu_left and self.pdu_left < 6:
                    return self.bad(b"PDV item header", INVALID_PARAMETER)
                return STREAM_MORE
            if self.pdu_left:
                length = big_endian_32(p)
                if self.pdu_left < 6 or length < 2 or length > self.pdu_left - 4:
                    return self.bad(b"PDV item length", INVALID_PARAMETER)
                self.control = p[5]
                if self.admit(p[4]) == STREAM_BAD:
                    return STREAM_BAD
                self.inlet.lo += 6
                self.pdu_left -= 6
                self.pdv_left = length - 2
                if length == 2:
                    self.empty_fragments += 1
                    if self.empty_fragments > MOST_EMPTY_FRAGMENTS:
                        return self.bad(b"number of empty fragments", INVALID_PARAMETER)
                    found.data = p
                    found.length = 0
                    return self.hand_out(found)
                continue
            if p[0] != P_DATA_TF:
                return STREAM_PDU
            length = big_endian_32(p + 2)
            if length < 6 or (self.maximum_length and length > self.maximum_length):
                return self.bad(b"P-DATA-TF PDU length", INVALID_PARAMETER)
            self.inlet.lo += 6
            self.pdu_left = length

    cdef int hand_out(self, Fragment *found) noexcept nogil:
        found.last = self.pdv_left == 0 and (self.control & 2) != 0
        if found.last:
            if self.phase == PHASE_IN_DATASET:
                self.phase = PHASE_COMMAND
            else:
                self.phase = PHASE_COMPLETE
        return STREAM_FRAGMENT

    cdef int admit(self, uint8_t context_id) noexcept nogil:
        """Checks that a PDV may come now: the message's context, a command set first, one message at a time."""
        cdef bint is_command = self.control & 1
        if not self.accepted[context_id]:
            return self.bad(b"presentation context id", INVALID_PARAMETER)
        if self.phase == PHASE_COMMAND or self.phase == PHASE_COMPLETE:
            if not is_command:
                return self.bad(b"message control header: dataset before command", INVALID_PARAMETER)
            self.phase = PHASE_IN_COMMAND
            self.context_id = context_id
            self.command_length = 0
            self.empty_fragments = 0
            self.inlet.begin_message()
            return STREAM_FRAGMENT
        if context_id != self.context_id:
            return self.bad(b"presentation context id changed within a message", INVALID_PARAMETER)
        if is_command != (self.phase == PHASE_IN_COMMAND):
            return self.bad(b"message control header: command and dataset interleaved", INVALID_PARAMETER)
        if self.phase == PHASE_DATASET:
            self.phase = PHASE_IN_DATASET
        return STREAM_FRAGMENT

    cdef int collect_command(self) noexcept nogil:
        """Waits for a whole command set; -> STREAM_FRAGMENT when it is in command_data, or why not."""
        cdef Fragment f
        cdef int r
        if self.phase == PHASE_COMMAND and self.inlet.is_stopped():
            self.ending = INLET_STOPPED
            return STREAM_ENDED
        while True:
            r = self.fragment(&f)
            if r != STREAM_FRAGMENT:
                return r
            if self.phase == PHASE_IN_DATASET:
                return self.bad(b"dataset that nobody reads", 0)
            if self.command_length + f.length > self.maximum_command:
                return self.bad(b"command set length", INVALID_PARAMETER)
            memcpy(self.command_data + self.command_length, f.data, f.length)
            self.command_length += f.length
            if f.last:
                return STREAM_FRAGMENT

    cdef int complete_pdu(self, size_t *length) noexcept nogil:
        """Waits until the PDU at inlet.lo is there whole; its length field is checked before it is believed."""
        cdef const unsigned char *p = self.inlet.data + self.inlet.lo
        cdef uint32_t body = big_endian_32(p + 2)
        if p[0] < 1 or p[0] > 7:
            return self.bad(b"PDU type", UNRECOGNIZED_PDU)
        if body > self.maximum_control or (p[0] > P_DATA_TF and body != 4):
            return self.bad(b"PDU length", INVALID_PARAMETER)
        length[0] = <size_t>body + 6
        self.inlet.begin_message()
        while self.inlet.hi - self.inlet.lo < length[0]:
            if self.refill() == STREAM_ENDED:
                return STREAM_ENDED
        return STREAM_PDU

    cdef int bad(self, const char *field, int reason) noexcept nogil:
        self.bad_field = field
        self.bad_reason = reason
        return STREAM_BAD

    cdef object failure(self, int found):
        """The exception for what step, fragment or refill returned other than a fragment."""
        if found == STREAM_PDU:
            return StreamEnded(PDU)
        if found == STREAM_ENDED:
            return StreamEnded(ENDINGS[self.ending])
        offset = self.inlet.received - (self.inlet.hi - self.inlet.lo)
        return PduError(self.bad_field.decode("ascii"), "P-DATA-TF", offset, self.bad_reason)
