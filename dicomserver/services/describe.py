"""From a scanned dataset to its index entry, the same for an instance just received and for one found in a file."""
from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache

from dicomserver.index import FLAG_INFLATION_CAPPED, FLAG_PIXEL_DATA_MISSING, FLAG_PIXEL_DATA_SHORT, Instance
from dicomserver.standard.attributes import INDEXED, Level
from dicomserver.standard.transfer_syntaxes import encoding
from dicomserver.wire.errors import DatasetError
from dicomserver.wire.meta import FileMeta
from dicomserver.wire.pixels import pixel_data_missing, pixel_data_short
from dicomserver.wire.scanner import DatasetScanner
from dicomserver.wire.wanted import Wanted

WANTED = Wanted(INDEXED)
READ_BLOCK = 1 << 16
MOST_DEPTH = 1000               # the most that a configuration may allow
MOST_INFLATED = 100_000 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanLimits:
    """sequence_depth: nested sequences; deeper ones are refused. inflated: bytes of a deflated dataset looked at."""
    sequence_depth: int = 64
    inflated: int = 1 << 26


def scanner_for(transfer_syntax_uid: str, limits: ScanLimits = ScanLimits()) -> DatasetScanner:
    """A scanner for datasets in a transfer syntax."""
    how = encoding(transfer_syntax_uid)
    return DatasetScanner(WANTED, how.explicit, how.big_endian, how.deflated, maximum_depth=limits.sequence_depth,
                          maximum_inflated=limits.inflated)


def describe(scanner: DatasetScanner, *, transfer_syntax_uid: str, slot: int, file_length: int, dataset_offset: int,
             checksum: int, received_at: int, source_ae: str, receiving_ae: str) -> Instance:
    """The index entry of the dataset that `scanner` has seen to its end. received_at: microseconds since the epoch."""
    values = scanner.values
    sop_class, sop_instance, study, series = values.uids
    flags = FLAG_INFLATION_CAPPED if scanner.inflation_capped else 0
    if pixel_data_short(scanner):
        flags |= FLAG_PIXEL_DATA_SHORT
    if pixel_data_missing(scanner):
        flags |= FLAG_PIXEL_DATA_MISSING
    return Instance(
        study_instance_uid=study, series_instance_uid=series, sop_instance_uid=sop_instance, sop_class_uid=sop_class,
        transfer_syntax_uid=transfer_syntax_uid, slot=slot, file_length=file_length, dataset_offset=dataset_offset,
        checksum=checksum, received_at=received_at, source_ae=source_ae, receiving_ae=receiving_ae,
        character_set=values.character_set, patient=values.packed(Level.PATIENT), study=values.packed(Level.STUDY),
        series=values.packed(Level.SERIES), instance=values.packed(Level.INSTANCE), flags=flags)


def describe_file(fd: int, meta: FileMeta, *, slot: int, file_length: int, checksum: int,
                  limits: ScanLimits | None = None) -> Instance:
    """The index entry of an instance in a file. Of large values only the headers are read.

    limits: for what is to be accepted now. What was once accepted is never refused here, whatever the limits for
    receiving say today. Raises DatasetError where the dataset is malformed or lacks its UIDs, OSError where the file
    cannot be read.
    """
    scanner = (scanner_for(meta.transfer_syntax_uid, limits) if limits
               else _scanner_of_files(meta, ScanLimits().inflated))
    try:
        _scan(scanner, fd, meta, file_length)
    except DatasetError:
        if limits or not scanner.inflation_capped:
            raise
        scanner = _scanner_of_files(meta, MOST_INFLATED)    # what it lacked may come behind the cap
        _scan(scanner, fd, meta, file_length)
    received = meta.received_at or received_text(int(os.fstat(fd).st_mtime * 1_000_000))
    return describe(scanner, transfer_syntax_uid=meta.transfer_syntax_uid, slot=slot, file_length=file_length,
                    dataset_offset=meta.dataset_offset, checksum=checksum, received_at=_microseconds(received),
                    source_ae=meta.source_ae, receiving_ae=meta.receiving_ae)


def element_at(fd: int, meta: FileMeta, position: int) -> int | None:
    """The tag of the element at the top of the dataset that the byte at `position` of a file of ours belongs to.

    None: it stands behind the dataset. Raises DatasetError, OSError.
    """
    scanner = _scanner_of_files(meta, ScanLimits().inflated)
    offset = meta.dataset_offset
    while offset <= position or scanner.element is None:
        # The byte itself, and then one at a time, until the header is complete that it stands in.
        piece = os.pread(fd, min(READ_BLOCK, max(1, position + 1 - offset)), offset)
        if not piece:
            return None
        scanner.feed(piece)
        offset += len(piece)
        offset += scanner.skip(max(0, position - offset))
    return scanner.element


def _scanner_of_files(meta: FileMeta, maximum_inflated: int) -> DatasetScanner:
    return scanner_for(meta.transfer_syntax_uid, ScanLimits(sequence_depth=MOST_DEPTH, inflated=maximum_inflated))


def _scan(scanner: DatasetScanner, fd: int, meta: FileMeta, file_length: int) -> None:
    offset = meta.dataset_offset
    if os.fstat(fd).st_size != file_length:
        raise DatasetError("the file does not have its length")
    # Read, not mapped: a bad sector under a map would end the process.
    while offset < file_length:
        piece = os.pread(fd, min(READ_BLOCK, file_length - offset), offset)
        if not piece:
            raise DatasetError("the file ended while it was read")
        scanner.feed(piece)
        offset += len(piece)
        offset += scanner.skip(file_length - offset)
    scanner.finish()
    scanner.values.require_identity(meta.sop_class_uid.encode("ascii"), meta.sop_instance_uid.encode("ascii"))


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
