"""Which index is the archive's: the one that was last served, filled or moved to.

Recovery looks into the intake alone. On an index that was away while images came and went, all that was filed and
deleted meanwhile would be missed without a word: so the archive names its index, and no other one is served.
"""
from __future__ import annotations

import logging

from dicomserver.archive.archive import Archive
from dicomserver.archive.index_record import IndexRecord
from dicomserver.index import Index


class WrongIndex(Exception):
    """Another index knows what is in the archive; the text is one clear line."""


def check_index(archive: Archive, index: Index, *, serves: bool = True) -> None:
    """Raises WrongIndex, ArchiveDamaged, StorageFailed.

    A fresh one will do for who serves it, as it is filled from the files and is the archive's then; for others only in
    the place of the archive's own, which was lost.
    """
    record = archive.index_record()
    if not index.is_fresh or not (serves or record is None or record.place == index.place):
        check_identity(record, index.identity, index.place)


def check_identity(record: IndexRecord | None, identity: str, place: str) -> None:
    """The same of an index that is at `place`. record: the archive's. Raises WrongIndex."""
    if record is not None and record.identity != identity:
        raise WrongIndex(f"the index of this archive is {record.place}; the one at {place} does not know what came and "
                         "went since. Set databaseURL to that one; or move it here with `dicom-server index migrate`; "
                         "or make this one anew from the files with `dicom-server index rebuild`")


def is_noted(archive: Archive, index: Index) -> bool:
    """Whether the archive knows that it has this index. Raises ArchiveDamaged, StorageFailed."""
    record = archive.index_record()
    return record is not None and record.identity == index.identity


def note_index(archive: Archive, index: Index, log: logging.Logger) -> None:
    """Durably, and before anything is stored or deleted on that index. Raises ArchiveDamaged, StorageFailed."""
    former, record = archive.index_record(), IndexRecord(index.identity, index.place)
    if former == record:
        return
    archive.note_index(record)
    if former is not None and former.identity and former.place != record.place:
        log.warning("the archive had its index at %s; from now on it is the one at %s", former.place, record.place)
