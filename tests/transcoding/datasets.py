"""Datasets to convert, and what pydicom says of the result."""
from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from dicomserver.transcoding.conversion import convert
from dicomserver.transcoding.scratch import Scratch
from dicomserver.wire.errors import MetaError
from dicomserver.wire.part10 import decode_file_meta
from tests.shipped import shipped

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG_ENDIAN = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
UNCOMPRESSED = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)


def open_scratch(most: int = 1 << 32) -> Scratch:
    """See transcoding.scratch.OpenScratch."""
    with tempfile.TemporaryFile() as file:
        return Scratch(os.dup(file.fileno()), most)


def converted(dataset: bytes, stored: str, wanted: str) -> bytes:
    """The whole way, from a file in which the dataset does not stand at the begin."""
    with open_scratch() as source:
        os.pwrite(source.file, b"before" + dataset + b"behind", 0)
        with convert(source.file, 6, len(dataset), stored, wanted, open_scratch) as scratch:
            return os.pread(scratch.file, scratch.length + 1, 0)


def read(dataset: bytes, syntax: str) -> Dataset:
    """As pydicom reads it."""
    if syntax == DEFLATED:
        dataset, syntax = zlib.decompress(dataset, -zlib.MAX_WBITS), EXPLICIT
    return read_dataset(DicomBytesIO(dataset), syntax == IMPLICIT, syntax != BIG_ENDIAN)


def shipped_datasets(*syntaxes: str) -> list[tuple[str, str, bytes]]:
    """(name, transfer syntax, dataset) of pydicom's files in one of these transfer syntaxes; of all, where none is
    named. Damaged files are among them."""
    found = []
    for path in shipped():
        try:
            meta = decode_file_meta(path.read_bytes())
        except MetaError:
            continue
        if not syntaxes or meta.transfer_syntax_uid in syntaxes:
            found.append((path.name, meta.transfer_syntax_uid, path.read_bytes()[meta.dataset_offset:]))
    return found


def of_file(name: str) -> tuple[str, bytes]:
    """The transfer syntax and the dataset of one of pydicom's files."""
    data = next(path for path in shipped(name) if path.name == name).read_bytes()
    meta = decode_file_meta(data)
    return meta.transfer_syntax_uid, data[meta.dataset_offset:]
