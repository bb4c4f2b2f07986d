"""The streaming writer: from PDVs in a buffer to a Part 10 file, and what it does with everything else."""
from __future__ import annotations

import errno
import os
import random
import resource
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import pydicom
import pytest
import xxhash

from dicomserver.archive.preamble import read_header
from dicomserver.archive.stage import assume_dear_pages
from dicomserver.archive.writer import DatasetWriter, IdentityMismatch
from dicomserver.services.describe import WANTED
from dicomserver.wire import stream
from dicomserver.wire.errors import DatasetError, PduError
from dicomserver.wire.inlet import BytesInlet
from dicomserver.wire.part10 import encode_file_meta
from dicomserver.wire.scanner import DatasetScanner

SOP_CLASS, INSTANCE = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
META = encode_file_meta(SOP_CLASS, INSTANCE, "1.2.840.10008.1.2.1", source_ae="CT1", sending_ae="CT1",
                        receiving_ae="PACS", received_at="20260102030405.000006+0000")


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def dataset(pixels: int, instance: str = INSTANCE) -> bytes:
    return (element(0x00080016, b"UI", SOP_CLASS.encode()) + element(0x00080018, b"UI", instance.encode())
            + element(0x0020000D, b"UI", b"1.2.3") + element(0x0020000E, b"UI", b"1.2.3.1")
            + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, pixels) + random.Random(pixels).randbytes(pixels))


def message(data: bytes, maximum: int = 16384) -> bytes:
    """The data in P-DATA-TF PDUs, behind a command set of one byte."""
    pdus = [struct.pack(">BBIIBB", 4, 0, 7, 3, 1, 3) + b"c"]
    step = maximum - 6
    for start in range(0, len(data), step):
        piece = data[start:start + step]
        last = 2 if start + step >= len(data) else 0
        pdus.append(struct.pack(">BBIIBB", 4, 0, len(piece) + 6, len(piece) + 2, 1, last) + piece)
    return b"".join(pdus)


def opened(data: bytes, chunk: int = 1 << 20, capacity: int = 1 << 20) -> stream.PduStream:
    source = stream.PduStream(BytesInlet(capacity, data, chunk))
    source.accept([1])
    assert source.next()[0] == stream.COMMAND
    source.expect_dataset()
    return source


def receive(source, fd, *, slot=77, sop_class=SOP_CLASS, instance=INSTANCE, syncs_later=False):
    writer = DatasetWriter()
    writer.receive(source, DatasetScanner(WANTED), fd, META, sop_class.encode(), instance.encode())
    received = writer.seal(slot, 5, not syncs_later)
    if syncs_later:
        writer.sync()
    return received


@pytest.mark.parametrize("pixels", [0, 2, 1000, 70_000, 527_000, 3_000_000])
@pytest.mark.parametrize("maximum, chunk", [(16384, 1 << 20), (64, 977), (1 << 20, 1 << 18), (131072, 65536)])
def test_the_file_is_what_was_sent(slot, tmp_path, pixels, maximum, chunk):
    data = dataset(pixels)
    received = receive(opened(message(data, maximum), chunk), slot)
    whole = (tmp_path / "slot").read_bytes()
    assert whole[received.dataset_offset:] == data
    assert (received.file_length, received.checksum) == (len(whole), xxhash.xxh3_64_intdigest(data))
    preamble = read_header(slot).preamble
    assert (preamble.slot, preamble.order) == (77, 5)
    assert (preamble.file_length, preamble.checksum) == (len(whole), received.checksum)
    read = pydicom.dcmread(BytesIO(whole))
    assert (read.SOPInstanceUID, read.file_meta.SourceApplicationEntityTitle) == (INSTANCE, "CT1")


def test_messages_follow_each_other(tmp_path):
    data = dataset(500_000)
    source = opened(message(data) * 3, 50_000)
    for number in range(3):
        if number:
            assert source.next()[0] == stream.COMMAND
            source.expect_dataset()
        fd = os.open(tmp_path / f"{number}", os.O_RDWR | os.O_CREAT, 0o600)
        received = receive(source, fd)
        assert os.pread(fd, 1 << 20, received.dataset_offset) == data
        os.close(fd)


def has_no_header(fd: int) -> bool:
    return os.pread(fd, 8, 0) in (b"", b"\0" * 8)


@pytest.mark.parametrize("data, error", [
    (dataset(100_000)[:-1], DatasetError), (dataset(10, "1.2.3.5"), IdentityMismatch),
    (dataset(2_000_000, "1.2.3.5"), IdentityMismatch), (b"\0" * 3_000_000, DatasetError),
])
def test_a_refused_dataset_is_read_to_its_end_and_gets_no_header(slot, data, error):
    source = opened(message(data) + message(dataset(2)))
    with pytest.raises(error):
        receive(source, slot)
    assert has_no_header(slot)
    assert source.drain() == 0
    assert source.next()[0] == stream.COMMAND


@pytest.mark.parametrize("cut", [1, 100, 40_000, 1_200_000])
def test_a_connection_that_ends_leaves_no_header(slot, cut):
    with pytest.raises(stream.StreamEnded) as ended:
        receive(opened(message(dataset(1_500_000))[:-cut]), slot)
    assert ended.value.event == stream.CLOSED
    assert has_no_header(slot)


def test_a_broken_rule_in_the_middle_leaves_no_header(slot):
    broken = message(dataset(50_000))[:40_000] + b"\4\0\0\0\0\0"
    broken = message(dataset(16_000) + b"x" * 50_000, 16384)
    middle = broken.index(struct.pack(">BBI", 4, 0, 16384), 40)
    with pytest.raises(PduError):
        receive(opened(broken[:middle] + b"\4\0\0\0\0\0"), slot)
    assert has_no_header(slot)


@contextmanager
def full_after(octets: int) -> Iterator[None]:
    """A write goes as far as that offset and is cut short there; the next one fails."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, former)


def test_a_failed_write_is_told_after_the_dataset_was_read(slot):
    source = opened(message(dataset(3_000_000)) + message(dataset(2)))
    with full_after(1_000_000), pytest.raises(OSError):
        receive(source, slot)
    assert has_no_header(slot)
    assert source.next()[0] == stream.COMMAND


@pytest.mark.parametrize("pixels", [10_000, 1_000_000])
@pytest.mark.parametrize("octets", [64, 4096, 8192])
def test_a_write_that_is_cut_short_leaves_no_header(slot, pixels, octets):
    """As a SIGKILL does between two pages of it: a header means that all the rest is written."""
    with full_after(octets), pytest.raises(OSError):
        receive(opened(message(dataset(pixels))), slot)
    assert has_no_header(slot)


def test_a_large_file_leaves_the_reserve(slot):
    """So much is kept that there is never room; a file that fits into the stage is no danger to it."""
    assume_dear_pages(0)
    writer = DatasetWriter(1 << 60)
    with pytest.raises(OSError, match="could not be written") as full:
        writer.receive(opened(message(dataset(3_000_000))), DatasetScanner(WANTED), slot, META, SOP_CLASS.encode(),
                       INSTANCE.encode())
    assert full.value.errno == errno.ENOSPC
    writer.receive(opened(message(dataset(1_000_000))), DatasetScanner(WANTED), slot, META, SOP_CLASS.encode(),
                   INSTANCE.encode())
    assert writer.seal(1, 1).file_length > 1_000_000


@pytest.mark.parametrize("end", [0, 1_000_000], ids=["its sender comes to the end", "its sender breaks off"])
@pytest.mark.parametrize("limit, data", [
    (5_000_000, dataset(9_000_000)), (1 << 40, dataset(6_000_000) + b"\0" * 3_000_000),
], ids=["full", "malformed"])
def test_what_is_refused_in_the_middle_leaves_no_bytes(slot, limit, data, end):
    """In either case: so they went when it was refused, and not at its end."""
    sent = message(data)
    with full_after(limit), pytest.raises((OSError, DatasetError, stream.StreamEnded)):
        receive(opened(sent[:len(sent) - end]), slot)
    status = os.fstat(slot)
    assert (status.st_size, status.st_blocks) == (0, 0)


def test_only_what_was_received_can_be_sealed_and_only_once(slot):
    writer = DatasetWriter()
    with pytest.raises(RuntimeError):
        writer.seal(1, 1)
    with pytest.raises(IdentityMismatch):
        writer.receive(opened(message(dataset(10, "1.2.3.5"))), DatasetScanner(WANTED), slot, META,
                       SOP_CLASS.encode(), INSTANCE.encode())
    with pytest.raises(RuntimeError):
        writer.seal(1, 1)
    writer.receive(opened(message(dataset(10))), DatasetScanner(WANTED), slot, META, SOP_CLASS.encode(),
                   INSTANCE.encode())
    assert has_no_header(slot)
    length = writer.file_length
    assert length == writer.seal(1, 1).file_length == os.fstat(slot).st_size
    assert not has_no_header(slot)
    with pytest.raises(RuntimeError):
        writer.seal(1, 1)
    with pytest.raises(RuntimeError):
        assert writer.file_length
    with pytest.raises(RuntimeError):
        writer.sync()
    with pytest.raises(RuntimeError):
        writer.complete()


@pytest.mark.parametrize("pixels", [10, 527_000, 3_000_000])
def test_what_is_sealed_first_and_synced_later_is_the_same_file(slot, tmp_path, pixels):
    files = []
    for syncs_later in (False, True):
        os.ftruncate(slot, 0)
        received = receive(opened(message(dataset(pixels))), slot, syncs_later=syncs_later)
        files.append((tmp_path / "slot").read_bytes())
        assert files[-1][received.dataset_offset:] == dataset(pixels)
    assert files[0] == files[1]


def test_more_meta_information_than_a_page_is_not_taken(slot) -> None:
    meta = encode_file_meta(SOP_CLASS, INSTANCE, "1.2.840.10008.1.2.1") + bytes(4096)
    with pytest.raises(ValueError):
        DatasetWriter().receive(opened(message(dataset(10))), DatasetScanner(WANTED), slot, meta, SOP_CLASS.encode(),
                                INSTANCE.encode())


def test_a_file_that_is_nobodys_slot(tmp_path) -> None:
    writer, scanner = DatasetWriter(), DatasetScanner(WANTED)
    data = dataset(3_000_000)
    path = tmp_path / "x.dcm"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    writer.receive(opened(message(data)), scanner, fd, META, SOP_CLASS.encode(), INSTANCE.encode())
    writer.complete()
    os.close(fd)
    assert path.read_bytes() == bytes(128) + b"DICM" + META + data
    with pytest.raises(RuntimeError):
        writer.complete()
