"""Instances made for the purpose, encoded by hand in explicit VR little endian."""
from __future__ import annotations

import struct

from tests.interop.stored import Sent

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
LONG = ("OB", "OW", "UN")


def instance(study: int, number: int, *, size: int = 1000, sop_instance: str | None = None, comment: str = "",
             transfer_syntax: str = EXPLICIT, patient_name: str = "Doe^Jane", birth_date: str = "19600229",
             sex: str = "F", issuer: str = "") -> Sent:
    """A CT image of `size` bytes of pixels; all studies have the same Patient ID."""
    study_uid = f"1.2.826.0.1.{study}"
    uid = sop_instance or f"{study_uid}.2.{number}"
    elements = [
        (0x00080016, "UI", CT), (0x00080018, "UI", uid), (0x00080060, "CS", "CT"),
        (0x00100010, "PN", patient_name), (0x00100020, "LO", "PATIENT-1"),
        *([(0x00100021, "LO", issuer)] if issuer else []), (0x00100030, "DA", birth_date), (0x00100040, "CS", sex),
        (0x00104000, "LT", comment), (0x0020000D, "UI", study_uid), (0x0020000E, "UI", study_uid + ".2"),
        (0x00200013, "IS", str(number))]
    head = b"".join(element(tag, vr, text.encode()) for tag, vr, text in elements)
    return Sent(study_uid, study_uid + ".2", CT, uid, transfer_syntax, head + pixel_header(size) + bytes(size))


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One element; its value is padded."""
    value += (b"\0" if vr == "UI" else b" ") * (len(value) & 1)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def pixel_header(size: int) -> bytes:
    """The header of Pixel Data (7FE0,0010)."""
    return struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size)
