"""Broken input from good input: seeded, so that every run can be had again."""
from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

LONGEST = 1 << 16
# Where sizes and signs turn over.
INTERESTING = (0, 1, 2, 3, 4, 6, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF,
               0x80000000, 0xFFFFFFF8, 0xFFFFFFFE, 0xFFFFFFFF)


def mutant(random: Random, corpus: Sequence[bytes]) -> bytes:
    """One of the corpus after one to six mutations; at most 64 KiB more than the longest of the corpus."""
    data = bytearray(random.choice(corpus))
    limit = max(map(len, corpus)) + LONGEST
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        random.choice(MUTATIONS)(random, data, corpus)
        del data[limit:]
    return bytes(data)


def _somewhere(random: Random, data: bytearray) -> tuple[int, int]:
    begin = random.randint(0, len(data))
    return begin, min(len(data), begin + random.choice((1, 2, 4, 8, 16, 64, 300)))


def _flip_bits(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    for _ in range(random.choice((1, 1, 2, 8)) if data else 0):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set_byte(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice((random.randrange(256), 0, 0xFF, 0x20, 0x5C))


def _cut(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    del data[random.randint(0, len(data)):]


def _remove(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    begin, end = _somewhere(random, data)
    del data[begin:end]


def _repeat(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    begin, end = _somewhere(random, data)
    data[begin:begin] = data[begin:end] * random.choice((1, 1, 2, 50))


def _insert(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    begin = random.randint(0, len(data))
    data[begin:begin] = random.randbytes(random.choice((1, 2, 4, 32)))


def _splice(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    other = bytearray(random.choice(corpus))
    begin, end = _somewhere(random, other)
    at = random.randint(0, len(data))
    data[at:at + random.choice((0, end - begin))] = other[begin:end]


def _set_length(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    """Any place may be a length, of any byte order; some new values are near what was there."""
    code, size = random.choice(((">H", 2), ("<H", 2), (">I", 4), ("<I", 4)))
    if len(data) < size:
        return
    at = random.randint(0, len(data) - size)
    old = struct.unpack_from(code, data, at)[0]
    new = random.choice((random.choice(INTERESTING), old + random.choice((-2, -1, 1, 2)), len(data) - at - size))
    struct.pack_into(code, data, at, new % (1 << 8 * size))


def _mend_length(random: Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    """Makes the length of a PDU right, so that what is within is read."""
    if len(data) >= 6:
        struct.pack_into(">I", data, 2, len(data) - 6)


MUTATIONS: tuple[Callable[[Random, bytearray, Sequence[bytes]], None], ...] = (
    _flip_bits, _set_byte, _cut, _remove, _repeat, _insert, _splice, _set_length, _set_length, _mend_length)
