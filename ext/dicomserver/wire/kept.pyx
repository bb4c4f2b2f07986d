"""What a dataset scanner keeps of one dataset: a few values for itself, and a packed blob a level for the index.

No allocation follows a length in the dataset: of each value at most `maximum_value` bytes are kept, of each level at
most MOST_KEPT; the rest is let pass.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

from dicomserver.wire.elements cimport PIXEL_DATA, big, is_uid, little, number_size, swap_numbers, vr_is

from dicomserver.wire.errors import DatasetError

cdef enum:
    MOST_KEPT = 65536           # bytes a level
    RECORD_HEAD = 8

# The first four identify the instance.
cdef uint32_t[NOTES] NOTED = [0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00080005, 0x00280002, 0x00280004,
                              0x00280008, 0x00280010, 0x00280011, 0x00280100]
cdef enum:
    NOTE_CHARACTER_SET = 4
    NOTE_SAMPLES, NOTE_PHOTOMETRIC, NOTE_FRAMES, NOTE_ROWS, NOTE_COLUMNS, NOTE_BITS

# By IDENTITY_*: what is wrong.
IDENTITY_PROBLEMS = (
    "", "SOP Class UID is missing or no UID", "SOP Instance UID is missing or no UID",
    "Study Instance UID is missing or no UID", "Series Instance UID is missing or no UID",
    "an identifying UID stands in the dataset twice", "SOP Class UID differs from the one announced",
    "SOP Instance UID differs from the one announced",
)


cdef inline int note_index(uint32_t tag) noexcept nogil:
    cdef int i
    for i in range(NOTES):
        if NOTED[i] == tag:
            return i
    return -1


cdef inline size_t uid_length(const Note *note) noexcept nogil:
    """The value's length less its padding."""
    cdef size_t n = min(note.length, <size_t>NOTE_BYTES)
    while n and (note.value[n - 1] == 0 or note.value[n - 1] == b' '):
        n -= 1
    return n


cdef inline bint same_uid(const Note *note, const unsigned char *uid, size_t n) noexcept nogil:
    return uid_length(note) == n and memcmp(note.value, uid, n) == 0


cdef inline bint make_room(Blob *blob, size_t more) noexcept nogil:
    """Whether the blob may and can take so many more bytes."""
    cdef unsigned char *data
    if blob.length + more > MOST_KEPT:
        return False
    if blob.length + more > blob.capacity:
        data = <unsigned char *>realloc(blob.data, blob.length + more + 1024)
        if data == NULL:
            return False
        blob.data = data
        blob.capacity = blob.length + more + 1024
    return True


cdef inline void put_record(Blob *blob, uint32_t tag, const char *vr, uint16_t length) noexcept nogil:
    cdef unsigned char *data = blob.data + blob.length
    memcpy(data, &tag, 4)
    memcpy(data + 4, &length, 2)
    memcpy(data + 6, vr, 2)
    blob.length += RECORD_HEAD


cdef class KeptValues:
    """Filled by a DatasetScanner, read when the dataset is complete; good until the scanner's next dataset."""

    def __cinit__(self, Wanted wanted not None, bint big_endian, size_t maximum_value):
        self.wanted = wanted
        self.big_endian = big_endian
        self.maximum_value = min(maximum_value, <size_t>0xFFFF)
        self.levels = wanted.levels
        self.blobs = <Blob *>calloc(wanted.levels, sizeof(Blob))
        if self.blobs == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef int level
        if self.blobs != NULL:
            for level in range(self.levels):    # `wanted` may have gone: the garbage collector takes it away first
                free(self.blobs[level].data)
        free(self.blobs)

    # -- for readers ---------------------------------------------------------------------------------------

    @property
    def identity(self) -> tuple[bytes | None, ...]:
        """SOP Class, SOP Instance, Study Instance and Series Instance UID as they stand in the dataset, padding and
        all, at most 66 bytes of each; None where one is absent."""
        return self.note(0), self.note(1), self.note(2), self.note(3)

    @property
    def uids(self) -> tuple[str, str, str, str]:
        """The same four without padding; to be asked for when the identity was found good."""
        cdef int i
        return tuple([self.notes[i].value[:uid_length(&self.notes[i])].decode("ascii") for i in range(4)])

    @property
    def character_set(self) -> bytes:
        """(0008,0005), likewise; empty where it is absent."""
        return self.note(NOTE_CHARACTER_SET) or b""

    @property
    def declared_pixels(self) -> tuple:
        """(Samples per Pixel, Photometric Interpretation, Number of Frames, Rows, Columns, Bits Allocated): numbers,
        but for the second and third, which are bytes or None; 0 where one is absent."""
        return (self.number(NOTE_SAMPLES), self.note(NOTE_PHOTOMETRIC), self.note(NOTE_FRAMES),
                self.number(NOTE_ROWS), self.number(NOTE_COLUMNS), self.number(NOTE_BITS))

    def packed(self, int level) -> bytes:
        """The kept elements of a level, in the order of the dataset (dicomserver.wire.packed)."""
        if not 0 <= level < self.levels:
            raise IndexError(level)
        return PyBytes_FromStringAndSize(<char *>self.blobs[level].data, self.blobs[level].length)

    def require_identity(self, bytes sop_class_uid not None, bytes sop_instance_uid not None) -> None:
        """Raises DatasetError unless the dataset has these UIDs, and all four once and valid."""
        cdef int found = self.check_identity(sop_class_uid, len(sop_class_uid), sop_instance_uid,
                                             len(sop_instance_uid))
        if found != IDENTITY_GOOD:
            raise DatasetError(IDENTITY_PROBLEMS[found])

    cdef bytes note(self, int i):
        """The i-th of the noted values, its first NOTE_BYTES."""
        cdef Note *note = &self.notes[i]
        if not note.seen:
            return None
        return PyBytes_FromStringAndSize(<char *>note.value, min(note.length, <size_t>NOTE_BYTES))

    cdef int number(self, int i):
        """The i-th of the noted values as US; 0 where it is none."""
        cdef Note *note = &self.notes[i]
        if not note.seen or note.length < 2:
            return 0
        return big(note.value, 2) if self.big_endian else little(note.value, 2)

    cdef int check_identity(self, const unsigned char *sop_class, size_t class_length,
                            const unsigned char *instance, size_t instance_length) noexcept nogil:
        """Whether the dataset's UIDs are those announced, once each; -> IDENTITY_*"""
        cdef int i
        for i in range(4):
            if self.notes[i].seen > 1:
                return IDENTITY_REPEATED
            if self.notes[i].length > <size_t>NOTE_BYTES or not is_uid(self.notes[i].value, uid_length(&self.notes[i])):
                return IDENTITY_NO_CLASS + i
        if not same_uid(&self.notes[0], sop_class, class_length):
            return IDENTITY_CLASS_DIFFERS
        if not same_uid(&self.notes[1], instance, instance_length):
            return IDENTITY_INSTANCE_DIFFERS
        return IDENTITY_GOOD

    # -- for the scanner -----------------------------------------------------------------------------------

    cdef void clear(self) noexcept nogil:
        """Ready for the next dataset."""
        cdef int level
        for level in range(self.levels):
            self.blobs[level].length = 0
            self.blobs[level].sequence = self.blobs[level].item = 0
        memset(self.notes, 0, sizeof(self.notes))
        self.native_pixels = False
        self.pixel_length = self.value_length = self.value_taken = self.keep_left = 0
        self.keep = NULL
        self.noting = NULL

    cdef void begin(self, const WantedElement *wanted, uint32_t tag, uint32_t sequence, uint16_t item,
                    const char *vr, uint32_t length) noexcept nogil:
        """A value of `length` bytes begins. wanted: NULL where the index does not want it. sequence: 0 at the top
        level. vr: NULL where the dataset does not say."""
        cdef int note = note_index(tag) if sequence == 0 else -1
        self.value_length = length
        self.value_taken = 0
        if note >= 0:
            self.notes[note].seen += 1
            self.notes[note].length = length
            self.noting = &self.notes[note]
        if sequence == 0 and tag == PIXEL_DATA:
            self.native_pixels = True
            self.pixel_length = length
        if wanted != NULL and not wanted.sequence:
            if vr == NULL or vr_is(vr, b'U', b'N'):
                vr = &wanted.vr[0]
            self.open_record(wanted, tag, sequence, item, vr, length)
        if length == 0:
            self.end()

    cdef void open_record(self, const WantedElement *wanted, uint32_t tag, uint32_t sequence, uint16_t item,
                          const char *vr, uint32_t length) noexcept nogil:
        """Begins a record of the blob (dicomserver.wire.packed), where need be behind one that says where it stands."""
        cdef Blob *blob = &self.blobs[wanted.level]
        cdef uint16_t kept = <uint16_t>min(length, <uint32_t>self.maximum_value)
        if not make_room(blob, 2 * RECORD_HEAD + sizeof(item) + kept):
            return
        if blob.sequence != sequence or blob.item != item:
            put_record(blob, sequence, b"SQ", sizeof(item) if sequence else 0)
            if sequence:
                memcpy(blob.data + blob.length, &item, sizeof(item))
                blob.length += sizeof(item)
            blob.sequence = sequence
            blob.item = item
        put_record(blob, tag, vr, kept)
        self.keep = blob
        self.keep_left = kept
        self.keep_from = blob.length
        self.keep_unit = number_size(vr)

    cdef void take(self, const unsigned char *p, size_t n) noexcept nogil:
        """The next n bytes of the value that has begun."""
        cdef size_t kept = min(n, self.keep_left)
        if kept:
            memcpy(self.keep.data + self.keep.length, p, kept)
            self.keep.length += kept
            self.keep_left -= kept
        if self.noting != NULL and self.value_taken < <uint64_t>NOTE_BYTES:
            memcpy(&self.noting.value[self.value_taken], p, min(n, <size_t>(NOTE_BYTES - self.value_taken)))
        self.value_taken += n
        if self.value_taken == self.value_length:
            self.end()

    cdef bint wants_more(self) noexcept nogil:
        """Whether bytes of the value that has begun are still to be kept."""
        return self.keep_left > 0 or (self.noting != NULL and self.value_taken < <uint64_t>NOTE_BYTES)

    cdef void abandon(self) noexcept nogil:
        """No more bytes come: a value that has begun is as if it had not."""
        if self.keep_left:
            self.keep.length = self.keep_from - RECORD_HEAD
        if self.noting != NULL:
            self.noting.seen = 0
            self.noting.length = 0
        self.noting = NULL
        self.keep = NULL
        self.keep_left = 0

    cdef void end(self) noexcept nogil:
        """The value is complete."""
        if self.keep != NULL and self.keep_unit and self.big_endian:
            swap_numbers(self.keep.data + self.keep_from, self.keep.length - self.keep_from, self.keep_unit)
        self.noting = NULL
        self.keep = NULL
        self.keep_left = 0
