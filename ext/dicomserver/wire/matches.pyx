"""C-FIND responses, from what the index keeps to P-DATA-TF PDUs (PS3.4 C.4.1, PS3.7 9.1.2, PS3.8 9.3.5).

A large answer is this loop and little else, so nothing of a row becomes a Python object here but text that is not
plain ASCII. The values come from packed attributes (dicomserver.wire.packed), where each stands as it was stored.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dicomserver.wire.elements cimport ITEM, has_short_length, number_size, swap_numbers, vr_is
from dicomserver.wire.octets cimport Octets, octets_bytes, octets_free, octets_new, put, room
from dicomserver.wire.pdata cimport PDV_COMMAND, fragment_room, frame, framed

from enum import IntEnum
from typing import NamedTuple

cdef enum:
    RECORD_HEAD = 8             # of packed attributes
    ESCAPE = 0x1B
    SPECIFIC_CHARACTER_SET = 0x00080005


class Source(IntEnum):
    """Where the value of a ResponseField comes from."""

    CONSTANT = 0        # `value`
    PLAIN = 1           # the row's `column`: text, a number, or None
    PACKED = 2          # the row's `column` is a raw (0008,0005), the next one the packed attributes under it
    SEQUENCE = 3        # the same, for the items of sequence `tag`


class ResponseField(NamedTuple):
    """One element of every response. items: (tag, VR) of what a sequence's items hold; empty: all that is kept."""

    tag: int
    vr: str
    source: Source
    column: int = 0
    value: bytes = b""
    items: tuple[tuple[int, str], ...] = ()


cdef struct Field:
    uint32_t tag
    char[2] vr
    int source
    int column
    size_t first_item, items    # in ResponseEncoder.item_fields


cdef struct Record:             # a view into packed attributes
    uint32_t tag
    const char *vr
    const unsigned char *value
    uint16_t length
    uint32_t sequence
    uint16_t item


cdef struct Walk:
    const unsigned char *at
    const unsigned char *end
    uint32_t sequence
    uint16_t item


cdef inline bint next_record(Walk *walk, Record *record) noexcept nogil:
    """The next element; False at the end, and where the blob is damaged."""
    cdef uint32_t tag
    cdef uint16_t length
    cdef const unsigned char *p
    while walk.end - walk.at >= RECORD_HEAD:
        p = walk.at
        memcpy(&tag, p, 4)
        memcpy(&length, p + 4, 2)
        if length > walk.end - p - RECORD_HEAD:
            return False
        walk.at = p + RECORD_HEAD + length
        if p[6] == b'S' and p[7] == b'Q':
            walk.sequence = tag
            walk.item = 0
            if length == 2:
                memcpy(&walk.item, p + RECORD_HEAD, 2)
            continue
        record.tag, record.length, record.vr = tag, length, <const char *>p + 6
        record.value = p + RECORD_HEAD
        record.sequence, record.item = walk.sequence, walk.item
        return True
    return False


cdef inline bint is_plain(const unsigned char *p, size_t n) noexcept nogil:
    """Whether it is ASCII without escape sequences."""
    cdef size_t i
    cdef uint8_t other = 0
    for i in range(n):
        other |= (p[i] & 0x80) | (p[i] == ESCAPE)
    return other == 0


cdef class ResponseEncoder:
    """The pending responses to one C-FIND request, gathered until `take`. One thread.

    context_id, maximum_length: of the association. command: the encoded C-FIND-RSP, the same for all. fields: by
    ascending tag; (0008,0005) is not among them. represent: gets (value, raw character set, VR) of all that is not
    ASCII in one response; -> the response's raw (0008,0005) and the values in it, of even length.
    """
    cdef bytes command
    cdef object represent
    cdef list constants             # by field: bytes, or None
    cdef Field *fields
    cdef Field *item_fields
    cdef size_t count
    cdef Octets dataset             # of the response that is being written
    cdef Octets out
    cdef uint64_t room
    cdef uint8_t context_id
    cdef bint explicit_vr, big_endian
    cdef readonly unsigned long long responses      # how many were appended

    def __cinit__(self):
        self.dataset = octets_new(4096)
        self.out = octets_new(65536)

    def __init__(self, int context_id, bytes command not None, fields, maximum_length, bint explicit_vr,
                 bint big_endian, represent):
        cdef size_t items = sum(len(field.items) for field in fields)
        self.context_id = context_id
        self.command, self.represent = command, represent
        self.room = fragment_room(maximum_length)
        self.explicit_vr, self.big_endian = explicit_vr, big_endian
        self.count = len(fields)
        self.constants = [field.value if field.source == Source.CONSTANT else None for field in fields]
        free(self.fields)
        free(self.item_fields)
        self.fields = <Field *>calloc(self.count + 1, sizeof(Field))
        self.item_fields = <Field *>calloc(items + 1, sizeof(Field))
        if self.fields == NULL or self.item_fields == NULL:
            raise MemoryError
        self.describe(fields)

    def __dealloc__(self):
        free(self.fields)
        free(self.item_fields)
        octets_free(&self.dataset)
        octets_free(&self.out)

    @property
    def size(self) -> int:
        """Bytes gathered."""
        return self.out.size

    def append(self, tuple row not None) -> None:
        """Adds the response of one row of the index."""
        cdef list texts = []
        cdef bytes character_set = b""
        self.gather_texts(row, texts)
        if texts:
            character_set, texts = self.represent(texts)
        self.dataset.size = 0
        self.write(row, character_set, texts)
        self.frame_message()
        self.responses += 1

    def take(self) -> bytes:
        """What was gathered; afterwards nothing is."""
        taken = octets_bytes(&self.out)
        self.out.size = 0
        return taken

    # -- once a request ----------------------------------------------------------------------------------

    cdef int describe(self, fields) except -1:
        cdef size_t i, item = 0
        for i, field in enumerate(fields):
            self.set_field(&self.fields[i], field.tag, field.vr)
            self.fields[i].source, self.fields[i].column = field.source, field.column
            self.fields[i].first_item, self.fields[i].items = item, len(field.items)
            for tag, vr in field.items:
                self.set_field(&self.item_fields[item], tag, vr)
                item += 1
        return 0

    cdef int set_field(self, Field *field, uint32_t tag, str vr) except -1:
        cdef bytes letters = vr.encode("ascii")
        field.tag = tag
        field.vr[0], field.vr[1] = letters[0], letters[1]
        return 0

    # -- once a response ---------------------------------------------------------------------------------

    cdef int gather_texts(self, tuple row, list texts) except -1:
        """In the order in which `write` comes by them."""
        cdef size_t i, k
        cdef Field *field
        cdef Record record
        cdef Walk walk
        for i in range(self.count):
            field = &self.fields[i]
            if field.source == Source_PACKED:
                if self.find(row, field, &record):
                    self.gather(row, field, &record, texts)
            elif field.source == Source_SEQUENCE:
                self.open(row, field, &walk)
                while next_record(&walk, &record):
                    if record.sequence == field.tag and self.is_wanted(field, &record):
                        self.gather(row, field, &record, texts)
        return 0

    cdef int gather(self, tuple row, const Field *field, const Record *record, list texts) except -1:
        if number_size(record.vr) or vr_is(record.vr, b'U', b'I') or is_plain(record.value, record.length):
            return 0
        texts.append((PyBytes_FromStringAndSize(<const char *>record.value, record.length), row[field.column],
                      record.vr[:2].decode("ascii")))
        return 0

    cdef int write(self, tuple row, bytes character_set, list texts) except -1:
        cdef size_t i
        cdef Field *field
        cdef Record record
        cdef Py_ssize_t text = 0
        cdef bytes value
        cdef bint say = bool(character_set)
        for i in range(self.count):
            field = &self.fields[i]
            if say and field.tag > SPECIFIC_CHARACTER_SET:
                self.element_of(SPECIFIC_CHARACTER_SET, b"CS", character_set)
                say = False
            if field.source == Source_PACKED:
                if not self.find(row, field, &record):
                    self.element(field.tag, field.vr, NULL, 0)
                else:
                    text += self.stored(&record, texts, text)
            elif field.source == Source_SEQUENCE:
                text += self.sequence(row, field, texts, text)
            else:
                value = self.constants[i] if field.source == Source_CONSTANT else plain(row[field.column])
                self.element_of(field.tag, field.vr, value)
        return 0

    cdef Py_ssize_t sequence(self, tuple row, const Field *field, list texts, Py_ssize_t text) except -1:
        """All items; -> how many of the texts they used."""
        cdef Walk walk
        cdef Record record
        cdef Py_ssize_t used = 0
        cdef size_t begin, item_at = 0
        cdef int item = -1
        cdef bint more
        self.head(field.tag, b"SQ", 0)
        begin = self.dataset.size
        self.open(row, field, &walk)
        more = next_record(&walk, &record)
        while more:
            if record.sequence != field.tag:
                more = next_record(&walk, &record)
                continue
            item = record.item
            self.head(ITEM, NULL, 0)
            item_at = self.dataset.size
            used += self.item(field, &walk, &record, &more, item, texts, text + used)
            self.patch(item_at)
        self.patch(begin)
        return used

    cdef Py_ssize_t item(self, const Field *field, Walk *walk, Record *record, bint *more, int item, list texts,
                         Py_ssize_t text) except -1:
        """The elements of one item, from `record` on; keys of the request that it lacks are of zero length."""
        cdef size_t k = field.first_item, end = field.first_item + field.items
        cdef Py_ssize_t used = 0
        while more[0] and record.sequence == field.tag and record.item == item:
            if self.is_wanted(field, record):
                while k < end and self.item_fields[k].tag < record.tag:
                    self.element(self.item_fields[k].tag, self.item_fields[k].vr, NULL, 0)
                    k += 1
                if k < end and self.item_fields[k].tag == record.tag:
                    k += 1
                used += self.stored(record, texts, text + used)
            more[0] = next_record(walk, record)
        while k < end:
            self.element(self.item_fields[k].tag, self.item_fields[k].vr, NULL, 0)
            k += 1
        return used

    cdef bint is_wanted(self, const Field *field, const Record *record) noexcept:
        cdef size_t k
        for k in range(field.first_item, field.first_item + field.items):
            if self.item_fields[k].tag == record.tag:
                return True
        return field.items == 0

    cdef int open(self, tuple row, const Field *field, Walk *walk) except -1:
        cdef bytes packed = row[field.column + 1]
        walk.at = <const unsigned char *>PyBytes_AS_STRING(packed)
        walk.end = walk.at + PyBytes_GET_SIZE(packed)
        walk.sequence = walk.item = 0
        return 0

    cdef bint find(self, tuple row, const Field *field, Record *record) except -1:
        cdef Walk walk
        self.open(row, field, &walk)
        while next_record(&walk, record):
            if record.tag == field.tag and record.sequence == 0:
                return True
        return False

    cdef Py_ssize_t stored(self, const Record *record, list texts, Py_ssize_t text) except -1:
        """Writes a kept element; -> 1 where its value is the next of the texts, else 0."""
        cdef int size = number_size(record.vr)
        cdef size_t at
        if size or vr_is(record.vr, b'U', b'I') or is_plain(record.value, record.length):
            at = self.element(record.tag, record.vr, record.value, record.length)
            if size and self.big_endian:
                swap_numbers(self.dataset.data + at, record.length, size)
            return 0
        self.element_of(record.tag, record.vr, texts[text])
        return 1

    # -- octets ------------------------------------------------------------------------------------------

    cdef int element_of(self, uint32_t tag, const char *vr, bytes value) except -1:
        self.element(tag, vr, <const unsigned char *>PyBytes_AS_STRING(value), <size_t>PyBytes_GET_SIZE(value))
        return 0

    cdef size_t element(self, uint32_t tag, const char *vr, const unsigned char *value, size_t length) except 0:
        """Writes an element, padded to even length (PS3.5 6.2); -> where its value stands."""
        cdef size_t at
        cdef unsigned char padding = 0 if vr_is(vr, b'U', b'I') or vr_is(vr, b'O', b'B') else b' '
        self.head(tag, vr, length + (length & 1))
        at = self.dataset.size
        put(&self.dataset, value, length)
        if length & 1:
            put(&self.dataset, &padding, 1)
        return at

    cdef int head(self, uint32_t tag, const char *vr, size_t length) except -1:
        """vr: NULL for an item."""
        cdef bint has_vr = self.explicit_vr and vr != NULL
        cdef bint short_length = has_vr and has_short_length(vr)
        cdef unsigned char *p = room(&self.dataset, 12 if has_vr and not short_length else 8)
        self.number(p, tag >> 16, 2)
        self.number(p + 2, tag & 0xFFFF, 2)
        if has_vr:
            p[4], p[5] = vr[0], vr[1]
        if short_length:
            self.number(p + 6, length, 2)
        elif has_vr:
            p[6] = p[7] = 0
            self.number(p + 8, length, 4)
        else:
            self.number(p + 4, length, 4)
        return 0

    cdef void patch(self, size_t behind):
        """Sets the four-byte length that ends at `behind` to what was written from there on."""
        self.number(self.dataset.data + behind - 4, self.dataset.size - behind, 4)

    cdef void number(self, unsigned char *p, uint64_t value, int n) noexcept:
        cdef int i
        for i in range(n):
            p[n - 1 - i if self.big_endian else i] = value & 0xFF
            value >>= 8

    cdef int frame_message(self) except -1:
        cdef uint64_t command = <uint64_t>PyBytes_GET_SIZE(self.command)
        cdef unsigned char *to = room(&self.out, framed(command, self.room) + framed(self.dataset.size, self.room))
        to = frame(to, <const unsigned char *>PyBytes_AS_STRING(self.command), command, self.room, self.context_id,
                   PDV_COMMAND)
        frame(to, self.dataset.data, self.dataset.size, self.room, self.context_id, 0)
        return 0


cdef enum:
    Source_CONSTANT = 0
    Source_PLAIN = 1
    Source_PACKED = 2
    Source_SEQUENCE = 3


cdef bytes plain(object value):
    return b"" if value is None else str(value).encode("ascii", "replace")
