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

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

from dicomserver.wire.elements cimport (
    ITEM, ITEM_DELIMITATION, NO_END, PIXEL_DATA, SEQUENCE_DELIMITATION, UNDEFINED, big, has_short_length, is_uid, is_vr,
    little, number_size, swap_numbers, vr_is,
)

from dicomserver.wire.errors import DatasetError

cdef enum:
    FRAME_DATASET = 0
    FRAME_ITEM = 1
    FRAME_SEQUENCE = 2
    FRAME_FRAGMENTS = 3         # encapsulated pixel data, PS3.5 A.4
    MOST_KEPT = 65536           # bytes a blob

# What the scanner notes for itself; the first four identify the instance.
cdef uint32_t[NOTES] NOTED = [0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00080005, 0x00280002, 0x00280004,
                              0x00280008, 0x00280010, 0x00280011, 0x00280100, 0xFFFFFFFFU]
cdef enum:
    NOTE_CHARACTER_SET = 4
    NOTE_SAMPLES, NOTE_PHOTOMETRIC, NOTE_FRAMES, NOTE_ROWS, NOTE_COLUMNS, NOTE_BITS


cdef inline int note_index(uint32_t tag) noexcept nogil:
    cdef int i
    for i in range(NOTES - 1):
        if NOTED[i] == tag:
            return i
    return -1


cdef inline size_t uid_length(const Note *note) noexcept nogil:
    """The value's length less its padding."""
    cdef size_t n = min(note.length, NOTE_BYTES)
    while n and (note.value[n - 1] == 0 or note.value[n - 1] == b' '):
        n -= 1
    return n


cdef inline bint same_uid(const Note *note, const unsigned char *uid, size_t n) noexcept nogil:
    return uid_length(note) == n and memcmp(note.value, uid, n) == 0


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
        self.blobs = <Blob *>calloc(wanted.levels, sizeof(Blob))
        if self.frames == NULL or self.blobs == NULL:
            raise MemoryError
        self.wanted = wanted
        self.explicit_vr, self.big_endian, self.deflated = explicit_vr, big_endian, deflated
        self.maximum_depth, self.maximum_value = maximum_depth, maximum_value
        self.maximum_inflated = maximum_inflated
        self.clear()

    def __dealloc__(self):
        cdef int level
        if self.blobs != NULL and self.wanted is not None:
            for level in range(self.wanted.levels):
                free(self.blobs[level].data)
        free(self.blobs)
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
    def identity(self) -> tuple[bytes | None, ...]:
        """SOP Class, SOP Instance, Study Instance and Series Instance UID as they stand in the dataset, padding and
        all, at most 66 bytes of each; None where one is absent."""
        return self.note(0), self.note(1), self.note(2), self.note(3)

    @property
    def character_set(self) -> bytes:
        """(0008,0005), likewise; empty where it is absent."""
        return self.note(NOTE_CHARACTER_SET) or b""

    @property
    def identity_repeated(self) -> bool:
        """Whether one of the four UIDs stands in the dataset more than once."""
        cdef int i
        for i in range(4):
            if self.notes[i].seen > 1:
                return True
        return False

    @property
    def declared_pixels(self) -> tuple:
        """(Samples per Pixel, Photometric Interpretation, Number of Frames, Rows, Columns, Bits Allocated): numbers,
        but for the second and third, which are bytes or None; 0 where one is absent."""
        return (self.number(NOTE_SAMPLES), self.note(NOTE_PHOTOMETRIC), self.note(NOTE_FRAMES),
                self.number(NOTE_ROWS), self.number(NOTE_COLUMNS), self.number(NOTE_BITS))

    def packed(self, int level) -> bytes:
        """The kept elements of a level, in the order of the dataset (dicomserver.wire.packed)."""
        if not 0 <= level < self.wanted.levels:
            raise IndexError(level)
        return PyBytes_FromStringAndSize(<char *>self.blobs[level].data, self.blobs[level].length)

    cdef bytes note(self, int i):
        cdef Note *note = &self.notes[i]
        if not note.seen:
            return None
        return PyBytes_FromStringAndSize(<char *>note.value, min(note.length, NOTE_BYTES))

    cdef int number(self, int i):
        cdef Note *note = &self.notes[i]
        if not note.seen or note.length < 2:
            return 0
        return big(note.value, 2) if self.big_endian else little(note.value, 2)

    # -- the walk ----------------------------------------------------------------------------------------

    cdef void clear(self) noexcept:
        cdef int level
        for level in range(self.wanted.levels):
            self.blobs[level].length = 0
        memset(self.notes, 0, sizeof(self.notes))
        self.depth = self.sequences = 0
        self.frames[0].end = self.frames[0].limit = NO_END
        self.frames[0].kind = FRAME_DATASET
        self.frames[0].implicit = not self.explicit_vr
        self.position = self.value_left = self.pixel_length = 0
        self.head_have = 0
        self.keep = NULL
        self.noting = NULL
        self.native_pixels = self.inflation_capped = self.failed = False
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

    cdef int check_identity(self, const unsigned char *sop_class, size_t class_length,
                            const unsigned char *instance, size_t instance_length) noexcept nogil:
        """Whether the dataset's UIDs are those that the command named, once each; -> IDENTITY_*"""
        cdef int i
        for i in range(4):
            if self.notes[i].seen > 1:
                return IDENTITY_REPEATED
            if self.notes[i].length > NOTE_BYTES or not is_uid(self.notes[i].value, uid_length(&self.notes[i])):
                return IDENTITY_NO_CLASS + i
        if not same_uid(&self.notes[0], sop_class, class_length):
            return IDENTITY_CLASS_DIFFERS
        if not same_uid(&self.notes[1], instance, instance_length):
            return IDENTITY_INSTANCE_DIFFERS
        return IDENTITY_GOOD

    cdef int inflate(self, const unsigned char *p, size_t n) noexcept nogil:
        cdef int r = 0
        with gil:
            try:
                left = p[:n]
                piece = b"begin"
                while r == 0 and not self.inflater.eof and (left or piece):
                    piece = self.inflater.decompress(left, 65536)
                    left = self.inflater.unconsumed_tail
                    if self.position + <size_t>len(piece) > self.maximum_inflated:
                        self.inflation_capped = True
                        return 0
                    r = self.walk(piece, len(piece))
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
                taken = self.take_value(p, n)
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

    cdef size_t take_value(self, const unsigned char *p, size_t n) noexcept nogil:
        """Some bytes of the current value, up to its end; -> how many."""
        cdef size_t taken = min(<uint64_t>n, self.value_left), kept
        cdef uint64_t done
        if self.keep_left:
            kept = min(taken, self.keep_left)
            memcpy(self.keep.data + self.keep.length, p, kept)
            self.keep.length += kept
            self.keep_left -= kept
        if self.noting != NULL:
            done = self.noting.length - self.value_left
            if done < NOTE_BYTES:
                memcpy(&self.noting.value[done], p, min(taken, NOTE_BYTES - done))
        self.position += taken
        self.value_left -= taken
        if self.value_left == 0:
            self.value_done()
        return taken

    cdef void value_done(self) noexcept nogil:
        self.noting = NULL
        if self.keep != NULL and self.keep_unit and self.big_endian:
            swap_numbers(self.keep.data + self.keep_from, self.keep.length - self.keep_from, self.keep_unit)
        self.keep = NULL
        self.keep_left = 0

    cdef int header_length(self) noexcept nogil:
        """Bytes of the element header that has begun; 8 until they are there."""
        cdef const char *vr = <const char *>&self.head[4]
        if self.head_have < 8 or self.frames[self.depth].implicit or not is_vr(vr) or has_short_length(vr):
            return 8
        if self.head[6] == 0 and self.head[7] == 0:
            return 12
        # Not what PS3.5 7.1.2 says of other VRs: an unknown VR that was written with a short length.
        return 12 if number_size(vr) or vr_is(vr, b'O', b'B') or vr_is(vr, b'U', b'N') or vr_is(vr, b'S', b'Q') else 8

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
        if need > frame.limit - self.position:
            return self.bad(b"element header beyond what encloses it", tag)
        if frame.implicit or not is_vr(vr) or tag >> 16 == 0xFFFE:
            length = big(&self.head[4], 4) if swapped else little(&self.head[4], 4)
            vr = NULL
        elif need == 8:
            length = big(&self.head[6], 2) if swapped else little(&self.head[6], 2)
        else:
            length = big(&self.head[8], 4) if swapped else little(&self.head[8], 4)
        self.position += need
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
        cdef int note
        cdef bint implicit = frame.implicit or (vr != NULL and vr_is(vr, b'U', b'N'))
        if self.depth == 0 or self.depth == 2:
            wanted = self.wanted.find(<uint64_t>sequence << 32 | tag)
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
        if self.depth == 0:
            note = note_index(tag)
            if note >= 0:
                self.notes[note].seen += 1
                self.notes[note].length = length
                self.noting = &self.notes[note] if length else NULL
            if tag == PIXEL_DATA:
                self.native_pixels = True
                self.pixel_length = length
        if wanted != NULL and not wanted.sequence:
            if vr == NULL or vr_is(vr, b'U', b'N'):
                vr = wanted.vr
            self.keep_value(wanted, tag, sequence, vr, length)
        return 0

    cdef int begin_bytes(self, uint32_t tag, uint32_t length) noexcept nogil:
        if length > self.frames[self.depth].limit - self.position:
            return self.bad(b"value beyond what encloses it", tag)
        self.value_left = length
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

    cdef void keep_value(self, const WantedElement *wanted, uint32_t tag, uint32_t sequence, const char *vr,
                         uint32_t length) noexcept nogil:
        """Begins a record of the packed blob: tag(4) sequence(4) VR(2) item(2) length(4) value, little endian."""
        cdef Blob *blob = &self.blobs[wanted.level]
        cdef uint32_t kept = min(length, <uint32_t>self.maximum_value)
        cdef uint16_t item = self.frames[1].items - 1 if sequence else 0
        cdef size_t room = blob.length + 16 + kept
        cdef unsigned char *data
        if room > MOST_KEPT:
            return
        if room > blob.capacity:
            data = <unsigned char *>realloc(blob.data, room + 1024)
            if data == NULL:
                return
            blob.data = data
            blob.capacity = room + 1024
        data = blob.data + blob.length
        memcpy(data, &tag, 4)
        memcpy(data + 4, &sequence, 4)
        memcpy(data + 8, vr, 2)
        memcpy(data + 10, &item, 2)
        memcpy(data + 12, &kept, 4)
        blob.length += 16
        if length:
            self.keep = blob
            self.keep_left = kept
            self.keep_from = blob.length
            self.keep_unit = number_size(vr)

    cdef int bad(self, const char *field, uint32_t tag) noexcept nogil:
        self.failed = True
        self.bad_field = field
        self.bad_tag = tag
        return -1
