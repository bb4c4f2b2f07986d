"""The VRs of the dictionary (PS3.6), looked up without the GIL.

Where PS3.6 leaves a choice the VR is in small letters, for whoever knows the rest of the dataset to settle:
`us` US or SS, `ob` OB or OW. "US or OW", "US or SS or OW" are OW: the same bytes, and OW may be longer than 64 KB.
"""
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dicomserver.standard.dictionary import data_dictionary, repeating_groups

cdef dict CHOICES = {"US or SS": b"us", "OB or OW": b"ob", "US or OW": b"OW", "US or SS or OW": b"OW"}


cdef class VrTable:
    """All rows of PS3.6: 80 KB, to be made once."""

    def __cinit__(self):
        # Items and delimitations (FFFE,eeee) have no VR.
        rows = sorted((tag, row[0]) for tag, row in data_dictionary().items() if row[0] != "NONE")
        masks = repeating_groups()
        self.rows = <VrRow *>calloc(len(rows), sizeof(VrRow))
        self.masks = <VrMask *>calloc(len(masks), sizeof(VrMask))
        if self.rows == NULL or self.masks == NULL:
            raise MemoryError
        for tag, vr in rows:
            self.rows[self.row_count].tag = tag
            set_vr(self.rows[self.row_count].vr, vr)
            self.row_count += 1
        for mask, tag, vr in masks:
            self.masks[self.mask_count].mask = mask
            self.masks[self.mask_count].tag = tag
            set_vr(self.masks[self.mask_count].vr, vr)
            self.mask_count += 1

    def __dealloc__(self):
        free(self.rows)
        free(self.masks)

    def vr(self, uint32_t tag) -> str:
        """`find`, for Python."""
        return self.find(tag).decode("ascii")

    cdef const char *find(self, uint32_t tag) noexcept nogil:
        """The VR of a tag: UN of what PS3.6 does not know, as of private ones, but for their creators (PS3.5 7.8.1)."""
        cdef int low = 0, high = self.row_count - 1, middle, i
        if tag & 0x10000:
            return b"LO" if 0x10 <= (tag & 0xFFFF) <= 0xFF else b"UN"
        while low <= high:
            middle = (low + high) // 2
            if self.rows[middle].tag == tag:
                return self.rows[middle].vr
            if self.rows[middle].tag < tag:
                low = middle + 1
            else:
                high = middle - 1
        for i in range(self.mask_count):
            if tag & self.masks[i].mask == self.masks[i].tag:
                return self.masks[i].vr
        return b"UN"


cdef int set_vr(char *out, str vr) except -1:
    cdef bytes letters = CHOICES[vr] if vr in CHOICES else vr.encode("ascii")
    if len(letters) != 2:
        raise ValueError(f"not a VR: {vr}")
    memcpy(out, <const char *>letters, 2)
    return 0
