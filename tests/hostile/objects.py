"""Datasets of one recognisable patient, put together byte by byte so that any rule can be broken.

Nothing that names him may ever stand in the log: `TELLTALES`.
"""
from __future__ import annotations

import itertools
import struct
import zlib
from dataclasses import dataclass

from tests.hostile.peer import SECONDARY_CAPTURE

PATIENT_NAME = b"Zyxwvut^Qponm"
PATIENT_ID = b"PID-7R4K9"
BIRTH_DATE = b"19430217"
DESCRIPTION = b"Kneecap of the mayor"
TELLTALES = (b"zyxwvut", b"qponm", PATIENT_ID.lower(), BIRTH_DATE, b"kneecap", b"mayor")

ROOT = "1.2.826.0.1.3680043.10.1717"
_numbers = itertools.count(1)

LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
UNDEFINED = 0xFFFFFFFF

SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E


@dataclass(frozen=True, slots=True)
class Identity:
    """The UIDs of one instance."""

    study: str
    series: str
    instance: str

    @property
    def path(self) -> str:
        """Where the archive files it, below the data directory."""
        return f"{self.study}/{self.series}/{self.instance}.dcm"


def new_identity() -> Identity:
    """UIDs that no other case has."""
    number = next(_numbers)
    return Identity(f"{ROOT}.{number}", f"{ROOT}.{number}.1", f"{ROOT}.{number}.1.1")


def explicit(tag: int, vr: bytes, value: bytes = b"", length: int | None = None) -> bytes:
    """An element, explicit VR little endian; nothing is padded."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    length = len(value) if length is None else length
    return head + (struct.pack("<HI", 0, length) if vr in LONG else struct.pack("<H", length)) + value


def implicit(tag: int, _vr: bytes, value: bytes = b"", length: int | None = None) -> bytes:
    """An element, implicit VR little endian."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def big_endian(tag: int, vr: bytes, value: bytes = b"", length: int | None = None) -> bytes:
    """An element, explicit VR big endian; a number's octets are turned by who makes it."""
    head = struct.pack(">HH2s", tag >> 16, tag & 0xFFFF, vr)
    length = len(value) if length is None else length
    return head + (struct.pack(">HI", 0, length) if vr in LONG else struct.pack(">H", length)) + value


def deflated(dataset: bytes) -> bytes:
    """As PS3.5 A.5 wants it: without zlib's header."""
    squeeze = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return squeeze.compress(dataset) + squeeze.flush()


def item(content: bytes = b"", length: int | None = None, order: str = "<") -> bytes:
    """An item of a sequence."""
    return struct.pack(order + "HHI", 0xFFFE, 0xE000, len(content) if length is None else length) + content


ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def uid(text: str) -> bytes:
    """Padded to an even length."""
    return text.encode() + b"\0" * (len(text) % 2)


def elements_of(identity: Identity, sop_class: str = SECONDARY_CAPTURE) -> dict[int, tuple[bytes, bytes]]:
    """What every dataset here has, by tag: VR and value."""
    return {
        SOP_CLASS: (b"UI", uid(sop_class)), SOP_INSTANCE: (b"UI", uid(identity.instance)),
        0x00080020: (b"DA", b"20260315"), 0x00080060: (b"CS", b"OT"), 0x00081030: (b"LO", DESCRIPTION),
        0x00100010: (b"PN", PATIENT_NAME + b" "), 0x00100020: (b"LO", PATIENT_ID + b" "),
        0x00100030: (b"DA", BIRTH_DATE), STUDY: (b"UI", uid(identity.study)), SERIES: (b"UI", uid(identity.series)),
        0x00200013: (b"IS", b"1 "),
    }


def dataset(identity: Identity, changed: dict[int, tuple[bytes, bytes] | None] | None = None, tail: bytes = b"",
            write=explicit) -> bytes:
    """An instance. changed: elements by tag, None takes one away. tail: bytes behind the last element, as they are."""
    elements = elements_of(identity) | (changed or {})
    return b"".join(write(tag, *elements[tag]) for tag in sorted(elements) if elements[tag] is not None) + tail
