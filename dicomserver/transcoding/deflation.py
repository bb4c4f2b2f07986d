"""Deflated datasets (PS3.5 A.5): inflated, and deflated, piece by piece."""
from __future__ import annotations

import os
import zlib

from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.files import FileWriter

_PIECE = 1 << 18        # bytes


def inflate(file: int, offset: int, length: int, writer: FileWriter) -> None:
    """Writes what `length` bytes of a file from `offset` on become. Raises ConversionFailed."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    end = offset + length
    try:
        while not inflater.eof:
            packed = inflater.unconsumed_tail
            if not packed:
                packed = os.pread(file, min(_PIECE, end - offset), offset)
                offset += len(packed)
            piece = inflater.decompress(packed, _PIECE)
            writer.write(piece)
            if not packed and not piece and not inflater.eof:
                raise ConversionFailed("the deflated dataset ends too soon")
    except zlib.error:
        raise ConversionFailed("the dataset cannot be inflated") from None
    writer.flush()


def deflate(file: int, offset: int, length: int, writer: FileWriter) -> None:
    """Writes `length` bytes of a file from `offset` on, deflated, and padded to an even length."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    for at in range(offset, offset + length, _PIECE):
        writer.write(deflater.compress(os.pread(file, min(_PIECE, offset + length - at), at)))
    writer.write(deflater.flush())
    if writer.length % 2:
        writer.write(b"\0")
    writer.flush()
