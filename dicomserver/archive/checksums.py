"""The fast checksum of the archive: XXH3 with 64 bits, unsigned. It finds damage, not forgery."""
from __future__ import annotations

import os

import xxhash

_CHUNK = 1 << 20


def xxh3_64(buffer: bytes | bytearray | memoryview) -> int:
    """The checksum of a buffer."""
    return xxhash.xxh3_64_intdigest(buffer)


def checksum_file(fd: int, offset: int, length: int) -> int:
    """The checksum of `length` bytes from `offset`; of less when the file ends earlier. Memory stays flat."""
    digest = xxhash.xxh3_64()
    end = offset + length
    while offset < end:
        chunk = os.pread(fd, min(_CHUNK, end - offset), offset)
        if not chunk:
            break
        digest.update(chunk)
        offset += len(chunk)
    return digest.intdigest()
