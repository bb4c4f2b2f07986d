"""From a scanned dataset to its index entry, the same for an instance just received and for one found in a file."""
from __future__ import annotations

import mmap
import os
import time
from datetime import datetime, timezone
from functools import lru_cache

from dicomserver.index import FLAG_INFLATION_CAPPED, FLAG_PIXEL_DATA_SHORT, Instance
from dicomserver.standard.attributes import INDEXED, Level
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.wire.meta import FileMeta
from dicomserver.wire.pixels import pixel_data_short
from dicomserver.wire.scanner import DatasetScanner
from dicomserver.wire.wanted import Wanted

WANTED = Wanted(INDEXED)


def scanner_for(transfer_syntax_uid: str, *, maximum_depth: int = 64,
                maximum_inflated: int = 1 << 26) -> DatasetScanner:
    """A scanner for datasets in a transfer syntax."""
    how = encoding(transfer_syntax_uid)
    return DatasetScanner(WANTED, how.explicit, how.big_endian, how.deflated, maximum_depth=maximum_depth,
                          maximum_inflated=maximum_inflated)


def describe(scanner: DatasetScanner, *, transfer_syntax_uid: str, slot: int, file_length: int, dataset_offset: int,
             checksum: int, received_at: int, source_ae: str, receiving_ae: str) -> Instance:
    """The index entry of the dataset that `scanner` has seen to its end. received_at: microseconds since the epoch."""
    values = scanner.values
    sop_class, sop_instance, study, series = values.uids
    flags = FLAG_INFLATION_CAPPED if scanner.inflation_capped else 0
    if pixel_data_short(scanner):
        flags |= FLAG_PIXEL_DATA_SHORT
    return Instance(
        study_instance_uid=study, series_instance_uid=series, sop_instance_uid=sop_instance, sop_class_uid=sop_class,
        transfer_syntax_uid=transfer_syntax_uid, slot=slot, file_length=file_length, dataset_offset=dataset_offset,
        checksum=checksum, received_at=received_at, source_ae=source_ae, receiving_ae=receiving_ae,
        character_set=values.character_set, patient=values.packed(Level.PATIENT), study=values.packed(Level.STUDY),
        series=values.packed(Level.SERIES), instance=values.packed(Level.INSTANCE), flags=flags)


def describe_file(fd: int, meta: FileMeta, *, slot: int, file_length: int, checksum: int) -> Instance:
    """The index entry of an instance in a file of ours. The file is mapped, so only its element headers are read.

    Raises DatasetError where the dataset is malformed or lacks its UIDs.
    """
    scanner = scanner_for(meta.transfer_syntax_uid)
    with mmap.mmap(fd, file_length, prot=mmap.PROT_READ) as whole, memoryview(whole) as view:
        with view[meta.dataset_offset:] as dataset:
            scanner.feed(dataset)
        scanner.finish()
    scanner.values.require_identity(meta.sop_class_uid.encode("ascii"), meta.sop_instance_uid.encode("ascii"))
    received = meta.received_at or _dicom_time(os.fstat(fd).st_mtime)
    return describe(scanner, transfer_syntax_uid=meta.transfer_syntax_uid, slot=slot, file_length=file_length,
                    dataset_offset=meta.dataset_offset, checksum=checksum, received_at=_microseconds(received),
                    source_ae=meta.source_ae, receiving_ae=meta.receiving_ae)


def _dicom_time(seconds: float) -> str:
    return received_text(int(seconds * 1_000_000))


def received_text(microseconds: int) -> str:
    """Microseconds since the epoch as a DT in UTC (PS3.5 6.2), the form in which file meta information keeps it."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{fraction:06d}+0000"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    # Thousands of instances arrive in one second, and formatting it costs more than parsing their commands.
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds))


def _microseconds(text: str) -> int:
    seconds, _, fraction = text.removesuffix("+0000").partition(".")
    when = datetime.strptime(seconds, "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    return int(when.timestamp()) * 1_000_000 + int(fraction or 0)
