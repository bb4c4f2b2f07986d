"""The identifier of a query or retrieval as a tree of keys (PS3.4 C.2.1, PS3.5 7), and other datasets of its kind.

An identifier is a small dataset, and all of it is wanted: unlike the DatasetScanner, which sees gigabytes go by and
keeps little, this decoder takes the whole and gives every element. Depth and length are bounded by its caller.
"""
from libc.stdint cimport uint32_t

from dicomserver.wire.cursor cimport Cursor, copied, cursor_over, fail, left, part, take
from dicomserver.wire.elements cimport (
    ITEM, ITEM_DELIMITATION, SEQUENCE_DELIMITATION, UNDEFINED, big, has_short_length, is_vr, little, number_size,
    swap_numbers, vr_is,
)

from typing import NamedTuple

from dicomserver.wire.errors import DatasetError

cdef enum:
    MOST_ELEMENTS = 4096        # of one dataset or item
    MOST_ITEMS = 32768          # of one sequence: storage commitments have an item for each instance
    MOST_DEPTH = 16             # sequences within sequences


class IdentifierElement(NamedTuple):
    """One element. `vr` is "" where the encoding is implicit. `value` is as it came, padding too, but numbers are
    little-endian; empty for a sequence, whose `items` are lists of elements; None for every other element."""

    tag: int
    vr: str
    value: bytes
    items: list | None


cdef struct Header:
    uint32_t tag
    char[2] vr                  # NULs where the encoding is implicit, and for items
    uint32_t length


cdef class IdentifierDecoder:
    """One encoding; implicit VR is little-endian. sequences: the tags that are sequences, where no VR says it."""
    cdef bint explicit_vr, big_endian
    cdef frozenset sequences

    def __init__(self, bint explicit_vr, bint big_endian, frozenset sequences not None):
        self.explicit_vr, self.big_endian, self.sequences = explicit_vr, big_endian, sequences

    def decode(self, bytes data not None) -> list[IdentifierElement]:
        """The elements in their order, which need not be that of their tags. Raises DatasetError for what no dataset
        looks like: cut off, an element twice, groups 0000 and 0002, sequences deeper than MOST_DEPTH."""
        cdef Cursor cursor = cursor_over(data, len(data), DatasetError)
        return self.elements(&cursor, False, not self.explicit_vr, 0)

    cdef list elements(self, Cursor *cursor, bint delimited, bint implicit, int depth):
        """To the cursor's end, or to the item's delimitation."""
        cdef Header header
        cdef const unsigned char *at
        found = []
        seen = set()
        while left(cursor):
            at = cursor.pos
            self.header(cursor, &header, implicit)
            if header.tag == ITEM_DELIMITATION and delimited:
                return found
            if header.tag >> 16 in (0x0000, 0x0002, 0xFFFE):
                fail(cursor, b"element", at, b"may not stand in an identifier")
            if header.tag in seen:
                fail(cursor, b"element", at, b"stands there twice")
            if len(found) == MOST_ELEMENTS:
                fail(cursor, b"identifier", at, b"has too many elements")
            seen.add(header.tag)
            found.append(self.element(cursor, &header, implicit, depth))
        if delimited:
            fail(cursor, b"item", cursor.pos, b"has no end")
        return found

    cdef object element(self, Cursor *cursor, const Header *header, bint implicit, int depth):
        cdef bytes value
        cdef int size
        vr = "" if implicit else header.vr[:2].decode("ascii")
        if header.length == UNDEFINED or vr == "SQ" or (vr in ("", "UN") and header.tag in self.sequences):
            # Within a sequence of unknown VR all is implicit (PS3.5 6.2.2), also its items' headers.
            return IdentifierElement(header.tag, "SQ", b"", self.items(cursor, header.length,
                                                                        implicit or vr == "UN", depth + 1))
        value = copied(cursor, header.length, b"value")
        if self.big_endian and not implicit:
            size = number_size(header.vr)
            if size:
                value = swapped(value, size)
        return IdentifierElement(header.tag, vr, value, None)

    cdef list items(self, Cursor *cursor, uint32_t length, bint implicit, int depth):
        cdef Cursor within
        cdef Header header
        cdef const unsigned char *at
        cdef bint delimited = length == UNDEFINED
        found = []
        if depth > MOST_DEPTH:
            fail(cursor, b"sequence", cursor.pos, b"is nested too deep")
        if delimited:
            within = cursor[0]
        else:
            part(cursor, &within, length, b"sequence")
        while delimited or left(&within):
            at = within.pos
            self.header(&within, &header, implicit)
            if header.tag == SEQUENCE_DELIMITATION and delimited:
                break
            if header.tag != ITEM:
                fail(&within, b"sequence", at, b"holds something else than items")
            if len(found) == MOST_ITEMS:
                fail(&within, b"sequence", at, b"has too many items")
            found.append(self.item(&within, header.length, implicit, depth))
        if delimited:
            cursor.pos = within.pos
        return found

    cdef list item(self, Cursor *cursor, uint32_t length, bint implicit, int depth):
        cdef Cursor within
        if length == UNDEFINED:
            return self.elements(cursor, True, implicit, depth)
        part(cursor, &within, length, b"item")
        return self.elements(&within, False, implicit, depth)

    cdef int header(self, Cursor *cursor, Header *header, bint implicit) except -1:
        cdef const unsigned char *p = take(cursor, 8, b"element header")
        cdef const unsigned char *q
        cdef bint big_endian = self.big_endian and not implicit
        header.tag = number(p, 2, big_endian) << 16 | number(p + 2, 2, big_endian)
        header.vr[0] = header.vr[1] = 0
        if implicit or header.tag >> 16 == 0xFFFE:
            header.length = number(p + 4, 4, big_endian)
            if header.length and header.tag in (ITEM_DELIMITATION, SEQUENCE_DELIMITATION):
                fail(cursor, b"delimitation", p, b"has a length")
            return 0
        header.vr[0], header.vr[1] = p[4], p[5]
        if not is_vr(header.vr):
            fail(cursor, b"VR", p + 4, b"is none")
        if has_short_length(header.vr):
            header.length = number(p + 6, 2, big_endian)
            return 0
        q = take(cursor, 4, b"element header")
        header.length = number(q, 4, big_endian)
        if header.length == UNDEFINED and not vr_is(header.vr, b"S", b"Q") and not vr_is(header.vr, b"U", b"N"):
            fail(cursor, b"length", q, b"is undefined")
        return 0


cdef inline uint32_t number(const unsigned char *p, int n, bint big_endian) noexcept:
    return big(p, n) if big_endian else little(p, n)


cdef bytes swapped(bytes value, int size):
    copy = bytearray(value)
    cdef unsigned char *data = copy
    swap_numbers(data, len(copy), size)
    return bytes(copy)
