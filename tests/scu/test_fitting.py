"""Instances that a peer does not take as they are."""
from __future__ import annotations

import io
import os
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from dicomserver.scu.delivery import Delivery
from dicomserver.scu.fitting import fitting
from dicomserver.scu.part10_files import read_file
from dicomserver.scu.store import ContextRefused
from tests.scu.scp import instance, write
from tests.shipped import FOLDER

MPEG2 = "1.2.840.10008.1.2.4.100"
EXPLICIT, IMPLICIT = str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)


def read(syntax: str, dataset: bytes) -> pydicom.Dataset:
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    found = pydicom.dcmread(io.BytesIO(dataset), force=True) if syntax == IMPLICIT else pydicom.filereader.read_dataset(
        io.BytesIO(dataset), is_implicit_VR=False, is_little_endian=True)
    found.file_meta = meta
    return found


def test_what_is_taken_is_sent_as_it_is(tmp_path) -> None:
    file = read_file(write(tmp_path / "x.dcm", instance()))
    with file.opened() as (fd, offset, length):
        with fitting(file.instance, fd, offset, length, [IMPLICIT, EXPLICIT]) as sent:
            assert sent == (file.instance, fd, offset, length)


def test_what_cannot_be_had_without_loss_is_refused(tmp_path) -> None:
    file = read_file(write(tmp_path / "x.dcm", instance(transfer_syntax=UID(MPEG2))))
    with file.opened() as (fd, offset, length):
        with pytest.raises(ContextRefused) as refused, fitting(file.instance, fd, offset, length, [IMPLICIT]):
            raise AssertionError("it was sent")
    assert refused.value.taken == (IMPLICIT,)


def open_files() -> set[str]:
    """What the descriptors of this process, whoever has them, point to."""
    links = Path("/proc/self/fd").iterdir()
    return {os.readlink(link) for link in links if link.is_symlink()}


def test_no_file_is_left(tmp_path) -> None:
    file = read_file(write(tmp_path / "x.dcm", instance()))
    with file.opened() as (fd, offset, length):
        with fitting(file.instance, fd, offset, length, [IMPLICIT]) as (sent, scratch, begin, size):
            assert sent.transfer_syntax_uid == IMPLICIT and begin == 0
            dataset = os.pread(scratch, size, 0)
            its_own = os.readlink(f"/proc/self/fd/{scratch}")
            assert its_own.endswith(" (deleted)") and its_own in open_files()
    assert its_own not in open_files()
    assert read(IMPLICIT, dataset).PatientName == "DOE^JOHN"


@pytest.mark.parametrize("name, plain, taken", [
    ("MR_small.dcm", "MR_small.dcm", IMPLICIT), ("MR_small_RLE.dcm", "MR_small.dcm", IMPLICIT),
    ("MR_small_RLE.dcm", "MR_small.dcm", EXPLICIT), ("MR_small_jp2klossless.dcm", "MR_small.dcm", EXPLICIT)])
def test_the_peer_gets_the_same_pixels(scp, name: str, plain: str, taken: str) -> None:
    original = pydicom.dcmread(FOLDER / plain)
    file = read_file(str(FOLDER / name))
    assert file.instance.transfer_syntax_uid in (EXPLICIT, str(RLELossless), str(JPEG2000Lossless))
    server = scp(storage={original.SOPClassUID: [taken]})
    outcome, = Delivery(server.peer, [file]).outcomes()
    assert outcome.failure == ""
    syntax, dataset = server.stored[file.instance.sop_instance_uid]
    assert syntax == taken
    found = read(syntax, dataset)
    assert (found.pixel_array == original.pixel_array).all() and found.PatientID == original.PatientID
