"""An index entry is the same whether it comes from the connection or, later, from the file."""
from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator

from dicomserver.archive.preamble import read_header
from dicomserver.index import FLAG_INFLATION_CAPPED, FLAG_PIXEL_DATA_SHORT
from dicomserver.services import describe as describe_module
from dicomserver.services.describe import (
    ScanLimits, describe, describe_file, element_at, received_text, scanner_for,
)
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.standard.uids import DEFLATED_EXPLICIT_VR_LE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.meta import FileMeta
from dicomserver.wire.part10 import decode_file_meta, encode_file_meta
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

    def add(self, entry, sync):
        self.added.append(entry)
        return self.real.add(entry, sync)


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
    scanner = scanner_for(transfer_syntax, ScanLimits(**limits))
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
    assert described(DEFLATED_EXPLICIT_VR_LE, deflated, inflated=4096).flags & FLAG_INFLATION_CAPPED


def nested(depth: int) -> bytes:
    opening = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return instance(1, 1, size=0).dataset[:-12] + depth * opening + depth * closing


def test_the_depth_of_sequences_is_limited() -> None:
    assert described(EXPLICIT_VR_LE, nested(3), sequence_depth=3).sop_class_uid == CT
    with pytest.raises(DatasetError):
        described(EXPLICIT_VR_LE, nested(4), sequence_depth=3)


def deflated(dataset: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(dataset) + squeeze.flush()


def junk() -> bytes:
    """More than is inflated of a dataset that arrives, and the UIDs are not among it."""
    return element(0x00080006, "UT", b"")[:8] + (80 << 20).to_bytes(4, "little") + bytes(80 << 20)


def stored_file(folder: Path, dataset: bytes, transfer_syntax: str = EXPLICIT_VR_LE) -> tuple[int, FileMeta, int]:
    """A file with this dataset; -> its descriptor, meta information and length."""
    one = instance(1, 1)
    head = bytes(128) + b"DICM" + encode_file_meta(one.sop_class, one.sop_instance, transfer_syntax)
    (folder / "file").write_bytes(head + dataset)
    return os.open(folder / "file", os.O_RDONLY), decode_file_meta(head), len(head) + len(dataset)


def read_again(folder: Path, dataset: bytes, transfer_syntax: str = EXPLICIT_VR_LE, cut: int = 0):
    fd, meta, length = stored_file(folder, dataset, transfer_syntax)
    try:
        os.truncate(folder / "file", length - cut)
        return describe_file(fd, meta, slot=1, file_length=length, checksum=0)
    finally:
        os.close(fd)


def test_what_was_once_accepted_is_never_refused_by_todays_limits(tmp_path: Path) -> None:
    assert read_again(tmp_path, nested(200)).sop_class_uid == CT
    late = deflated(junk() + instance(1, 1).dataset)
    assert read_again(tmp_path, late, DEFLATED_EXPLICIT_VR_LE).sop_class_uid == CT


@pytest.mark.parametrize("transfer_syntax, dataset, capped, scans", [
    (EXPLICIT_VR_LE, lambda: nested(1)[:-1], False, 1),
    (DEFLATED_EXPLICIT_VR_LE, lambda: deflated(nested(1)[:-1]), False, 1),
    (DEFLATED_EXPLICIT_VR_LE, lambda: deflated(junk()), True, 2),
], ids=["plain", "deflated", "capped"])
def test_a_broken_file_is_scanned_again_only_where_inflation_was_capped(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transfer_syntax: str,
        dataset: Callable[[], bytes], capped: bool, scans: int) -> None:
    made = []
    real = describe_module.scanner_for
    monkeypatch.setattr(describe_module, "scanner_for", lambda *how: made.append(real(*how)) or made[-1])
    with pytest.raises(DatasetError):
        read_again(tmp_path, dataset(), transfer_syntax)
    assert (made[0].inflation_capped, len(made)) == (capped, scans)


def test_large_values_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, offset: read.append(n) or real(fd, n, offset))
    assert read_again(tmp_path, instance(1, 1, size=50 << 20).dataset).sop_class_uid == CT
    assert sum(read) < 1 << 20


def test_a_file_that_has_become_shorter_is_no_instance(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        read_again(tmp_path, instance(1, 1, size=100).dataset, cut=1)


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


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "JPEG2000.dcm"])
def test_the_element_at_a_byte(name: str) -> None:
    """Wherever pydicom says that a value begins; behind the dataset there is none."""
    path, = shipped(name)
    with open(path, "rb") as file:
        meta = decode_file_meta(file.read(1 << 14))
        how = encoding(meta.transfer_syntax_uid)
        file.seek(meta.dataset_offset)
        elements = list(data_element_generator(file, not how.explicit, not how.big_endian))
        values = {raw.value_tell: raw for raw in elements if isinstance(raw, RawDataElement)}
        assert len(values) > 20
        for at, raw in values.items():
            assert element_at(file.fileno(), meta, at - 1) == raw.tag   # in its header
            assert element_at(file.fileno(), meta, at - 8) == raw.tag   # at the latest where its header begins
            if raw.length and raw.length != 0xFFFFFFFF:
                assert element_at(file.fileno(), meta, at + raw.length - 1) == raw.tag
        assert element_at(file.fileno(), meta, path.stat().st_size) is None
