"""Compressed Pixel Data in a file: its fragments, and which of them make a frame (PS3.5 A.4)."""
from __future__ import annotations

import os
import struct
from array import array

from dicomserver.transcoding.errors import ConversionFailed

MOST_FRAGMENTS = 1 << 20        # 16 MB of positions
_ITEM = 0xE000FFFE              # tags as they are read here: little endian, group first
_SEQUENCE_DELIMITATION = 0xE0DDFFFE
_HEADER = struct.Struct("<II")
# How a frame begins: JPEG and JPEG-LS, JPEG 2000 and HTJ2K (also in the wrapping of a file).
_BEGINS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")


class Fragments:
    """The fragments from `position`, where the item with the Basic Offset Table is, up to `limit` at the most.

    end: offset behind all of it. Raises ConversionFailed where they are no sequence of items.
    """

    def __init__(self, file: int, position: int, limit: int) -> None:
        self._file = file
        self._offsets = array("Q")      # of their first bytes, in the file
        self._lengths = array("I")
        self._table: tuple[int, int] | None = None      # offset and length of the Basic Offset Table
        while (length := self._item(position, limit)) is not None:
            position += _HEADER.size
            if self._table is None:
                self._table = position, length
            elif len(self._offsets) == MOST_FRAGMENTS:
                raise ConversionFailed("its pixel data has too many fragments")
            else:
                self._offsets.append(position)
                self._lengths.append(length)
            position += length
        self.end = position + _HEADER.size

    def __len__(self) -> int:
        return len(self._offsets)

    def _item(self, position: int, limit: int) -> int | None:
        """The length of the item there; None: the sequence ends there."""
        header = os.pread(self._file, _HEADER.size, position) if position + _HEADER.size <= limit else b""
        if len(header) < _HEADER.size:
            raise ConversionFailed("its compressed pixel data is cut off")
        tag, length = _HEADER.unpack(header)
        if tag == _SEQUENCE_DELIMITATION and length == 0:
            return None
        if tag != _ITEM or position + _HEADER.size + length > limit:
            raise ConversionFailed("its compressed pixel data is no sequence of fragments")
        return length

    def begins(self, number_of_frames: int) -> list[int]:
        """The number of each frame's first fragment, and behind them how many fragments there are.

        One fragment each, if the numbers agree, whatever the offset table says; else what it says; without one, each
        frame begins with the begin of a codestream. Raises ConversionFailed where that gives another number of frames.
        """
        if number_of_frames == 1 and len(self):
            return [0, len(self)]
        if number_of_frames == len(self):
            return list(range(len(self) + 1))
        begins = self._by_table() if self._table and self._table[1] else self._by_content()
        if len(begins) != number_of_frames or begins[0] != 0:
            raise ConversionFailed("its fragments do not make as many frames as Number of Frames says")
        return [*begins, len(self)]

    def _by_table(self) -> list[int]:
        offset, length = self._table
        first = self._offsets[0] - _HEADER.size if self._offsets else 0
        by_offset = {self._offsets[number] - _HEADER.size - first: number for number in range(len(self))}
        table = array("I", os.pread(self._file, length - length % 4, offset))
        begins = [by_offset.get(entry, -1) for entry in table]
        if -1 in begins or sorted(set(begins)) != begins:
            raise ConversionFailed("its Basic Offset Table does not fit its fragments")
        return begins

    def _by_content(self) -> list[int]:
        return [number for number, offset in enumerate(self._offsets)
                if os.pread(self._file, 6, offset).startswith(_BEGINS)] or [-1]

    def read(self, begin: int, end: int) -> bytes:
        """The bytes of the fragments from number `begin` up to `end`, without `end`."""
        pieces = [os.pread(self._file, self._lengths[number], self._offsets[number]) for number in range(begin, end)]
        return b"".join(pieces)
