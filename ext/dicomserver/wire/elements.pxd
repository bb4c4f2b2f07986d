"""What an element header is made of (PS3.5 7.1, 7.5), for those that walk datasets."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from *:
    """
    #define DICOM_UNDEFINED 0xFFFFFFFFu
    #define DICOM_NO_END 0xFFFFFFFFFFFFFFFFull
    #define DICOM_PIXEL_DATA 0x7FE00010u
    #define DICOM_ITEM 0xFFFEE000u
    #define DICOM_ITEM_DELIMITATION 0xFFFEE00Du
    #define DICOM_SEQUENCE_DELIMITATION 0xFFFEE0DDu
    """
    const uint32_t UNDEFINED "DICOM_UNDEFINED"          # a length
    const uint64_t NO_END "DICOM_NO_END"                # an offset: where something of undefined length ends
    const uint32_t PIXEL_DATA "DICOM_PIXEL_DATA"        # tags
    const uint32_t ITEM "DICOM_ITEM"
    const uint32_t ITEM_DELIMITATION "DICOM_ITEM_DELIMITATION"
    const uint32_t SEQUENCE_DELIMITATION "DICOM_SEQUENCE_DELIMITATION"


cdef inline uint32_t little(const uint8_t *p, int n) noexcept nogil:
    cdef uint32_t value = 0
    while n:
        n -= 1
        value = (value << 8) | p[n]
    return value


cdef inline uint32_t big(const uint8_t *p, int n) noexcept nogil:
    cdef uint32_t value = 0
    cdef int i
    for i in range(n):
        value = (value << 8) | p[i]
    return value


cdef inline bint vr_is(const char *vr, char a, char b) noexcept nogil:
    return vr[0] == a and vr[1] == b


cdef inline bint is_vr(const char *vr) noexcept nogil:
    return b'A' <= vr[0] <= b'Z' and b'A' <= vr[1] <= b'Z'


cdef inline bint has_short_length(const char *vr) noexcept nogil:
    """The VRs of PS3.5 Table 7.1-2; every other, known or not, has the four-byte length."""
    cdef const char *short_ones = b"AEASATCSDADSDTFLFDISLOLTPNSHSLSSSTTMUIULUS"
    while short_ones[0]:
        if vr[0] == short_ones[0] and vr[1] == short_ones[1]:
            return True
        short_ones += 2
    return False


cdef inline int explicit_header_length(const uint8_t *head) noexcept nogil:
    """Bytes of an element header in explicit VR, from its first eight."""
    cdef const char *vr = <const char *>&head[4]
    if not is_vr(vr) or has_short_length(vr):
        return 8
    if head[6] == 0 and head[7] == 0:
        return 12
    # Not what PS3.5 7.1.2 says of other VRs: an unknown VR that was written with a short length.
    return 12 if number_size(vr) or vr_is(vr, b'O', b'B') or vr_is(vr, b'U', b'N') or vr_is(vr, b'S', b'Q') else 8


cdef inline int number_size(const char *vr) noexcept nogil:
    if vr_is(vr, b'U', b'S') or vr_is(vr, b'S', b'S') or vr_is(vr, b'A', b'T') or vr_is(vr, b'O', b'W'):
        return 2
    if (vr_is(vr, b'U', b'L') or vr_is(vr, b'S', b'L') or vr_is(vr, b'F', b'L') or vr_is(vr, b'O', b'F')
            or vr_is(vr, b'O', b'L')):
        return 4
    if (vr_is(vr, b'F', b'D') or vr_is(vr, b'O', b'D') or vr_is(vr, b'S', b'V') or vr_is(vr, b'U', b'V')
            or vr_is(vr, b'O', b'V')):
        return 8
    return 0


cdef inline void swap_numbers(unsigned char *data, size_t length, int size) noexcept nogil:
    """Reverses the bytes of each number of `size` bytes, in place."""
    cdef size_t begin = 0
    cdef int i
    cdef unsigned char byte
    while begin + size <= length:
        for i in range(size // 2):
            byte = data[begin + i]
            data[begin + i] = data[begin + size - 1 - i]
            data[begin + size - 1 - i] = byte
        begin += size


cdef inline bint is_uid(const unsigned char *p, size_t n) noexcept nogil:
    """Digits in components between single dots, 1 to 64 characters (PS3.5 9.1); leading zeros are let pass."""
    cdef size_t i
    if n == 0 or n > 64 or p[0] == b'.' or p[n - 1] == b'.':
        return False
    for i in range(n):
        if p[i] == b'.':
            if p[i - 1] == b'.':
                return False
        elif not b'0' <= p[i] <= b'9':
            return False
    return True
