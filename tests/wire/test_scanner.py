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
from pydicom.filereader import data_element_generator
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


IDENTITY = [b"1.2.840.10008.5.1.4.1.1.2", b"1.2.3.4"]
ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("piece", [1, 2, 7, 1 << 20])
def test_every_encoding_gives_the_same_values_at_any_cut(encoding, piece):
    scanner = scan(encode(sample(), encoding), encoding, piece)
    assert [v.rstrip(b"\0") for v in scanner.values.identity] == [*IDENTITY, b"1.2.3", b"1.2.3.1"]
    assert scanner.values.uids == ("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.3", "1.2.3.1")
    assert scanner.values.character_set == b"ISO_IR 100"
    kept = {(e.sequence, e.tag, e.item): (e.vr, e.value)
            for level in range(4) for e in unpack(scanner.values.packed(level))}
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
    wanted = [dataset.get(uid) for uid in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")]
    assert [None if v is None else v.rstrip(b"\0 ").decode() for v in scanner.values.identity] == wanted
    for level in range(4):
        for kept in unpack(scanner.values.packed(level)):
            if kept.sequence == 0:
                assert kept.tag in dataset
                raw = dataset.get_item(kept.tag)
                if isinstance(getattr(raw, "value", None), bytes) and raw.value and encoding != "big endian":
                    assert kept.value == raw.value[:1024]


GOOD = encode(sample(), "explicit")

MALFORMED = {
    "an element header cut": GOOD + b"\x08\x10\x10",
    "a value cut": GOOD + element(0x7FDF0010, b"LO", b"abcd")[:-1],
    "a sequence never closed": GOOD + sequence_header(0x7FDF1010) + ITEM + element(0x00100010, b"PN", b"A"),
    "an item never closed": GOOD + sequence_header(0x7FDF1010) + ITEM + SEQUENCE_END,
    "a child longer than its item": GOOD + sequence_header(0x7FDF1010, 16) + b"\xfe\xff\x00\xe0\x08\0\0\0"
                                    + element(0x00100010, b"PN", b"ABCDEFGH"),
    "an item longer than its sequence": GOOD + sequence_header(0x7FDF1010, 8) + b"\xfe\xff\x00\xe0\x09\0\0\0"
                                        + b"x" * 9,
    "a header beyond its sequence": GOOD + sequence_header(0x7FDF1010, 4) + ITEM + ITEM_END,
    "an element where an item must be": GOOD + sequence_header(0x7FDF1010) + element(0x00100010, b"PN", b"AB"),
    "an item outside a sequence": GOOD + ITEM,
    "a stray item delimitation": GOOD + ITEM_END,
    "a stray sequence delimitation": GOOD + SEQUENCE_END,
    "an item delimitation with a length": GOOD + sequence_header(0x7FDF1010) + ITEM + b"\xfe\xff\x0d\xe0\2\0\0\0ab",
    "length FFFFFFFE": GOOD + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 0xFFFFFFFE) + b"\0" * 64,
    "text of undefined length": GOOD + struct.pack("<HH2sHI", 0x7FDF, 0x10, b"UT", 0, 0xFFFFFFFF) + SEQUENCE_END,
    "a fragment of undefined length": GOOD + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + ITEM,
    "group 0000": element(0x00000900, b"US", b"\0\0") + GOOD,
    "group 0002": element(0x00020010, b"UI", b"1.2") + GOOD,
    "group 0002 within an item": GOOD + sequence_header(0x7FDF1010) + ITEM + element(0x00020010, b"UI", b"1.2 ")
                                 + ITEM_END + SEQUENCE_END,
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_a_malformed_dataset_is_seen(case, piece):
    with pytest.raises(DatasetError):
        scan(MALFORMED[case], piece=piece)


def test_what_is_only_strange_passes():
    strange = (element(0x00081030, b"LO", b"odd") + GOOD + element(0x00280010, b"XX", b"ab")
               + element(0x00100020, b"LO", b"x" * 3) + struct.pack("<HH2sHI", 0x7FDF, 0x20, b"QQ", 0, 5) + b"12345"
               + struct.pack("<HHI", 0x7FDF, 0x21, 4) + b"impl")
    assert scan(strange).values.identity[1].rstrip(b"\0") == b"1.2.3.4"


LOOK_LIKE_VRS = [first | second << 8 for first in range(0x41, 0x5B) for second in range(0x41, 0x5B)]


@pytest.mark.parametrize("order, encoding", [("<", "explicit"), (">", "big endian")])
def test_the_length_of_an_item_is_not_taken_for_a_vr(order, encoding):
    """(FFFE,E000) has no VR; 0x4241 bytes are "AB" where other elements have theirs."""
    item = struct.pack(f"{order}HHI", 0xFFFE, 0xE000, 0)[:4]
    end = struct.pack(f"{order}HHI", 0xFFFE, 0xE0DD, 0)
    good = encode(sample(), encoding)
    filler = bytes(0x15A5B)
    for length in LOOK_LIKE_VRS + [0x1424F, 0x14E55]:
        sent = struct.pack(f"{order}I", length) if order == "<" else length.to_bytes(4, "little")
        length = int.from_bytes(sent, "little" if order == "<" else "big")
        if length > len(filler):
            continue
        pixels = struct.pack(f"{order}HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF)
        assert scan(good + pixels + item + sent + filler[:length] + end, encoding).values.uids[1] == "1.2.3.4"
    for length in LOOK_LIKE_VRS[:40]:
        inner = struct.pack(f"{order}HH2sHI", 0x7FDF, 0x1020, b"OB", 0, length - 12) + filler[:length - 12]
        sequence = struct.pack(f"{order}HH2sHI", 0x7FDF, 0x1010, b"SQ", 0, 0xFFFFFFFF)
        scan(good + sequence + item + struct.pack(f"{order}I", length) + inner + end, encoding)


def test_what_nobody_needs_can_be_left_out():
    data = encode(sample(), "explicit") + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 1 << 20) + bytes(1 << 20)
    scanner, at, fed = DatasetScanner(WANTED), 0, 0
    while at < len(data):
        piece = data[at:at + 100]
        scanner.feed(piece)
        fed += len(piece)
        at += len(piece)
        at += scanner.skip(len(data) - at)
    scanner.finish()
    whole = scan(data).values
    assert scanner.values.uids == whole.uids and scanner.values.pixel_length == 1 << 20
    assert [scanner.values.packed(level) for level in range(4)] == [whole.packed(level) for level in range(4)]
    assert fed < len(data) - (1 << 20) + 200
    assert DatasetScanner(WANTED).skip(10) == 0


def test_a_value_that_the_cap_cuts_is_not_kept():
    """Half a record would make the whole blob unreadable."""
    comment = element(0x00104000, b"LT", b"c" * 500)
    data = encode(sample(), "explicit")
    for cap in (len(data) + 8, len(data) + 9, len(data) + 507):
        scanner = scan(deflate(data + comment), "deflated", maximum_inflated=cap)
        assert scanner.inflation_capped
        kept = [e for level in range(4) for e in unpack(scanner.values.packed(level))]
        assert 0x00104000 not in [e.tag for e in kept] and 0x00100010 in [e.tag for e in kept]
    half = element(0x0020000D, b"UI", b"1.2.3.4.5.6.7.8 ")
    assert scan(deflate(half), "deflated", maximum_inflated=12).values.identity[2] is None


def nested(depth: int) -> bytes:
    return (GOOD + (sequence_header(0x7FDF1010) + ITEM) * depth + (ITEM_END + SEQUENCE_END) * depth)


def test_the_depth_of_sequences_is_limited_to_the_level():
    scan(nested(64))
    with pytest.raises(DatasetError):
        scan(nested(65))
    scan(nested(3), maximum_depth=3)
    with pytest.raises(DatasetError):
        scan(nested(4), maximum_depth=3)


def test_a_hundred_thousand_levels_cost_no_memory():
    with pytest.raises(DatasetError, match="nested too deeply"):
        scan((sequence_header(0x7FDF1010) + ITEM) * 100_000)


def test_un_of_undefined_length_is_implicit_little_endian():
    inner = struct.pack("<HHI", 0x0010, 0x0010, 4) + b"A^B "
    unknown = struct.pack(">HH2sHI", 0x7FDF, 0x10, b"UN", 0, 0xFFFFFFFF) + ITEM + inner + ITEM_END + SEQUENCE_END
    assert scan(encode(sample(), "big endian") + unknown, "big endian", 3).values.uids[1] == "1.2.3.4"


def deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


def test_inflation_is_capped_and_what_came_before_is_kept():
    bomb = deflate(GOOD + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, 1 << 28) + b"\0" * (1 << 24))
    scanner = scan(bomb, "deflated", maximum_inflated=1 << 22)
    assert scanner.inflation_capped
    assert scanner.values.identity[1].rstrip(b"\0") == b"1.2.3.4"
    exactly = deflate(GOOD)
    assert not scan(exactly, "deflated", maximum_inflated=len(GOOD)).inflation_capped
    assert scan(exactly, "deflated", maximum_inflated=len(GOOD) - 1).inflation_capped


@pytest.mark.parametrize("data", [deflate(GOOD)[:-3], b"not deflated at all", deflate(GOOD[:-1]), b""])
def test_deflated_data_that_is_broken_is_seen(data):
    with pytest.raises(DatasetError):
        scan(data, "deflated")


def test_a_kept_value_is_cut_at_the_limit_and_a_level_at_its_own():
    scanner = scan(GOOD + element(0x00324000, b"LT", b"x" * 5000), maximum_value=1024)
    (comment,) = [e for e in unpack(scanner.values.packed(1)) if e.tag == 0x00324000]
    assert comment.value == b"x" * 1024
    item = ITEM + element(0x00400009, b"SH", b"S" * 16) + ITEM_END
    many = sequence_header(0x00400275) + item * 20_000 + SEQUENCE_END
    assert len(scan(GOOD + many).values.packed(2)) <= 65536


def without(tag: int) -> bytes:
    dataset = sample()
    del dataset[tag]
    return encode(dataset, "explicit")


@pytest.mark.parametrize("data, problem", [
    (without(0x00080016), "SOP Class UID is missing"), (without(0x00080018), "SOP Instance UID is missing"),
    (without(0x0020000D), "Study Instance UID is missing"), (without(0x0020000E), "Series Instance UID is missing"),
    (GOOD + element(0x0020000D, b"UI", b"1.9\0"), "twice"),
    (GOOD.replace(b"1.2.3\0", b"../..\0"), "Study Instance UID is missing or no UID"),
    (GOOD.replace(b"1.2.3\0", b"1..23\0"), "Study Instance UID is missing or no UID"),
    (without(0x0020000E) + element(0x0020000E, b"UI", b"1" * 65), "Series Instance UID is missing or no UID"),
])
def test_an_identity_that_is_not_whole_is_seen(data, problem):
    with pytest.raises(DatasetError, match=problem):
        scan(data).values.require_identity(*IDENTITY)


def test_an_identity_must_be_the_announced_one():
    values = scan(GOOD).values
    values.require_identity(*IDENTITY)
    with pytest.raises(DatasetError, match="SOP Class UID differs"):
        values.require_identity(b"1.2", IDENTITY[1])
    with pytest.raises(DatasetError, match="SOP Instance UID differs"):
        values.require_identity(IDENTITY[0], b"1.2.3.40")
    longest = without(0x0020000E) + element(0x0020000E, b"UI", b"1" * 64)
    scan(longest).values.require_identity(*IDENTITY)


def test_a_scanner_forgets_the_dataset_before():
    scanner = DatasetScanner(WANTED)
    with pytest.raises(DatasetError):
        scanner.feed(MALFORMED["group 0000"])
    with pytest.raises(DatasetError):
        scanner.feed(b"more")
    scanner.reset()
    scanner.feed(GOOD)
    scanner.finish()
    once = [scanner.values.packed(level) for level in range(4)]
    scanner.reset()
    scanner.feed(GOOD)
    scanner.finish()
    assert [scanner.values.packed(level) for level in range(4)] == once


@pytest.mark.parametrize("encoding", ["implicit", "explicit", "big endian"])
def test_the_element_that_the_last_byte_stands_in(encoding: str) -> None:
    """Byte by byte: pydicom says where each element's header ends."""
    data = encode(sample(), encoding)
    explicit, big, _ = ENCODINGS[encoding]
    places = [(int(element.tag), getattr(element, "value_tell", None))
              for element in data_element_generator(BytesIO(data), not explicit, not big)]
    scanner = DatasetScanner(WANTED, *ENCODINGS[encoding])
    first_seen = {}
    for at in range(len(data)):
        scanner.feed(data[at:at + 1])
        if scanner.element is not None:
            first_seen.setdefault(scanner.element, at)
    scanner.finish()
    assert list(first_seen) == [tag for tag, _ in places]
    assert [at for tag, at in first_seen.items() if dict(places)[tag] is not None] == [
        value - 1 for _, value in places if value is not None]
