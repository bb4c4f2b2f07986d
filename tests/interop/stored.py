"""What must be true of a stored file, whoever reads it."""
from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import validate_file_meta

HEADER = 132            # preamble and "DICM"
GROUP_LENGTH = b"\x02\0\0\0UL\x04\0"


@dataclass(frozen=True, slots=True)
class Sent:
    """One instance as it was sent; `dataset` is what came behind the file meta information."""

    study: str
    series: str
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset: bytes
    calling: str = "INTEROP"
    called: str = "ANY-SCP"
    name: str = ""

    @property
    def path(self) -> Path:
        """Where it has to be, below the data directory."""
        return Path(self.study, self.series, self.sop_instance + ".dcm")


def sent_of(path: Path, **more: str) -> Sent:
    """A Part 10 file as something to send: its UIDs from the dataset, its bytes from the file."""
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    return Sent(*(str(dataset[keyword].value) for keyword in (
        "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")),
        str(dataset.file_meta.TransferSyntaxUID), dataset_of(path), name=path.name, **more)


def dataset_of(path: Path) -> bytes:
    """The bytes behind the file meta information, found without any library."""
    data = path.read_bytes()
    assert data[128:132] == b"DICM" and data[132:140] == GROUP_LENGTH
    return data[HEADER + 12 + int.from_bytes(data[140:144], "little"):]


def check(data: Path, sent: Sent) -> None:
    """The file of `sent` below the data directory: place, permissions, meta header, bytes, and pydicom reads it."""
    path = data / sent.path
    assert stat.filemode(path.stat().st_mode) == "-rw-------"
    for folder in (path.parent, path.parent.parent):
        assert stat.filemode(folder.stat().st_mode) == "drwx------"
    assert dataset_of(path) == sent.dataset, sent.name
    read = pydicom.dcmread(path)
    meta = read.file_meta
    validate_file_meta(meta, enforce_standard=True)
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID) == (
        sent.sop_class, sent.sop_instance, sent.transfer_syntax)
    assert (meta.SourceApplicationEntityTitle, meta.SendingApplicationEntityTitle,
            meta.ReceivingApplicationEntityTitle) == (sent.calling, sent.calling, sent.called)
    assert (read.SOPClassUID, read.SOPInstanceUID) == (sent.sop_class, sent.sop_instance)


def dumps(paths: Iterable[Path]) -> list[str]:
    """What dcmdump says of the datasets of these files, one after the other; damaged ones as far as they go."""
    command = ["dcmdump", "+F", "+L", "-q", "+E", "-M", *map(str, paths)]
    output = subprocess.run(command, capture_output=True, timeout=120).stdout.decode("latin-1")
    parts = output.split("# dcmdump (")[1:]
    return [part.partition("# Dicom-Data-Set\n")[2] for part in parts]


def metas(paths: Iterable[Path]) -> list[str]:
    """What dcmdump says of their file meta information."""
    command = ["dcmdump", "+F", "-q", "+P", "0002,0000", "+P", "0002,0002", "+P", "0002,0010", "+P", "0002,0016",
               *map(str, paths)]
    return subprocess.run(command, capture_output=True, timeout=120).stdout.decode("latin-1").split("# dcmdump (")[1:]
