"""The dataset scanner against pydicom, over pydicom's own test files and over datasets that break its rules."""
from __future__ import annotations

import struct
import zlib
from collections import namedtuple
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings, strategies as st
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicomserver.standard.attributes import INDEXED
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.packed import unpack
from dicomserver.wire.scanner import DatasetScanner
from dicomserver.wire.wanted import Wanted

WANTED = Wanted(INDEXED)
ENCODINGS = {"implicit": (False, False, False), "explicit": (True, False, False), "big endian": (True, True, False),
             "deflated": (True, False, True)}


def scan(data: bytes, encoding: str = "explicit", piece: int = 1 << 20, **limits) -> DatasetScanner:
    scanner = DatasetScanner(WANTED, *ENCODINGS[encoding], **limits)
    for start in range(0, len(data), piece):
        scanner.feed(data[start:start + piece])
    scanner.finish()
    return scanner


def encode(dataset: Dataset, encoding: str) -> bytes:
    explicit, big, deflated = ENCODINGS[encoding]
    to = DicomBytesIO()
    to.is_implicit_VR, to.is_little_endian = not explicit, not big
    write_dataset(to, dataset)
    data = to.getvalue()
    if deflated:
        squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = squeeze.compress(data) + squeeze.flush()
    return data


def sample() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    dataset.PatientName, dataset.PatientID = "Müller^Ann", "P1"
    dataset.StudyDate, dataset.Modality = "20260101", "CT"
    dataset.Rows, dataset.Columns = 258, 3
    request = Dataset()
    request.ScheduledProcedureStepID, request.RequestedProcedureID = "SPS1", "RP1"
    second = Dataset()
    second.ScheduledProcedureStepID = "SPS2"
    dataset.RequestAttributesSequence = Sequence([request, second])
    return dataset


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def sequence_header(tag: int, length: int = 0xFFFFFFFF) -> bytes:
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, length)


ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("piece", [1, 2, 7, 1 << 20])
def test_every_encoding_gives_the_same_values_at_any_cut(encoding, piece):
    scanner = scan(encode(sample(), encoding), encoding, piece)
    assert [v.rstrip(b"\0") for v in scanner.identity] == [b"1.2.840.10008.5.1.4.1.1.2", b"1.2.3.4", b"1.2.3", b"1.2.3.1"]
    assert scanner.character_set == b"ISO_IR 100"
    kept = {(e.sequence, e.tag, e.item): (e.vr, e.value) for level in range(4) for e in unpack(scanner.packed(level))}
    assert kept[0, 0x00100010, 0] == ("PN", "Müller^Ann".encode("latin-1"))
    assert kept[0, 0x00080020, 0] == ("DA", b"20260101")
    assert kept[0, 0x00280010, 0] == ("US", b"\x02\x01"), "numbers are kept little endian"
    assert kept[0x00400275, 0x00400009, 0] == ("SH", b"SPS1")
    assert kept[0x00400275, 0x00401001, 0] == ("SH", b"RP1 ")
    assert kept[0x00400275, 0x00400009, 1] == ("SH", b"SPS2")


def pydicom_files() -> list[str]:
    """The files inside the package; its data module would look for more of them on the network."""
    names = []
    for name in sorted(map(str, (Path(pydicom.__file__).parent / "data" / "test_files").glob("**/*.dcm"))):
        try:
            meta = pydicom.dcmread(name, specific_tags=["SOPInstanceUID"], stop_before_pixels=True)
            if meta.file_meta.TransferSyntaxUID and meta.get("SOPInstanceUID"):
                names.append(name)
        except Exception:       # not a Part 10 file, on purpose: pydicom ships some
            continue
    return names


FILES = pydicom_files()
# Datasets that pydicom ships because they are broken; each must be told from a good one.
BROKEN = {"rtplan_truncated.dcm", "MR_truncated.dcm", "SC_rgb_jpeg_lossy_gdcm_truncated.dcm"}


def test_there_are_files_to_try():
    # pydicom 3.0 ships so many Part 10 files with a SOP Instance UID; fewer means that the test lost some.
    assert len(FILES) == 68


@pytest.mark.parametrize("name", FILES, ids=lambda n: n.rsplit("/", 1)[-1])
def test_a_file_of_pydicom(name):
    whole = open(name, "rb").read()
    dataset = pydicom.dcmread(BytesIO(whole))
    syntax = dataset.file_meta.TransferSyntaxUID
    encoding = {ImplicitVRLittleEndian: "implicit", ExplicitVRBigEndian: "big endian",
                DeflatedExplicitVRLittleEndian: "deflated"}.get(syntax, "explicit")
    start = 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength
    if name.rsplit("/", 1)[-1] in BROKEN:
        with pytest.raises(DatasetError):
            scan(whole[start:], encoding)
        return
    try:
        scanner = scan(whole[start:], encoding, 4099)
    except DatasetError as error:
        pytest.fail(f"{error}")
    wanted = (dataset.get("SOPClassUID"), dataset.SOPInstanceUID, dataset.get("StudyInstanceUID"), dataset.get("SeriesInstanceUID"))
    assert [None if v is None else v.rstrip(b"\0 ").decode() for v in scanner.identity] == list(wanted)
    for level in range(4):
        for kept in unpack(scanner.packed(level)):
            if kept.sequence == 0:
                assert kept.tag in dataset
                raw = dataset.get_item(kept.tag)
                if isinstance(getattr(raw, "value", None), bytes) and raw.value and encoding != "big endian":
                    assert kept.value == raw.value[:1024]
