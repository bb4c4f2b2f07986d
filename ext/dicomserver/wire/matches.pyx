"""C-FIND responses, from what the index keeps to P-DATA-TF PDUs (PS3.4 C.4.1, PS3.7 9.1.2, PS3.8 9.3.5).

A large answer is this loop and little else, so nothing of a row becomes a Python object here but text that is not
plain ASCII. The values come from packed attributes (dicomserver.wire.packed), where each stands as it was stored.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dicomserver.wire.elements cimport ITEM, has_short_length, is_vr, number_size, swap_numbers, vr_is
from dicomserver.wire.octets cimport Octets, octets_bytes, octets_free, octets_new, put, room
from dicomserver.wire.pdata cimport PDV_COMMAND, fragment_room, frame, framed

from enum import IntEnum
from typing import NamedTuple

from dicomserver.wire.errors import PduError

cdef enum:
    RECORD_HEAD = 8             # of packed attributes
    ESCAPE = 0x1B
    MOST_OF_SHORT = 0xFFFE      # bytes of a value whose length has two, even
    SPECIFIC_CHARACTER_SET = 0x00080005


class Source(IntEnum):
    """Where the value of a ResponseField comes from."""

    CONSTANT = 0        # `value`
    PLAIN = 1           # the row's `column`: text, a number, or None
    PACKED = 2          # the row's `column` is a raw (0008,0005), the next one the packed attributes under it, or None
    SEQUENCE = 3        # the same, for the items of sequence `tag`


class ResponseField(NamedTuple):
    """One element of every response. items: (tag, VR) of what each item of a sequence holds, by ascending tag; empty:
    all that is kept."""

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
        if length > walk.end - p - RECORD_HEAD or not is_vr(<const char *>p + 6):
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


cdef inline bint lowest(Walk walk, Record record, uint32_t from_tag, uint32_t to_tag, Record *found) noexcept nogil:
    """The lowest tag within these of the item in which `record` stands, of equals the first; `walk` is behind it."""
    cdef uint32_t sequence = record.sequence
    cdef uint16_t item = record.item
    cdef bint any_yet = False
    while True:
        if from_tag <= record.tag <= to_tag and not (any_yet and found.tag <= record.tag):
            found[0] = record
            any_yet = True
        if not next_record(&walk, &record) or record.sequence != sequence or record.item != item:
            return any_yet


cdef inline bint is_binary(const char *vr) noexcept nogil:
    return number_size(vr) != 0 or vr_is(vr, b'O', b'B') or vr_is(vr, b'U', b'N')


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
    cdef list texts                 # of it, (value, raw character set, VR), where they are not ASCII
    cdef list represented           # the same in one character set; None until they are
    cdef Py_ssize_t next_text
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
        if not 1 <= context_id <= 255:
            raise PduError("must be a number from 1 to 255", "presentation context id")
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
        cdef bytes character_set
        self.texts, self.represented = [], None
        self.write(row, b"")
        if self.texts:
            character_set, self.represented = self.represent(self.texts)
            self.next_text = 0
            self.write(row, character_set)
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

    cdef int write(self, tuple row, bytes character_set) except -1:
        """Writes the dataset. The first time it gathers the texts, so that both times they come in the same order."""
        cdef size_t i
        cdef Field *field
        cdef Record record
        cdef bint say = bool(character_set)
        self.dataset.size = 0
        for i in range(self.count):
            field = &self.fields[i]
            if say and field.tag > SPECIFIC_CHARACTER_SET:
                self.element_of(SPECIFIC_CHARACTER_SET, b"CS", character_set)
                say = False
            if field.source == Source_CONSTANT:
                self.element_of(field.tag, field.vr, self.constants[i])
            elif field.source == Source_PLAIN:
                self.plain(field, row[field.column])
            elif field.source == Source_SEQUENCE:
                self.sequence(row, field)
            elif self.find(row, field, &record):
                self.stored(&record, row[field.column])
            else:
                self.element(field.tag, field.vr, NULL, 0)
        if say:
            self.element_of(SPECIFIC_CHARACTER_SET, b"CS", character_set)
        return 0

    cdef int plain(self, const Field *field, object value) except -1:
        cdef bytes text = b"" if value is None else str(value).encode("utf-8", "backslashreplace")
        return self.value(field.tag, field.vr, <const unsigned char *>PyBytes_AS_STRING(text),
                          <size_t>PyBytes_GET_SIZE(text), b"ISO_IR 192")

    cdef int sequence(self, tuple row, const Field *field) except -1:
        """All items of which something is kept."""
        cdef Walk walk
        cdef Record record
        cdef size_t begin, item_begin
        cdef uint16_t item
        cdef bint more
        self.head(field.tag, b"SQ", 0)
        begin = self.dataset.size
        self.open(row, field, &walk)
        more = next_record(&walk, &record)
        while more:
            if record.sequence == field.tag:
                item = record.item
                self.head(ITEM, NULL, 0)
                item_begin = self.dataset.size
                self.item(field, walk, record, row[field.column])
                self.patch(item_begin)
                while more and record.sequence == field.tag and record.item == item:
                    more = next_record(&walk, &record)
            else:
                more = next_record(&walk, &record)
        self.patch(begin)
        return 0

    cdef int item(self, const Field *field, Walk walk, Record record, object character_set) except -1:
        """The elements of one item, by ascending tag, however they were stored. `record`: its first."""
        cdef size_t k
        cdef uint32_t tag = 0
        cdef Record found
        for k in range(field.first_item, field.first_item + field.items):
            tag = self.item_fields[k].tag
            if lowest(walk, record, tag, tag, &found):
                self.stored(&found, character_set)
            else:
                self.element(tag, self.item_fields[k].vr, NULL, 0)
        if field.items:
            return 0
        while tag < 0xFFFFFFFF and lowest(walk, record, tag, 0xFFFFFFFF, &found):
            self.stored(&found, character_set)
            tag = found.tag + 1
        return 0

    cdef int open(self, tuple row, const Field *field, Walk *walk) except -1:
        cdef bytes packed = row[field.column + 1] or b""
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

    cdef int stored(self, const Record *record, object character_set) except -1:
        """Writes a kept element."""
        cdef int size = number_size(record.vr)
        cdef size_t at
        if size and self.big_endian:
            at = self.element(record.tag, record.vr, record.value, record.length)
            swap_numbers(self.dataset.data + at, self.dataset.size - at, size)
            return 0
        return self.value(record.tag, record.vr, record.value, record.length, character_set)

    cdef int value(self, uint32_t tag, const char *vr, const unsigned char *value, size_t length,
                   object character_set) except -1:
        """Writes an element; one of text as `represent` gives it, where it is not ASCII."""
        if is_binary(vr) or vr_is(vr, b'U', b'I') or is_plain(value, length):
            self.element(tag, vr, value, length)
        elif self.represented is None:
            self.texts.append((PyBytes_FromStringAndSize(<const char *>value, <Py_ssize_t>length), character_set,
                               vr[:2].decode("ascii")))
        else:
            self.element_of(tag, vr, self.represented[self.next_text])
            self.next_text += 1
        return 0

    # -- octets ------------------------------------------------------------------------------------------

    cdef int element_of(self, uint32_t tag, const char *vr, bytes value) except -1:
        self.element(tag, vr, <const unsigned char *>PyBytes_AS_STRING(value), <size_t>PyBytes_GET_SIZE(value))
        return 0

    cdef size_t element(self, uint32_t tag, const char *vr, const unsigned char *value, size_t length) except 0:
        """Writes an element, padded to even length (PS3.5 6.2); -> where its value stands."""
        cdef size_t at
        cdef unsigned char padding = 0 if vr_is(vr, b'U', b'I') or is_binary(vr) else b' '
        if length > MOST_OF_SHORT and self.explicit_vr and has_short_length(vr):
            length = whole_values(value, MOST_OF_SHORT)
        self.head(tag, vr, length + (length & 1))
        at = self.dataset.size
        if length:
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


cdef size_t whole_values(const unsigned char *value, size_t most) noexcept nogil:
    """How long the first values of several are together, none of them cut."""
    while most and value[most] != b'\\':
        most -= 1
    return most
