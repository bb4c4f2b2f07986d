"""Whole instances for the archive's tests, written as the streaming writer does: dataset, header, sync."""
from __future__ import annotations

import os
import uuid
from pathlib import Path

from dicomserver.archive.adopting import read_foreign_header
from dicomserver.archive.archive import Archive
from dicomserver.archive.checksum import xxh3_64
from dicomserver.archive.filing import Waiting
from dicomserver.archive.intake import Slot
from dicomserver.archive.preamble import LENGTH, Preamble, pack
from dicomserver.archive.tombstones import Tombstone
from dicomserver.wire.part10 import encode_file_meta

STUDY, SERIES = "1.2.3.4", "1.2.3.4.5"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT_VR_LE = "1.2.840.10008.1.2"


def instance_bytes(slot: int, sop: str, dataset: bytes, order: int = 0) -> bytes:
    """The complete file of an instance that was received in that slot."""
    meta = encode_file_meta(CT, sop, IMPLICIT_VR_LE, source_ae="SCANNER")
    offset = LENGTH + 4 + len(meta)
    return pack(Preamble(offset + len(dataset), xxh3_64(dataset), slot, offset, order=order), meta) + dataset


def write_instance(slot: Slot, sop: str, dataset: bytes) -> int:
    """Fills a taken slot, durably; returns the file's length."""
    content = instance_bytes(slot.number, sop, dataset)
    with open(slot.fd, "wb", closefd=False, buffering=0) as file:
        left = memoryview(content)
        while left:
            left = left[file.write(left):]
    os.fdatasync(slot.fd)
    return len(content)


def store(archive: Archive, sop: str, dataset: bytes = b"pixels", *, study: str = STUDY,
          series: str = SERIES) -> Waiting:
    """An acknowledged instance that waits for the mover."""
    slot = archive.take()
    length = write_instance(slot, sop, dataset)
    archive.keep(slot, length)
    return Waiting(slot.number, study, series, sop, length)


def stored(waiting: Waiting, dataset: bytes = b"pixels") -> Tombstone:
    """What the index's row would say of a stored file."""
    return Tombstone(waiting.slot, xxh3_64(dataset), waiting.study_instance_uid, waiting.series_instance_uid,
                     waiting.sop_instance_uid)


def lay_in(data: Path, sop: str, dataset: bytes = b"pixels", preamble: bytes = bytes(LENGTH)) -> str:
    """A file in imports/, as an import leaves one for the server; its name."""
    name = uuid.uuid4().hex
    (data / "imports").mkdir(exist_ok=True)
    write_foreign(data / "imports" / name, sop, dataset, preamble)
    return name


def write_foreign(path: Path, sop: str, dataset: bytes, preamble: bytes = bytes(LENGTH)) -> None:
    """A Part 10 file as others write it; not synced."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, preamble + b"DICM" + encode_file_meta(CT, sop, IMPLICIT_VR_LE, source_ae="SCANNER") + dataset)
    os.close(fd)


def adopt(archive: Archive, name: str, slot: Slot, order: int = 1) -> int:
    """All steps for that file but the last, by which slots are settled; the file's length. name: "" if it was written
    into the slot."""
    fd = archive.adopting.open(name) if name else slot.fd
    meta = read_foreign_header(fd)
    length = os.fstat(fd).st_size
    dataset = os.pread(fd, length, meta.dataset_offset)
    archive.adopting.mark(slot, fd, meta, xxh3_64(dataset), order)
    archive.adopting.seal(slot, name, fd)
    return length


def names(folder: Path) -> list[str]:
    """The sorted names in a folder; [] when it is not there."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def intake_of(archive: Archive) -> list[str]:
    """The slots that hold anything, by name."""
    return sorted(path.name for path in (Path(archive.path) / "intake").iterdir() if path.stat().st_size)
