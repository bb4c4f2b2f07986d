"""The dataset scanner: walks element headers as the bytes arrive and keeps the values that the index wants.

Element (PS3.5 7.1), explicit VR:  tag(2+2) VR(2) length(2)                    most VRs
                                   tag(2+2) VR(2) 00 00 length(4)              OB OW OF OD OL OV SQ SV UC UN UR UT UV
                     implicit VR:  tag(2+2) length(4)
Item (PS3.5 7.5):                  FFFE,E000 length(4); FFFE,E00D ends an item, FFFE,E0DD a sequence of undefined length

No recursion: open sequences and items are frames in an array. No allocation follows a length in the dataset: values
are copied up to `maximum_value` bytes, the rest is counted past. Odd lengths, wrong VRs and junk values are no error;
what is one: a header or value that ends outside what encloses it, an item where none may be, sequences deeper than
`maximum_depth`, groups 0000 and 0002, a dataset that ends in the middle.
"""
import zlib

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dicomserver.wire.elements cimport (
    ITEM, ITEM_DELIMITATION, NO_END, PIXEL_DATA, SEQUENCE_DELIMITATION, UNDEFINED, big, explicit_header_length, is_vr,
    little, vr_is,
)
from dicomserver.wire.kept cimport KeptValues
from dicomserver.wire.wanted cimport Wanted, WantedElement

from dicomserver.wire.errors import DatasetError

cdef enum:
    FRAME_DATASET = 0
    FRAME_ITEM = 1
    FRAME_SEQUENCE = 2
    FRAME_FRAGMENTS = 3         # encapsulated pixel data, PS3.5 A.4


cdef class DatasetScanner:
    """Feed it a dataset in pieces of any size. One thread at a time; `reset` makes it ready for the next dataset.

    wanted: a Wanted. explicit_vr, big_endian, deflated: the encoding (PS3.5 Annex A). maximum_depth: sequences
    within sequences. maximum_value: bytes kept of one value. maximum_inflated: bytes of a deflated dataset that
    are looked at; what comes behind is not (`inflation_capped`).
    """

    def __init__(self, Wanted wanted not None, bint explicit_vr=True, bint big_endian=False, bint deflated=False,
                 int maximum_depth=64, size_t maximum_value=1024, uint64_t maximum_inflated=1 << 26):
        if self.frames != NULL:
            raise RuntimeError("a scanner is initialised once")
        self.frames = <Frame *>calloc(2 * maximum_depth + 3, sizeof(Frame))
        if self.frames == NULL:
            raise MemoryError
        self.values = KeptValues(wanted, big_endian, maximum_value)
        self.explicit_vr, self.big_endian, self.deflated = explicit_vr, big_endian, deflated
        self.maximum_depth, self.maximum_inflated = maximum_depth, maximum_inflated
        self.clear()

    def __dealloc__(self):
        free(self.frames)

    # -- what Python calls -------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forgets the dataset seen so far."""
        self.clear()

    def feed(self, const unsigned char[::1] piece not None) -> None:
        """The next bytes of the dataset. Raises DatasetError, then and for every later piece."""
        cdef const unsigned char *p = &piece[0] if piece.shape[0] else NULL
        cdef size_t n = piece.shape[0]
        with nogil:
            self.scan(p, n)
        self.raise_if_bad()

    def skip(self, uint64_t most) -> int:
        """Counts past bytes that nobody needs, up to `most`; -> how many: a caller with the dataset in a file leaves
        them out of what it feeds."""
        cdef uint64_t n = 0
        if not self.failed and not self.deflated and not (self.keeping and self.values.wants_more()):
            n = min(most, self.value_left)
            self.position += n
            self.value_left -= n
        return n

    def finish(self) -> None:
        """The dataset is complete. Raises DatasetError where it is not."""
        with nogil:
            self.end()
        self.raise_if_bad()

    def raise_if_bad(self) -> None:
        """Raises the DatasetError that was found, if any."""
        if self.failed:
            raise DatasetError(self.bad_field.decode("ascii"),
                               f"({self.bad_tag >> 16:04X},{self.bad_tag & 0xFFFF:04X})", self.position)

    @property
    def element(self) -> int | None:
        """The tag of the element at the top of the dataset in which the last byte stands that was seen; None while its
        header is not complete."""
        return None if self.head_have and not self.depth else self.top

    # -- the walk ----------------------------------------------------------------------------------------

    cdef void clear(self) noexcept:
        self.values.clear()
        self.depth = self.sequences = 0
        self.frames[0].end = self.frames[0].limit = NO_END
        self.frames[0].kind = FRAME_DATASET
        self.frames[0].implicit = not self.explicit_vr
        self.position = self.value_left = 0
        self.head_have = 0
        self.top = 0
        self.keeping = self.inflation_capped = self.failed = False
        self.inflater = zlib.decompressobj(-zlib.MAX_WBITS) if self.deflated else None

    cdef int scan(self, const unsigned char *p, size_t n) noexcept nogil:
        """The next n bytes of the dataset; -> 0, or -1 where it is malformed."""
        if self.failed:
            return -1
        if self.inflation_capped:
            return 0
        return self.inflate(p, n) if self.deflated else self.walk(p, n)

    cdef int end(self) noexcept nogil:
        """-> 0 where the dataset ended between two elements of its top level, else -1."""
        if self.failed:
            return -1
        if self.inflation_capped:
            return 0
        if self.deflated:
            with gil:
                if not self.inflater.eof:
                    return self.bad(b"deflated dataset not ended", 0)
        if self.depth:
            return self.bad(b"sequence or item not ended", self.frames[self.depth].tag)
        if self.value_left or self.head_have:
            return self.bad(b"dataset ends within an element", 0)
        return 0

    cdef int inflate(self, const unsigned char *p, size_t n) noexcept nogil:
        cdef int r = 0
        cdef uint64_t room
        with gil:
            try:
                left = p[:n]
                piece = b"begin"
                while r == 0 and not self.inflater.eof and (left or piece):
                    piece = self.inflater.decompress(left, 65536)
                    left = self.inflater.unconsumed_tail
                    room = self.maximum_inflated - self.position - self.head_have
                    # To the last byte of the limit, so that it does not matter how the dataset was cut.
                    r = self.walk(piece, min(<uint64_t>len(piece), room))
                    if r == 0 and <uint64_t>len(piece) > room:
                        self.values.abandon()
                        self.inflation_capped = True
                        return 0
            except zlib.error:
                return self.bad(b"deflated data", 0)
        return r

    cdef int walk(self, const unsigned char *p, size_t n) noexcept nogil:
        cdef size_t taken
        cdef int need
        while True:
            if self.value_left:
                if n == 0:
                    return 0
                taken = min(<uint64_t>n, self.value_left)
                if self.keeping:
                    self.values.take(p, taken)
                self.position += taken
                self.value_left -= taken
                p += taken
                n -= taken
                continue
            while self.depth and self.position == self.frames[self.depth].end:
                self.pop()
            need = self.header_length()
            if self.head_have < need:
                if n == 0:
                    return 0
                taken = min(n, <size_t>(need - self.head_have))
                memcpy(&self.head[self.head_have], p, taken)
                self.head_have += <int>taken
                p += taken
                n -= taken
                continue
            if self.begin_element() < 0:
                return -1
            self.head_have = 0

    cdef int header_length(self) noexcept nogil:
        """Bytes of the element header that has begun; 8 until they are there."""
        if self.head_have < 8 or self.frames[self.depth].implicit or self.is_item():
            return 8
        return explicit_header_length(self.head)

    cdef bint is_item(self) noexcept nogil:
        """Whether the header is of group FFFE: no VR follows its tag, but a length, which may look like one."""
        if self.big_endian:
            return self.head[0] == 0xFF and self.head[1] == 0xFE
        return self.head[0] == 0xFE and self.head[1] == 0xFF

    cdef int begin_element(self) noexcept nogil:
        """The header is in `head`: its value or items begin. -> 0 or -1"""
        cdef Frame *frame = &self.frames[self.depth]
        cdef int need = self.head_have
        cdef bint swapped = self.big_endian and not frame.implicit     # UN of undefined length is little endian
        cdef const char *vr = <const char *>&self.head[4]
        cdef uint32_t tag, length
        if swapped:
            tag = big(self.head, 2) << 16 | big(&self.head[2], 2)
        else:
            tag = little(self.head, 2) << 16 | little(&self.head[2], 2)
        if <uint64_t>need > frame.limit - self.position:
            return self.bad(b"element header beyond what encloses it", tag)
        if frame.implicit or not is_vr(vr) or tag >> 16 == 0xFFFE:
            length = big(&self.head[4], 4) if swapped else little(&self.head[4], 4)
            vr = NULL
        elif need == 8:
            length = big(&self.head[6], 2) if swapped else little(&self.head[6], 2)
        else:
            length = big(&self.head[8], 4) if swapped else little(&self.head[8], 4)
        self.position += need
        if self.depth == 0:
            self.top = tag
        if tag >> 16 == 0xFFFE:
            return self.begin_item(tag, length)
        if frame.kind >= FRAME_SEQUENCE:
            return self.bad(b"element where an item must be", tag)
        if tag >> 16 == 0 or tag >> 16 == 2:
            return self.bad(b"group of commands or file meta information in the dataset", tag)
        return self.begin_value(tag, vr, length)

    cdef int begin_item(self, uint32_t tag, uint32_t length) noexcept nogil:
        cdef Frame *frame = &self.frames[self.depth]
        if tag == ITEM and frame.kind == FRAME_SEQUENCE:
            if frame.items < 0xFFFF:
                frame.items += 1
            return self.push(FRAME_ITEM, frame.tag, length, frame.implicit)
        if tag == ITEM and frame.kind == FRAME_FRAGMENTS and length != UNDEFINED:
            return self.begin_bytes(tag, length)
        if (length == 0 and frame.end == NO_END
                and ((tag == ITEM_DELIMITATION and frame.kind == FRAME_ITEM)
                     or (tag == SEQUENCE_DELIMITATION and frame.kind >= FRAME_SEQUENCE))):
            self.pop()
            return 0
        return self.bad(b"item or delimitation that does not belong here", frame.tag)

    cdef int begin_value(self, uint32_t tag, const char *vr, uint32_t length) noexcept nogil:
        cdef Frame *frame = &self.frames[self.depth]
        cdef uint32_t sequence = self.frames[1].tag if self.depth == 2 else 0
        cdef const WantedElement *wanted = NULL
        cdef bint implicit = frame.implicit or (vr != NULL and vr_is(vr, b'U', b'N'))
        if self.depth == 0 or self.depth == 2:
            wanted = self.values.wanted.find(<uint64_t>sequence << 32 | tag)
        if length == UNDEFINED:
            if tag == PIXEL_DATA or (vr != NULL and vr[0] == b'O'):
                return self.push(FRAME_FRAGMENTS, tag, length, True if frame.implicit else False)
            if vr == NULL or vr_is(vr, b'S', b'Q') or vr_is(vr, b'U', b'N'):
                return self.push(FRAME_SEQUENCE, tag, length, implicit)
            return self.bad(b"undefined length of a VR that has none", tag)
        if (vr != NULL and vr_is(vr, b'S', b'Q')) or (vr == NULL and wanted != NULL and wanted.sequence):
            return self.push(FRAME_SEQUENCE, tag, length, frame.implicit)
        if self.begin_bytes(tag, length) < 0:
            return -1
        self.keeping = self.depth == 0 or wanted != NULL
        if self.keeping:
            self.values.begin(wanted, tag, sequence, self.frames[1].items - 1 if sequence else 0, vr, length)
        return 0

    cdef int begin_bytes(self, uint32_t tag, uint32_t length) noexcept nogil:
        if length > self.frames[self.depth].limit - self.position:
            return self.bad(b"value beyond what encloses it", tag)
        self.value_left = length
        self.keeping = False
        return 0

    cdef int push(self, int kind, uint32_t tag, uint32_t length, bint implicit) noexcept nogil:
        cdef Frame *outer = &self.frames[self.depth]
        cdef Frame *inner = &self.frames[self.depth + 1]
        if kind != FRAME_ITEM:
            if self.sequences == self.maximum_depth:
                return self.bad(b"sequences nested too deeply", tag)
            self.sequences += 1
        if length != UNDEFINED and length > outer.limit - self.position:
            return self.bad(b"sequence or item beyond what encloses it", tag)
        inner.end = NO_END if length == UNDEFINED else self.position + length
        inner.limit = min(inner.end, outer.limit)
        inner.tag = tag
        inner.items = 0
        inner.kind = kind
        inner.implicit = implicit
        self.depth += 1
        return 0

    cdef void pop(self) noexcept nogil:
        if self.frames[self.depth].kind != FRAME_ITEM:
            self.sequences -= 1
        self.depth -= 1

    cdef int bad(self, const char *field, uint32_t tag) noexcept nogil:
        self.failed = True
        self.bad_field = field
        self.bad_tag = tag
        return -1
