"""RLE Lossless frames (PS3.5 Annex G).

Header, 16 x u32: how many segments, then the offset of each, counted from the begin of the frame. A segment has one
byte of each pixel's sample: the first sample's most significant byte first. Within a segment (PackBits): 0 to 127: so
many bytes and one more follow as they are. 129 to 255: the next byte, 257 minus so many times. 128: nothing.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t

from dicomserver.wire.elements cimport little

from dicomserver.transcoding.errors import ConversionFailed

cdef enum:
    HEADER = 64
    MOST_SEGMENTS = 15


def decode_rle(const unsigned char[::1] frame not None, size_t pixels, int samples, int octets) -> bytes:
    """A native frame, little endian, the samples of a pixel together. octets: of a sample. The GIL is released.

    Raises ConversionFailed where the segments are not exactly those of such a frame; padding behind them may be there.
    """
    cdef size_t length = frame.shape[0], begin, end
    cdef int segments = samples * octets, number, last, outcome = 0
    cdef bytes decoded = PyBytes_FromStringAndSize(NULL, pixels * segments)
    cdef unsigned char *out = <unsigned char *>decoded
    cdef const unsigned char *p = &frame[0] if length else NULL
    if length < HEADER or segments > MOST_SEGMENTS or little(p, 4) != <unsigned int>segments:
        raise ConversionFailed("an RLE frame has another number of segments than the dataset says")
    with nogil:
        for number in range(segments):
            begin = little(p + 4 + 4 * number, 4)
            end = little(p + 8 + 4 * number, 4) if number + 1 < segments else length
            if not HEADER <= begin <= end <= length:
                outcome = -1
                break
            # Segments of a sample come with its most significant byte first, which is the last one in the pixel.
            last = number + octets - 1 - 2 * (number % octets)
            outcome = unpack(p + begin, end - begin, out + last, segments, pixels)
            if outcome < 0:
                break
    if outcome < 0:
        raise ConversionFailed("an RLE segment is not as long as the dataset says, or cut off")
    return decoded


cdef int unpack(const uint8_t *p, size_t n, unsigned char *out, int step, size_t pixels) noexcept nogil:
    """Writes one byte of each pixel, `step` apart; -> 0, or -1 where there are fewer, or a run goes beyond them."""
    cdef size_t at = 0, run, i
    while pixels:
        if at + 2 > n:
            return -1
        if p[at] < 128:
            run = <size_t>p[at] + 1
            at += 1
            if run > pixels or run > n - at:
                return -1
            for i in range(run):
                out[0] = p[at + i]
                out += step
            at += run
        elif p[at] > 128:
            run = 257 - <size_t>p[at]
            if run > pixels:
                return -1
            for i in range(run):
                out[0] = p[at + 1]
                out += step
            at += 2
        else:
            at += 1
            continue
        pixels -= run
    return 0
