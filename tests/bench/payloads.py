"""What is sent: whole C-STORE requests made ahead, of which each instance changes only its UIDs.

All UIDs have one length, so an instance is made by overwriting them in place. Large pixel data is one block of whole
P-DATA-TF PDUs that is sent again and again: an object of 2.2 GB needs some megabytes here.
"""
from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.uid import BasicTextSRStorage, CTImageStorage, UltrasoundMultiFrameImageStorage

from dicomserver.wire.command import CommandSet, encode_command
from dicomserver.wire.commands import C_STORE_RQ
from dicomserver.wire.pdata import encode_message

STUDY, SERIES, INSTANCE = "2.25.1", "2.25.2", "2.25.3"
UID_DIGITS = 27                     # behind those prefixes: run, sender and number of the instance
DEFAULT_PDU = 16384                 # where a peer names no maximum or none that matters
LARGEST_PDU = 1 << 17
BLOCK = 8 << 20                     # about so many bytes are sent at once
FRAME = (480, 640, 3)
PDV_HEADER, PDU_HEADER = 6, 6


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of object. frames: of a multi-frame image, 0 for the others."""

    name: str
    sop_class_uid: str
    frames: int = 0


SMALL = Kind("small", str(BasicTextSRStorage))
CT = Kind("ct", str(CTImageStorage))
MULTIFRAME = Kind("multiframe", str(UltrasoundMultiFrameImageStorage), 218)
LARGE = Kind("large", str(UltrasoundMultiFrameImageStorage), 2388)
KINDS = {kind.name: kind for kind in (SMALL, CT, MULTIFRAME, LARGE)}

_MESSAGE_ID = struct.pack("<HHI", 0x0000, 0x0110, 2)     # the element's header, as command sets have it


def uid(level: str, run: int, sender: int, number: int = 0) -> str:
    """A UID of that level, different for each run, sender and instance, always of the same length."""
    return f"{level}{run:015d}{sender:03d}{number:09d}"


@dataclass(slots=True)
class Request:
    """A C-STORE request as it goes over the wire: head, then `repeats` times the block, then tail.

    size: bytes of the dataset. patches: the offsets in head of the study's, series' and instance's UID.
    """

    head: bytearray
    block: bytes
    repeats: int
    tail: bytes
    size: int
    patches: tuple[tuple[str, tuple[int, ...]], ...]

    def become(self, run: int, sender: int, number: int) -> None:
        """Turns it into another instance of this sender's one series, with a message id of its own."""
        struct.pack_into("<H", self.head, self.head.index(_MESSAGE_ID) + len(_MESSAGE_ID), number % 0xFFFF + 1)
        for level, offsets in self.patches:
            text = uid(level, run, sender, number if level == INSTANCE else 0).encode("ascii")
            for at in offsets:
                self.head[at:at + len(text)] = text


def request(kind: Kind, context_id: int, maximum_length: int) -> Request:
    """The request of an object for a peer that announced this maximum length (0: no limit)."""
    pdu = min(maximum_length or DEFAULT_PDU, LARGEST_PDU)
    dataset, pixels = _dataset(kind)
    command = encode_command(CommandSet(
        affected_sop_class_uid=kind.sop_class_uid, command_field=C_STORE_RQ, message_id=1, priority=0,
        command_data_set_type=1, affected_sop_instance_uid=uid(INSTANCE, 0, 0)))
    size = len(dataset) + pixels
    if kind.frames == 0:
        head = bytearray(encode_message(context_id, command, dataset, pdu))
        return Request(head, b"", 0, b"", size, _patches(head))
    head = bytearray(encode_message(context_id, command, None, pdu)) + _data_pdu(context_id, dataset, last=False)
    part = pdu - PDV_HEADER & ~1
    each = _data_pdu(context_id, _pattern(part), last=False)
    whole, rest = divmod(pixels - 2, part)                          # the last fragment is never empty
    per_block = max(1, BLOCK // len(each))
    repeats, single = divmod(whole, per_block)
    tail = each * single + _data_pdu(context_id, _pattern(rest + 2), last=True)
    return Request(head, each * per_block, repeats, tail, size, _patches(head))


def _data_pdu(context_id: int, data: bytes, *, last: bool) -> bytes:
    """One P-DATA-TF PDU with one fragment of a dataset (PS3.8 9.3.5, Annex E.2)."""
    return struct.pack(">BBIIBB", 4, 0, len(data) + PDV_HEADER, len(data) + 2, context_id, 2 if last else 0) + data


def _patches(head: bytearray) -> tuple[tuple[str, tuple[int, ...]], ...]:
    found = tuple((level, tuple(_find(head, uid(level, 0, 0).encode("ascii")))) for level in (STUDY, SERIES, INSTANCE))
    if [len(offsets) for _, offsets in found] != [1, 1, 2]:         # command and dataset name the instance
        raise ValueError("a UID lies across two PDUs")
    return found


def _find(head: bytearray, text: bytes) -> list[int]:
    at, found = head.find(text), []
    while at >= 0:
        found.append(at)
        at = head.find(text, at + 1)
    return found


@lru_cache(maxsize=4)
def _dataset(kind: Kind) -> tuple[bytes, int]:
    """The encoded dataset, and the length of the pixel data that is to follow it."""
    content = _identity(kind)
    if kind is SMALL:
        _fill_report(content)
        return _encoded(content), 0
    if kind is CT:
        _describe_ct(content)
        pixels = bytearray(random.Random(1).randbytes(512 * 512 * 2))
        pixels[1::2] = bytes(octet & 0x0F for octet in pixels[1::2])        # twelve bits
        content.PixelData = bytes(pixels)
        return _encoded(content), 0
    _describe_ultrasound(content, kind.frames)
    length = kind.frames * FRAME[0] * FRAME[1] * FRAME[2]
    return _encoded(content) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, length), length


@lru_cache(maxsize=4)
def _pattern(length: int) -> bytes:
    return random.Random(2).randbytes(length)


def _identity(kind: Kind) -> Dataset:
    content = Dataset()
    content.SpecificCharacterSet = "ISO_IR 100"
    content.SOPClassUID, content.SOPInstanceUID = kind.sop_class_uid, uid(INSTANCE, 0, 0)
    content.StudyInstanceUID, content.SeriesInstanceUID = uid(STUDY, 0, 0), uid(SERIES, 0, 0)
    content.StudyDate = content.SeriesDate = content.ContentDate = "20240229"
    content.StudyTime = content.SeriesTime = content.ContentTime = "101530"
    content.Modality = {"small": "SR", "ct": "CT"}.get(kind.name, "US")
    content.AccessionNumber, content.StudyID = "A0001", "1"
    content.Manufacturer, content.InstitutionName = "Bench", "Bench"
    content.ReferringPhysicianName = "REFERRER^ANN"
    content.PatientName, content.PatientID = "BENCH^PATIENT", "BENCH-1"
    content.PatientBirthDate, content.PatientSex = "19700131", "O"
    content.StudyDescription, content.SeriesDescription = "Bench study", "Bench series"
    content.SeriesNumber = content.InstanceNumber = "1"
    return content


def _fill_report(content: Dataset) -> None:
    """Eleven paragraphs: with everything else about 4.4 kB."""
    content.CompletionFlag, content.VerificationFlag = "COMPLETE", "UNVERIFIED"
    content.ValueType, content.ContinuityOfContent = "CONTAINER", "SEPARATE"
    content.ConceptNameCodeSequence = [_code("18748-4", "LN", "Diagnostic Imaging Report")]
    content.ContentSequence = []
    for number in range(11):
        paragraph = Dataset()
        paragraph.RelationshipType, paragraph.ValueType = "CONTAINS", "TEXT"
        paragraph.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
        paragraph.TextValue = f"Finding {number}: " + "no change since the last examination. " * 6
        content.ContentSequence.append(paragraph)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _describe_ct(content: Dataset) -> None:
    content.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    content.FrameOfReferenceUID = "2.25.4"
    content.ImagePositionPatient, content.ImageOrientationPatient = [-250, -250, 0], [1, 0, 0, 0, 1, 0]
    content.SliceThickness, content.KVP, content.PixelSpacing = "1.0", "120", [0.9766, 0.9766]
    content.BodyPartExamined, content.PatientPosition = "CHEST", "HFS"
    content.RescaleIntercept, content.RescaleSlope = "-1024", "1"
    _describe_pixels(content, (512, 512, 1), allocated=16, stored=12)


def _describe_ultrasound(content: Dataset, frames: int) -> None:
    content.ImageType = ["ORIGINAL", "PRIMARY"]
    content.NumberOfFrames, content.FrameTime = str(frames), "33"
    content.FrameIncrementPointer, content.PlanarConfiguration = 0x00181063, 0
    _describe_pixels(content, FRAME, allocated=8, stored=8)


def _describe_pixels(content: Dataset, shape: tuple[int, int, int], *, allocated: int, stored: int) -> None:
    content.Rows, content.Columns, content.SamplesPerPixel = shape
    content.PhotometricInterpretation = "RGB" if shape[2] == 3 else "MONOCHROME2"
    content.BitsAllocated, content.BitsStored, content.HighBit = allocated, stored, stored - 1
    content.PixelRepresentation = 0


def _encoded(content: Dataset) -> bytes:
    buffer = DicomIO(BytesIO())
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, content)
    return buffer.parent.getvalue()
