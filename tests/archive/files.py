"""Whole instances for the archive's tests, written as the streaming writer does: dataset, header, sync."""
from __future__ import annotations

import os
from pathlib import Path

from dicomserver.archive.archive import Archive
from dicomserver.archive.writer import xxh3_64
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


def names(folder: Path) -> list[str]:
    """The sorted names in a folder; [] when it is not there."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def intake_of(archive: Archive) -> list[str]:
    """The slots that hold anything, by name."""
    return sorted(path.name for path in (Path(archive.path) / "intake").iterdir() if path.stat().st_size)
