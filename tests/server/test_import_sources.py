"""What lies in the folders that people import, and what it is."""
from __future__ import annotations

import errno
import os
import random
import tempfile
import zlib
from pathlib import Path

import pydicom
import pytest

from dicomserver.server.import_sources import Candidate, NotImportable, Source, open_source, walk
from dicomserver.wire.part10 import encode_file_meta
from tests.interop.synthetic import CT, EXPLICIT, instance
from tests.shipped import FOLDER

ONE = instance(1, 1)


def part10(preamble: bytes = bytes(128), source_ae: str = "", dataset: bytes = ONE.dataset) -> bytes:
    return preamble + b"DICM" + encode_file_meta(CT, ONE.sop_instance, EXPLICIT, source_ae=source_ae) + dataset


def scratch(_octets: int) -> int:
    return os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR)


def opened(path: Path | str) -> Source:
    return open_source(Candidate(str(path)), scratch)


def reason(path: Path | str) -> tuple[str, bool]:
    """Why it is not imported, and whether it is skipped; and that nothing stays open."""
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotImportable) as refused:
        opened(path)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    return str(refused.value), refused.value.is_skipped


def test_walking_finds_all_but_folders_in_order_and_follows_no_links(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a", "c/d/e"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").write_bytes(b"")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    found = [os.path.relpath(one.path, tmp_path) for one in walk([str(tmp_path / "in"), str(tmp_path / "out/secret")])]
    assert found == ["in/a", "in/b/1", "in/b/2", "in/c/d/e", "out/secret"]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"")

    def scandir(path: str):
        if path.endswith("b"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    first, second = walk([str(tmp_path)])
    assert (first.path, first.unreadable) == (str(tmp_path / "a/file"), "")
    assert (second.path, second.unreadable) == (str(tmp_path / "b"), "Input/output error")
    with pytest.raises(NotImportable, match="cannot be read: Input/output error") as refused:
        open_source(second, scratch)
    assert not refused.value.is_skipped


def test_a_file_is_what_its_header_says(tmp_path: Path) -> None:
    (tmp_path / "any name").write_bytes(part10(source_ae="OTHER_PACS"))
    source = opened(tmp_path / "any name")
    assert (source.instance.sop_instance_uid, source.instance.transfer_syntax_uid) == (ONE.sop_instance, EXPLICIT)
    assert source.dataset_length == len(ONE.dataset) and source.is_original and source.keeps_header
    assert source.source_ae() == "OTHER_PACS" and source.has_free_preamble()
    os.close(source.fd)


def test_headers_that_cannot_stay(tmp_path: Path) -> None:
    """Another one is written for them; the dataset is the same."""
    (tmp_path / "used").write_bytes(part10(preamble=b"II*\0" + bytes(124)))
    source = opened(tmp_path / "used")
    assert not source.has_free_preamble()
    os.close(source.fd)
    (tmp_path / "title").write_bytes(part10(source_ae="BACK\\SLASH"))
    source = opened(tmp_path / "title")
    assert source.source_ae() == "" and not source.keeps_header
    os.close(source.fd)
    header = part10()[:-len(ONE.dataset)]
    bare = bytes(128) + b"DICM" + b"\x02\0\x10\0UI\x14\0" + EXPLICIT.encode() + b"\0" + ONE.dataset
    (tmp_path / "bare").write_bytes(bare)
    source = opened(tmp_path / "bare")
    assert source.instance.sop_instance_uid == ONE.sop_instance and not source.keeps_header
    os.close(source.fd)
    (tmp_path / "long").write_bytes(header + b"\x02\0\x04\1OB\0\0" + (70_000).to_bytes(4, "little") + bytes(70_000)
                                    + ONE.dataset)
    source = opened(tmp_path / "long")
    assert source.dataset_length == len(ONE.dataset) and not source.keeps_header
    os.close(source.fd)


@pytest.mark.parametrize("name, why, is_skipped", [
    ("README.txt", "it is no DICOM file", True),
    ("zipMR.gz", "it is no DICOM file", True),
    ("dicomdirtests/DICOMDIR", "it is a DICOMDIR, which holds no image", True),
    ("ExplVR_LitEndNoMeta.dcm", "without the header of a DICOM file", False),
    ("ExplVR_BigEndNoMeta.dcm", "without the header of a DICOM file", False),
    ("rtstruct.dcm", "without the header of a DICOM file", False),
    ("meta_missing_tsyntax.dcm", "it has a damaged header", False),
    ("nested_priv_SQ.dcm", "it does not say which SOP class or instance it is", False),
    ("there is none", "it cannot be read: No such file", False)])
def test_files_that_pydicom_brings_along(name: str, why: str, is_skipped: bool) -> None:
    told, skipped = reason(FOLDER / name)
    assert why in told and skipped is is_skipped


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "link").symlink_to(FOLDER / "CT_small.dcm")
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path / "empty") == ("it is no DICOM file", True)
    assert reason(tmp_path / "link") == ("a symbolic link", True)
    assert reason(tmp_path / "pipe") == ("no regular file", True)


def compressed(data: bytes) -> bytes:
    """As Orthanc does it with StorageCompression."""
    return len(data).to_bytes(8, "little") + zlib.compress(data)


def test_what_orthanc_has_compressed_is_read(tmp_path: Path) -> None:
    original = (FOLDER / "CT_small.dcm").read_bytes()
    (tmp_path / "0a1b").write_bytes(compressed(original))
    source = opened(tmp_path / "0a1b")
    with open(source.fd, "rb") as file:
        assert file.read() == original
        assert not source.is_original
        dataset = pydicom.dcmread(FOLDER / "CT_small.dcm")
        assert source.instance.sop_instance_uid == dataset.SOPInstanceUID
        assert source.dataset_length == len(original) - source.meta.dataset_offset


def test_large_ones_come_in_parts(tmp_path: Path) -> None:
    large = part10(dataset=ONE.dataset[:-1000] + os.urandom(3_000_000))
    (tmp_path / "0a1b").write_bytes(compressed(large))
    source = opened(tmp_path / "0a1b")
    with open(source.fd, "rb") as file:
        assert file.read() == large


def test_other_things_that_are_compressed(tmp_path: Path) -> None:
    good = compressed(part10(dataset=ONE.dataset[:-1000] + random.Random(1).randbytes(1000)))
    for name, content, told in (
            ("summary", compressed(b'{"TransferSyntax": "1.2.840.10008.1.2.1"}' * 9), ("it is no DICOM file", True)),
            ("cut", good[:-9], ("it is compressed as Orthanc does it, and does not have its length", False)),
            ("longer", (1 << 40).to_bytes(8, "little") + good[8:],
             ("it is compressed as Orthanc does it, and does not have its length", False)),
            ("shorter", (200).to_bytes(8, "little") + good[8:],
             ("it is compressed as Orthanc does it, and does not have its length", False)),
            ("broken", good[:-30] + bytes(30), ("it is compressed as Orthanc does it, and damaged", False)),
            ("rubbish", bytes(8) + b"\x78" + os.urandom(10), ("it is no DICOM file", True))):
        (tmp_path / name).write_bytes(content)
        assert reason(tmp_path / name) == told, name


def test_no_room_for_what_is_compressed(tmp_path: Path) -> None:
    class Full(Exception):
        """Of the caller's."""

    def none(octets: int) -> int:
        raise Full(octets)

    (tmp_path / "0a1b").write_bytes((1 << 40).to_bytes(8, "little") + compressed(part10())[8:])
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Full, match=str(1 << 40)):
        open_source(Candidate(str(tmp_path / "0a1b")), none)
    assert len(os.listdir("/proc/self/fd")) == descriptors
