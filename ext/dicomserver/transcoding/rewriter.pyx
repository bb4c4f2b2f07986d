"""Walks a dataset and writes it in another encoding: implicit or explicit VR, little or big endian.

Values stay what they are; numbers change their byte order, headers their form (PS3.5 7.1, 7.5, Annex A). A sequence or
item keeps its defined or undefined length; a defined one is set when its end is written. Group lengths (gggg,0000),
which nothing needs and PS3.5 7.2 has retired, are left out.

UN has no byte order (PS3.5 6.2.2): its bytes are copied. UN of undefined length holds items in implicit VR little
endian, whatever is around it, and goes on to do so. From implicit VR, what the dictionary does not know becomes UN,
or SQ where its length is undefined, which only a sequence has there.

No recursion, and no allocation follows a length in the dataset.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dicomserver.transcoding.files cimport FileReader, FileWriter
from dicomserver.transcoding.vrs cimport VrTable
from dicomserver.wire.elements cimport (
    ITEM, ITEM_DELIMITATION, NO_END, PIXEL_DATA, SEQUENCE_DELIMITATION, UNDEFINED, big, explicit_header_length,
    has_short_length, is_vr, little, number_size, swap_numbers, vr_is,
)
from dicomserver.wire.octets cimport set_u32be, set_u32le

from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.wire.element import encode_element

cdef enum:
    LAYER_DATASET = 0
    LAYER_ITEM = 1
    LAYER_SEQUENCE = 2

cdef enum:
    FAILED = -1
    GOES_ON = 0
    ENDED = 1
    IMAGE = 2

cdef enum:
    LONGEST_HEADER = 12
    LONGEST_FACT = 64           # bytes of a value
    MOST_SCOPES = 4096          # items with facts, so that memory stays flat

cdef enum:
    PIXEL_REPRESENTATION = 0x00280103
    BITS_ALLOCATED = 0x00280100
    WAVEFORM_BITS_ALLOCATED = 0x54001004
    WAVEFORM_GROUP = 0x5400


cdef class DatasetRewriter:
    """Rewrites the dataset that is in `file` from `offset` on, `length` bytes.

    source, target: a standard.transfer_syntaxes.Encoding each; deflation is not looked at. writer: None to gather
    `facts` only, which are wanted of a dataset in implicit VR, or with compressed images. facts: of an earlier walk.
    edits: by scope, Edits in the order of their tags.
    """

    def __init__(self, int file, uint64_t offset, uint64_t length, source, target, VrTable vrs not None,
                 FileWriter writer=None, dict facts=None, dict edits=None, int maximum_depth=64):
        if self.layers != NULL:
            raise RuntimeError("a rewriter is initialised once")
        self.layers = <Layer *>calloc(2 * maximum_depth + 1, sizeof(Layer))
        if self.layers == NULL:
            raise MemoryError
        self.reader = FileReader(file, offset, length)
        self.writer, self.vrs, self.maximum_depth = writer, vrs, maximum_depth
        self.facts = {} if facts is None else facts
        self.edits = {scope: list(of_scope) for scope, of_scope in (edits or {}).items()}
        self.layers[0].end = NO_END
        self.layers[0].limit = offset + length
        self.layers[0].scope = offset
        self.layers[0].length_at = NO_END
        self.layers[0].source = coding_of(source)
        self.layers[0].target = coding_of(target)
        self.layers[0].edited = offset in self.edits

    def __dealloc__(self):
        free(self.layers)

    def advance(self) -> tuple[int, int] | None:
        """Goes on to the next compressed Pixel Data; -> the scope in which it is, and the offset of its first item.
        None: the dataset has ended, and all of it is written.

        After Pixel Data the caller writes what shall be in its place, and calls `resume`. Raises ConversionFailed.
        """
        cdef int outcome
        with nogil:
            outcome = self.run()
        if outcome == IMAGE:
            return self.layers[self.depth].scope, self.reader.position
        if outcome == FAILED:
            if self.problem != NULL:
                raise ConversionFailed(f"{self.problem.decode('ascii')} "
                                       f"({self.problem_tag >> 16:04X},{self.problem_tag & 0xFFFF:04X})")
            if self.reader.problem != NULL:
                raise ConversionFailed(self.reader.problem.decode("ascii"))
            self.writer.raise_problem()
        if self.writer is not None:
            self.writer.flush()
        return None

    def resume(self, uint64_t position) -> None:
        """Compressed Pixel Data has been seen to; what follows it begins at this offset of the file."""
        if not self.reader.position <= position <= self.layers[self.depth].limit:
            raise ConversionFailed("compressed pixel data goes beyond what encloses it")
        self.reader.skip(position - self.reader.position)

    def begin_pixel_data(self, str vr not None, uint32_t length) -> None:
        """Writes the header of native Pixel Data of so many bytes, which the caller writes next."""
        cdef bytes letters = vr.encode("ascii")
        if self.put_header(PIXEL_DATA, <const char *>letters, length) < 0:
            self.writer.raise_problem()

    # -- the walk ----------------------------------------------------------------------------------------

    cdef int run(self) noexcept nogil:
        """-> ENDED, IMAGE or FAILED"""
        cdef int outcome = GOES_ON
        while outcome == GOES_ON:
            if self.depth and self.reader.position == self.layers[self.depth].end:
                outcome = self.leave()
            elif self.depth == 0 and self.reader.position == self.layers[0].limit:
                outcome = ENDED
            else:
                outcome = self.element()
        return outcome

    cdef int element(self) noexcept nogil:
        """One element header, and its value if it has one."""
        cdef Layer *layer = &self.layers[self.depth]
        cdef const unsigned char *head = self.reader.peek(8)
        cdef char[3] vr
        cdef uint32_t tag, length
        cdef int need = 8
        if head == NULL:
            return FAILED
        if layer.source.big:
            tag = big(head, 2) << 16 | big(head + 2, 2)
        else:
            tag = little(head, 2) << 16 | little(head + 2, 2)
        vr[0] = vr[2] = 0
        if not layer.source.implicit and tag >> 16 != 0xFFFE and is_vr(<const char *>head + 4):
            memcpy(vr, head + 4, 2)
            need = explicit_header_length(head)
            head = self.reader.peek(need)
            if head == NULL:
                return FAILED
        if <uint64_t>need > layer.limit - self.reader.position:
            return self.bad(b"an element header goes beyond what encloses it", tag)
        if need == 8 and vr[0]:
            length = big(head + 6, 2) if layer.source.big else little(head + 6, 2)
        else:
            length = big(head + need - 4, 4) if layer.source.big else little(head + need - 4, 4)
        self.reader.skip(need)
        if length != UNDEFINED and length > layer.limit - self.reader.position:
            return self.bad(b"a value, sequence or item goes beyond what encloses it", tag)
        if tag >> 16 == 0xFFFE:
            return self.item(tag, length)
        if layer.kind == LAYER_SEQUENCE:
            return self.bad(b"an element stands where an item must be", tag)
        if vr[0]:
            return self.value(tag, vr, True, length)
        return self.value(tag, self.vrs.find(tag), False, length)

    cdef int item(self, uint32_t tag, uint32_t length) noexcept nogil:
        cdef Layer *layer = &self.layers[self.depth]
        if tag == ITEM and layer.kind == LAYER_SEQUENCE:
            if self.put_header(tag, NULL, length) < 0:
                return FAILED
            return self.enter(LAYER_ITEM, layer.tag, length, layer.source, layer.target)
        if (length == 0 and layer.end == NO_END
                and ((tag == ITEM_DELIMITATION and layer.kind == LAYER_ITEM)
                     or (tag == SEQUENCE_DELIMITATION and layer.kind == LAYER_SEQUENCE))):
            if self.put_header(tag, NULL, 0) < 0:
                return FAILED
            return self.leave()
        return self.bad(b"an item or delimitation does not belong here", layer.tag)

    cdef int value(self, uint32_t tag, const char *vr, bint named, uint32_t length) noexcept nogil:
        """named: the VR is the dataset's own, else it is the dictionary's."""
        cdef Layer *layer = &self.layers[self.depth]
        cdef Coding source = layer.source, target = layer.target
        cdef int outcome
        cdef bint is_sequence = vr_is(vr, b'S', b'Q')
        if layer.edited:
            outcome = self.edit(tag)
            if outcome < 0:
                return FAILED
            if outcome and length != UNDEFINED:
                self.reader.skip(length)
                return GOES_ON
        if tag == PIXEL_DATA and length == UNDEFINED:
            return IMAGE
        if length == UNDEFINED and not is_sequence:
            if not vr_is(vr, b'U', b'N'):
                return self.bad(b"undefined length of a VR that has none", tag)
            is_sequence = True
            if named:
                source.implicit = target.implicit = True
                source.big = target.big = False
            else:
                vr = b"SQ"
        if is_sequence:
            if self.put_header(tag, vr, length) < 0:
                return FAILED
            return self.enter(LAYER_SEQUENCE, tag, length, source, target)
        if tag & 0xFFFF == 0:
            self.reader.skip(length)
            return GOES_ON
        if self.writer is None:
            if is_fact(tag) and length <= LONGEST_FACT and self.remember(tag, length) < 0:
                return FAILED
            self.reader.skip(length)
            return GOES_ON
        return self.copy_value(tag, vr if named or target.implicit else self.settle(tag, vr), length)

    cdef int copy_value(self, uint32_t tag, const char *vr, uint32_t length) noexcept nogil:
        cdef Layer *layer = &self.layers[self.depth]
        cdef int size = 1
        cdef size_t n = 0
        cdef const unsigned char *from_
        cdef unsigned char *to
        if not layer.target.implicit and length > 0xFFFF and has_short_length(vr):
            vr = b"UN"          # PS3.5 6.2.2, note 5
        if layer.source.big != layer.target.big and not vr_is(vr, b'U', b'N'):
            size = number_size(vr)
            if size == 0 and not is_text_or_bytes(vr):
                return self.bad(b"nothing is known of the byte order of its VR", tag)
            size = max(size, 1)
            if length % size:
                return self.bad(b"a number is cut off", tag)
        if self.put_header(tag, vr, length) < 0:
            return FAILED
        while length:
            from_ = self.reader.some(length, size, &n)
            to = self.writer.room(n) if from_ != NULL else NULL
            if to == NULL:
                return FAILED
            memcpy(to, from_, n)
            if size > 1:
                swap_numbers(to, n, size)
            length -= <uint32_t>n
        return GOES_ON

    cdef const char *settle(self, uint32_t tag, const char *vr) noexcept nogil:
        """The VR where the dictionary leaves a choice: it depends on other attributes (PS3.5 A.2; PS3.3 C.7.6.3)."""
        if vr_is(vr, b'u', b's'):
            return b"SS" if self.fact(PIXEL_REPRESENTATION) == 1 else b"US"
        if not vr_is(vr, b'o', b'b'):
            return vr
        if tag == PIXEL_DATA:
            return b"OB" if 0 < self.fact(BITS_ALLOCATED) <= 8 else b"OW"
        return b"OB" if tag >> 16 == WAVEFORM_GROUP and self.fact(WAVEFORM_BITS_ALLOCATED) == 8 else b"OW"

    cdef int fact(self, uint32_t tag) noexcept with gil:
        """The US value of an attribute in this item or the nearest around it that has it; else -1."""
        cdef int depth
        for depth in range(self.depth, -1, -1):
            value = self.facts.get(self.layers[depth].scope, {}).get(tag)
            if value is not None and self.layers[depth].kind != LAYER_SEQUENCE and len(value) >= 2:
                return int.from_bytes(value[:2], "big" if self.layers[depth].source.big else "little")
        return -1

    cdef int remember(self, uint32_t tag, uint32_t length) except -2 with gil:
        """Keeps a value that is short, and has not been taken yet; -> 0 or -1"""
        cdef const unsigned char *value = self.reader.peek(length)
        cdef uint64_t scope = self.layers[self.depth].scope
        if value == NULL:
            return -1
        if scope not in self.facts and len(self.facts) == MOST_SCOPES:
            return self.bad(b"too many items describe pixels or waveforms", tag)
        self.facts.setdefault(scope, {})[tag] = PyBytes_FromStringAndSize(<const char *>value, length)
        return 0

    cdef int edit(self, uint32_t tag) except -2 with gil:
        """Writes the replacements up to this tag; -> 1 where the element that is there is not wanted, or -1"""
        cdef Layer *layer = &self.layers[self.depth]
        cdef bytes element
        cdef list left = self.edits[layer.scope]
        cdef int found = 0
        while left and left[0].tag <= tag:
            edit = left.pop(0)
            found = edit.tag == tag
            if edit.value is None:
                continue
            element = encode_element(edit.tag, edit.vr, edit.value, not layer.target.implicit, layer.target.big)
            if self.writer.put(<const unsigned char *>element, len(element)) < 0:
                return -1
        return found

    # -- layers and headers ------------------------------------------------------------------------------

    cdef int put_header(self, uint32_t tag, const char *vr, uint32_t length) noexcept nogil:
        """vr: NULL of items. -> 0 or FAILED"""
        cdef Layer *layer = &self.layers[self.depth]
        cdef unsigned char[LONGEST_HEADER] head
        cdef bint big_endian = layer.target.big
        if self.writer is None:
            return GOES_ON
        set_u32(head, tag >> 16 | tag << 16, False)     # group, then element, each of its own
        if big_endian:
            swap_numbers(head, 4, 2)
        if vr == NULL or layer.target.implicit:
            set_u32(head + 4, length, big_endian)
            return self.writer.put(head, 8)
        memcpy(head + 4, vr, 2)
        if has_short_length(vr):
            head[6], head[7] = length & 0xFF, length >> 8 & 0xFF
            if big_endian:
                swap_numbers(head + 6, 2, 2)
            return self.writer.put(head, 8)
        head[6] = head[7] = 0
        set_u32(head + 8, length, big_endian)
        return self.writer.put(head, 12)

    cdef int enter(self, int kind, uint32_t tag, uint32_t length, Coding source, Coding target) noexcept nogil:
        """Into a sequence or item, of which the header is written."""
        cdef Layer *outer = &self.layers[self.depth]
        cdef Layer *inner = &self.layers[self.depth + 1]
        if self.depth == 2 * self.maximum_depth:
            return self.bad(b"sequences are nested too deeply", tag)
        inner.scope = self.reader.position
        inner.end = NO_END if length == UNDEFINED else inner.scope + length
        inner.limit = min(inner.end, outer.limit)
        inner.length_at = NO_END if length == UNDEFINED or self.writer is None else self.writer.tell() - 4
        inner.tag, inner.kind = tag, <uint8_t>kind
        inner.source, inner.target = source, target
        inner.edited = False
        self.depth += 1
        if kind == LAYER_ITEM:
            self.look_for_edits()
        return GOES_ON

    cdef void look_for_edits(self) noexcept with gil:
        if self.edits:
            self.layers[self.depth].edited = self.layers[self.depth].scope in self.edits

    cdef int leave(self) noexcept nogil:
        """Out of a sequence or item, setting its length."""
        cdef Layer *layer = &self.layers[self.depth]
        cdef unsigned char[4] length
        cdef uint64_t written
        self.depth -= 1
        if layer.length_at == NO_END:
            return GOES_ON
        written = self.writer.tell() - layer.length_at - 4
        if written >= UNDEFINED:
            return self.bad(b"a sequence or item becomes longer than 4 GB", layer.tag)
        set_u32(length, <uint32_t>written, layer.target.big)
        return self.writer.patch(layer.length_at, length, 4)

    cdef int bad(self, const char *problem, uint32_t tag) noexcept nogil:
        self.problem = problem
        self.problem_tag = tag
        return FAILED


cdef Coding coding_of(encoding):
    cdef Coding coding
    coding.implicit = not encoding.explicit
    coding.big = encoding.big_endian
    return coding


cdef inline void set_u32(unsigned char *p, uint32_t value, bint big_endian) noexcept nogil:
    if big_endian:
        set_u32be(p, value)
    else:
        set_u32le(p, value)


cdef inline bint is_fact(uint32_t tag) noexcept nogil:
    """What the choice of a VR, or the decoding of an image, depends on."""
    if tag >> 16 == 0x0028:
        return (0x0002 <= (tag & 0xFFFF) <= 0x0011 or 0x0100 <= (tag & 0xFFFF) <= 0x0103 or tag == 0x00282110)
    return tag == WAVEFORM_BITS_ALLOCATED


cdef inline bint is_text_or_bytes(const char *vr) noexcept nogil:
    """Whether values of this VR have no byte order; to be asked of those without numbers."""
    return (has_short_length(vr) or vr_is(vr, b'O', b'B') or vr_is(vr, b'U', b'T') or vr_is(vr, b'U', b'C')
            or vr_is(vr, b'U', b'R'))
