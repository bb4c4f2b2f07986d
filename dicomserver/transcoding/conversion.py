"""A dataset from one transfer syntax to another: which steps that takes."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from dicomserver.standard.transfer_syntaxes import Encoding, encoding
from dicomserver.transcoding.choice import UNCOMPRESSED, is_convertible
from dicomserver.transcoding.decoding import COMPRESSED
from dicomserver.transcoding.decompression import decompress
from dicomserver.transcoding.deflation import deflate, inflate
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.files import FileWriter
from dicomserver.transcoding.rewriting import rewrite
from dicomserver.transcoding.scratch import OpenScratch, Scratch

# Reads `length` bytes of a file from `offset` on, and writes what becomes of them: (file, offset, length, writer).
Step = Callable[[int, int, int, FileWriter], None]


def convert(file: int, offset: int, length: int, stored: str, wanted: str, open_scratch: OpenScratch) -> Scratch:
    """The dataset that is in `file` from `offset` on, in another transfer syntax; the scratch is the caller's.

    Memory stays flat, whatever the dataset's length: each step goes from file to file. Raises ConversionFailed,
    OSError; then no scratch is left.
    """
    if stored == wanted or wanted not in UNCOMPRESSED or not is_convertible(stored):
        raise ConversionFailed("there is no conversion between these transfer syntaxes")
    first, *more = _steps(stored, wanted)
    scratch = _take(first, file, offset, length, open_scratch)
    for step in more:
        with scratch:
            scratch = _take(step, scratch.file, 0, scratch.length, open_scratch)
    return scratch


def _steps(stored: str, wanted: str) -> Iterator[Step]:
    source, target = encoding(stored), encoding(wanted)
    if source.deflated:
        yield inflate
    if stored in COMPRESSED:
        source = Encoding(explicit=target.explicit)
        yield partial(decompress, stored, source)
    if (source.explicit, source.big_endian) != (target.explicit, target.big_endian):
        yield partial(rewrite, source, target)
    if target.deflated:
        yield deflate


def _take(step: Step, file: int, offset: int, length: int, open_scratch: OpenScratch) -> Scratch:
    scratch = open_scratch()
    try:
        writer = FileWriter(scratch.file, scratch.most)
        step(file, offset, length, writer)
    except BaseException:
        scratch.close()
        raise
    scratch.length = writer.length
    return scratch
