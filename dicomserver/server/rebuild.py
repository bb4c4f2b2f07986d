"""A new index from the stored files alone."""
from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import InstanceDamaged
from dicomserver.archive.recovery import Found, Verdict
from dicomserver.index import Index, Instance, Stored, rebuild_index
from dicomserver.server.archive_index import note_index
from dicomserver.server.logs import failure_text
from dicomserver.wire.errors import WireError
from dicomserver.wire.meta import FileMeta

Progress = Callable[[int, int], None]
"""How many files were looked at, and how many there are; may raise to end the work."""


class Describe(Protocol):
    """dicomserver.services.describe.describe_file; raises a WireError where the dataset cannot be indexed."""

    def __call__(self, fd: int, meta: FileMeta, *, slot: int, file_length: int,
                 checksum: int) -> Instance: ...


@dataclass(slots=True)
class FillReport:
    """Files by what became of them."""

    indexed: int = 0
    damaged: int = 0
    foreign: int = 0
    known: int = 0      # a SOP Instance UID that another file has already


def describe_found(archive: Archive, found: Found, describe: Describe) -> Instance:
    """The index entry of a whole file. Raises InstanceDamaged."""
    if found.header is None:
        raise InstanceDamaged("it has no header")
    preamble = found.header.preamble
    fd = os.open(os.path.join(archive.path, found.name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return describe(fd, found.header.meta, slot=preamble.slot, file_length=preamble.file_length,
                        checksum=preamble.checksum)
    except WireError as error:
        raise InstanceDamaged(f"its dataset cannot be indexed: {error}") from error
    except OSError as error:
        raise InstanceDamaged(f"it cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)


def fill(index: Index, archive: Archive, describe: Describe, progress: Progress,
         log: logging.Logger) -> FillReport:
    """Adds every filed instance to `index`. Damaged files are reported and left where they are.

    Raises IndexFault, ArchiveError, OSError, and what `progress` raises.
    """
    report = FillReport()

    def known(instance: Instance, stored: Stored) -> None:
        if stored.slot != instance.slot:
            report.known += 1
            log.warning("two files have the same SOP Instance UID; the index has the first")

    report.indexed = index.add_many(_instances(archive, describe, progress, report, log), known)
    return report


def _instances(archive: Archive, describe: Describe, progress: Progress, report: FillReport,
               log: logging.Logger) -> Iterator[Instance]:
    total = archive.count_instances()
    progress(0, total)
    for looked_at, found in enumerate(archive.walk_instances(), start=1):
        try:
            if found.verdict is Verdict.WHOLE:
                yield describe_found(archive, found, describe)
            elif found.verdict is Verdict.FOREIGN:
                report.foreign += 1
            else:
                raise InstanceDamaged(found.reason)
        except InstanceDamaged as damage:
            report.damaged += 1
            # No name: it would say UIDs. At the verbose level it may.
            log.error("a damaged file is not indexed: %s", damage)
            log.debug("the damaged file is %s", found.name)
        progress(min(looked_at, total), total)


def rebuild(archive: Archive, database_url: str, describe: Describe, progress: Progress,
            log: logging.Logger) -> FillReport:
    """Builds a new index beside the one at `database_url` and puts it into its place when it is complete.

    archive: open, so that no server runs on it. What waits in the intake is indexed at the next start.
    Raises as `fill` does; the old index is then untouched.
    """
    with rebuild_index(database_url) as index:
        report = fill(index, archive, describe, progress, log)
    note_index(archive, index, log)
    log.info("index rebuilt: %d instances, %d damaged files, %d foreign files", report.indexed,
             report.damaged, report.foreign)
    return report


def fill_fresh(index: Index, archive: Archive, describe: Describe, progress: Progress,
               log: logging.Logger) -> FillReport | None:
    """At start: an index that does not know all files yet is filled from them.

    None: there was nothing to do.
    """
    if not index.is_fresh:
        return None
    try:
        report = fill(index, archive, describe, _Milestones(progress, log), log)
        index.mark_complete()
    except Exception as error:
        log.error("the index could not be filled from the files: %s", failure_text(error))
        raise
    return report


class _Milestones:
    """Passes progress on, and logs each tenth of a large archive."""

    def __init__(self, progress: Progress, log: logging.Logger) -> None:
        self._progress = progress
        self._log = log
        self._next = 0

    def __call__(self, done: int, total: int) -> None:
        self._progress(done, total)
        if total and done >= self._next:
            self._log.info("the index is filled from the files: %d of %d", done, total)
            self._next = done + max(total // 10, 1000)
