"""On real datasets: what is said of two instances, and where their bytes begin to differ."""
from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.preamble import LENGTH, Preamble, pack, read_header
from dicomserver.index import Instance
from dicomserver.server.differences import Difference, differences, first_difference
from dicomserver.services.describe import describe_file
from dicomserver.standard.uids import DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from dicomserver.wire.part10 import encode_file_meta
from tests.shipped import shipped


def sample() -> pydicom.Dataset:
    path, = shipped("CT_small.dcm")
    return pydicom.dcmread(path)


def written(folder: Path, dataset: pydicom.Dataset, syntax: str = EXPLICIT_VR_LE, extra: bytes = b"") -> int:
    """A descriptor of the dataset as a file of ours."""
    to = BytesIO()
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(to, dataset, implicit_vr=syntax == IMPLICIT_VR_LE, little_endian=True)
    data = to.getvalue()
    data = data[144 + int.from_bytes(data[140:144], "little"):] + extra
    head = encode_file_meta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), syntax)
    offset = LENGTH + 4 + len(head)
    slot = len(list(folder.iterdir())) + 1
    path = folder / str(slot)
    path.write_bytes(pack(Preamble(offset + len(data), xxh3_64(data), slot, offset), head) + data)
    return os.open(path, os.O_RDONLY)


def described(fd: int) -> Instance:
    header = read_header(fd)
    return describe_file(fd, header.meta, slot=header.preamble.slot, file_length=header.preamble.file_length,
                         checksum=header.preamble.checksum)


@pytest.fixture
def pair(tmp_path):
    opened = []

    def make(changed: pydicom.Dataset, syntax: str = EXPLICIT_VR_LE, extra: bytes = b"", ours: str = EXPLICIT_VR_LE):
        opened.extend((written(tmp_path, sample(), ours), written(tmp_path, changed, syntax, extra)))
        return opened[-2:]

    yield make
    for fd in opened:
        os.close(fd)


def test_nothing_differs(pair):
    one, other = pair(sample())
    assert differences(described(one), described(other)) == []
    assert first_difference(one, other) == "the datasets are equal, byte for byte"


def test_attributes_in_words(pair):
    changed = sample()
    changed.PatientName, changed.Rows = "Roe^Jane", 64
    changed.PatientComments = "x" * 500
    del changed.StudyDate
    one, other = pair(changed)
    found = {one.what: one[1:] for one in differences(described(one), described(other))}
    assert found["Patient's Name (0010,0010)"] == ("CompressedSamples^CT1", "Roe^Jane")
    assert found["Study Date (0008,0020)"] == ("20040119", "")
    assert found["Rows (0028,0010)"] == ("128", "64")
    assert all(len(text) <= 121 for pair_ in found.values() for text in pair_)
    assert first_difference(one, other).startswith("Study Date (0008,0020), byte ")


def test_another_transfer_syntax(pair):
    one, other = pair(sample(), IMPLICIT_VR_LE)
    found = differences(described(one), described(other))
    assert found[0] == Difference("Transfer Syntax", "Explicit VR Little Endian", "Implicit VR Little Endian")
    assert found[1].what == "Length of the dataset" and len(found) == 2
    assert first_difference(one, other) == "the datasets are encoded differently, so their bytes cannot be compared"


def test_another_study_and_series(pair):
    changed = sample()
    changed.StudyInstanceUID, changed.SeriesInstanceUID = "1.2", "1.3"
    found = {one.what: one[1:] for one in differences(*map(described, pair(changed)))}
    assert found["Study Instance UID"] == (sample().StudyInstanceUID, "1.2")
    assert found["Series Instance UID"] == (sample().SeriesInstanceUID, "1.3")


def test_only_pixels(pair):
    changed = sample()
    changed.PixelData = changed.PixelData[:-1] + b"\x55"
    one, other = pair(changed)
    assert differences(described(one), described(other)) == []
    first = first_difference(one, other)
    length = os.fstat(one).st_size - read_header(one).meta.dataset_offset
    with open(os.dup(one), "rb") as file:
        at = file.read().rindex(sample().PixelData) - read_header(one).meta.dataset_offset
    assert first == f"Pixel Data (7FE0,0010), byte {at + len(sample().PixelData) - 1} of the dataset"
    assert at < length


def test_a_private_element_and_one_inside_a_sequence(pair):
    changed = sample()
    changed.OtherPatientIDsSequence[1].PatientID = "changed"
    assert first_difference(*pair(changed)).startswith("Other Patient IDs Sequence (0010,1002), byte ")
    changed = sample()
    changed[0x00431029].value = b"\xff" + changed[0x00431029].value[1:]
    assert first_difference(*pair(changed)).startswith("private or unknown attribute (0043,1029), byte ")


def test_something_behind_the_end(pair):
    extra = b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0abcd"
    one, other = pair(sample(), extra=extra)
    for pair_ in ((one, other), (other, one)):
        assert first_difference(*pair_).startswith("Data Set Trailing Padding (FFFC,FFFC), byte ")


def test_deflated_bytes_say_little(pair):
    changed = sample()
    changed.PatientName = "Roe^Jane"
    one, other = pair(changed, DEFLATED_EXPLICIT_VR_LE, ours=DEFLATED_EXPLICIT_VR_LE)
    assert "which is deflated" in first_difference(one, other)
