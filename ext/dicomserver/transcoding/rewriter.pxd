"""Walks a dataset and writes it in another encoding."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dicomserver.transcoding.files cimport FileReader, FileWriter
from dicomserver.transcoding.vrs cimport VrTable

cdef struct Coding:
    bint implicit               # elements have no VR
    bint big                    # numbers are big endian

cdef struct Layer:              # the dataset, a sequence or an item
    uint64_t end                # offset in the source behind its last byte, or NO_END: undefined length
    uint64_t limit              # the nearest end of this one or those around it
    uint64_t scope              # offset in the source of its first element
    uint64_t length_at          # offset in the target of its length, or NO_END: undefined length
    uint32_t tag                # of the sequence
    uint8_t kind                # LAYER_* in rewriter.pyx
    bint edited                 # elements of it are replaced
    Coding source, target


cdef class DatasetRewriter:
    cdef FileReader reader
    cdef FileWriter writer              # None: nothing is written, facts are gathered
    cdef VrTable vrs
    cdef Layer *layers
    cdef int depth                      # of the layer we are in
    cdef int maximum_depth
    cdef readonly dict facts            # by scope: by tag: the value of what the choice of a VR depends on
    cdef dict edits                     # by scope: a list of Edit, by tag, of which the first is the next one
    cdef const char *problem
    cdef uint32_t problem_tag

    cdef int run(self) noexcept nogil
    cdef int element(self) noexcept nogil
    cdef int item(self, uint32_t tag, uint32_t length) noexcept nogil
    cdef int value(self, uint32_t tag, const char *vr, bint named, uint32_t length) noexcept nogil
    cdef int copy_value(self, uint32_t tag, const char *vr, uint32_t length) noexcept nogil
    cdef const char *settle(self, uint32_t tag, const char *vr) noexcept nogil
    cdef int edit(self, uint32_t tag) except -2 with gil
    cdef int remember(self, uint32_t tag, uint32_t length) except -2 with gil
    cdef int put_header(self, uint32_t tag, const char *vr, uint32_t length) noexcept nogil
    cdef int enter(self, int kind, uint32_t tag, uint32_t length, Coding source, Coding target) noexcept nogil
    cdef int leave(self) noexcept nogil
    cdef int bad(self, const char *problem, uint32_t tag) noexcept nogil
    cdef int fact(self, uint32_t tag) noexcept with gil
    cdef void look_for_edits(self) noexcept with gil
