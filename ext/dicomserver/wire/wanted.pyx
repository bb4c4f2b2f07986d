"""Which elements a dataset scanner keeps: a table compiled once, searched for each element header."""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free


cdef class Wanted:
    """attributes: objects with `tag`, `sequence` (tag of the enclosing sequence, 0 at the top level), `vr` and
    `level` (dicomserver.standard.attributes.INDEXED). Immutable, so any number of scanners may share it."""

    def __init__(self, attributes):
        rows = {}
        for a in attributes:
            rows[(a.sequence << 32) | a.tag] = (int(a.level), a.vr.encode("ascii"), False)
        for a in attributes:
            if a.sequence:
                rows.setdefault(a.sequence, (int(a.level), b"SQ", True))
        free(self.elements)
        self.elements = <WantedElement *>calloc(len(rows) + 1, sizeof(WantedElement))
        if self.elements == NULL:
            raise MemoryError
        self.count = len(rows)
        self.levels = 1 + max((row[0] for row in rows.values()), default=0)
        for i, key in enumerate(sorted(rows)):
            level, vr, sequence = rows[key]
            self.elements[i].key = key
            self.elements[i].level = level
            self.elements[i].vr[0], self.elements[i].vr[1] = vr[0], vr[1]
            self.elements[i].sequence = sequence

    def __dealloc__(self):
        free(self.elements)

    cdef const WantedElement *find(self, uint64_t key) noexcept nogil:
        cdef size_t low = 0, high = self.count, middle
        while low < high:
            middle = (low + high) // 2
            if self.elements[middle].key < key:
                low = middle + 1
            else:
                high = middle
        if low < self.count and self.elements[low].key == key:
            return &self.elements[low]
        return NULL
