"""An index entry is the same whether it comes from the connection or, later, from the file."""
from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pydicom
import pytest

from dicomserver.archive.preamble import read_header
from dicomserver.index import FLAG_INFLATION_CAPPED, FLAG_PIXEL_DATA_SHORT
from dicomserver.services.describe import describe, describe_file, received_text, scanner_for
from dicomserver.standard.uids import DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from dicomserver.wire.errors import DatasetError
from tests.interop.sender import Sender
from tests.interop.stored import sent_of
from tests.interop.synthetic import CT, element, instance
from tests.shipped import shipped

FILES = ("CT_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "rtplan.dcm", "SC_rgb_rle.dcm", "JPEG2000.dcm",
         "test-SR.dcm")


class Remembering:
    """An index that keeps what it was given."""

    def __init__(self, real: object) -> None:
        self.real, self.added = real, []

    def add(self, entry):
        self.added.append(entry)
        return self.real.add(entry)


@pytest.mark.parametrize("name", FILES)
def test_received_and_read_again(name: str, provider) -> None:
    sent = sent_of(*shipped(name))
    provider.index = Remembering(provider.index)
    with Sender(provider.port, [(sent.sop_class, [sent.transfer_syntax])]) as association:
        assert association.store(1, sent.sop_class, sent.sop_instance, sent.dataset).status == 0
    (received,) = provider.index.added
    provider.index = provider.index.real
    (path,) = [path for path in Path(provider.archive.path, "intake").iterdir() if path.stat().st_size]
    fd = os.open(path, os.O_RDONLY)
    try:
        header = read_header(fd)
        read = describe_file(fd, header.meta, slot=header.preamble.slot, file_length=header.preamble.file_length,
                             checksum=header.preamble.checksum)
    finally:
        os.close(fd)
    assert read == received
    dataset = pydicom.dcmread(path)
    assert (read.study_instance_uid, read.series_instance_uid, read.sop_instance_uid, read.sop_class_uid) == (
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID, dataset.SOPClassUID)
    assert (read.source_ae, read.receiving_ae) == ("INTEROP", "ANY-SCP")


def described(transfer_syntax: str, dataset: bytes, **limits: int):
    scanner = scanner_for(transfer_syntax, **limits)
    scanner.feed(dataset)
    scanner.finish()
    return describe(scanner, transfer_syntax_uid=transfer_syntax, slot=1, file_length=1, dataset_offset=0, checksum=0,
                    received_at=0, source_ae="", receiving_ae="")


def test_the_flags() -> None:
    one = instance(1, 1, size=100).dataset
    geometry = b"".join(element(tag, "US", value.to_bytes(2, "little")) for tag, value in (
        (0x00280002, 1), (0x00280010, 10), (0x00280011, 10), (0x00280100, 8)))
    at = one.index(b"\xe0\x7f\x10\x00")
    enough, short = one[:at] + geometry + one[at:], one[:at] + geometry.replace(b"\x0a\0", b"\x0b\0") + one[at:]
    assert described(EXPLICIT_VR_LE, enough).flags == 0
    assert described(EXPLICIT_VR_LE, short).flags == FLAG_PIXEL_DATA_SHORT
    deflated = sent_of(*shipped("image_dfl.dcm")).dataset
    assert described(DEFLATED_EXPLICIT_VR_LE, deflated).flags == 0
    assert described(DEFLATED_EXPLICIT_VR_LE, deflated, maximum_inflated=4096).flags & FLAG_INFLATION_CAPPED


def test_the_depth_of_sequences_is_limited() -> None:
    def nested(depth: int) -> bytes:
        opening = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        closing = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        return instance(1, 1, size=0).dataset[:-12] + depth * opening + depth * closing
    assert described(EXPLICIT_VR_LE, nested(3), maximum_depth=3).sop_class_uid == CT
    with pytest.raises(DatasetError):
        described(EXPLICIT_VR_LE, nested(4), maximum_depth=3)


@pytest.mark.parametrize("microseconds", [0, 1, 1_709_210_096_000_000, 1_709_210_096_999_999])
def test_the_time_of_reception_in_dicoms_form(microseconds: int) -> None:
    text = received_text(microseconds)
    when = datetime.strptime(text, "%Y%m%d%H%M%S.%f%z")
    assert when == datetime.fromtimestamp(microseconds // 1_000_000, timezone.utc).replace(
        microsecond=microseconds % 1_000_000)
    assert len(text) == 26 and text.endswith("+0000")


def test_implicit_vr_is_read_with_the_dictionary() -> None:
    sent = sent_of(*shipped("rtplan.dcm"))
    assert sent.transfer_syntax == IMPLICIT_VR_LE
    assert described(IMPLICIT_VR_LE, sent.dataset).study_instance_uid == sent.study
