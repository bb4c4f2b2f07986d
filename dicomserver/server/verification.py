"""Verification on request: files are read anew, from the disk and whole, and compared with what the index says."""
from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from dicomserver.archive.archive import Archive
from dicomserver.index import Index
from dicomserver.index.integrity import Finding
from dicomserver.services.inspection import Inspector

REPORT_SECONDS = 0.1    # between two reports of progress
RECORDED_AT_ONCE = 200
KNOWN_AT_MOST = 1000    # named at once


@dataclass(slots=True)
class Verified:
    """How far a verification has come. octets: of the whole files; damaged: missing ones too."""

    total: int
    instances: int = 0
    octets: int = 0
    damaged: int = 0


class Verifier:
    """On any number of threads at once; reads as fast as the disk allows, beside whatever the server does."""

    def __init__(self, archive: Archive, index: Index, log: logging.Logger) -> None:
        self._index = index
        self._inspector = Inspector(archive, index, log)
        self._log = log

    def verify(self, on_progress: Callable[[Verified], None], on_damaged: Callable[[str, str], None],
               **uids: str) -> Verified:
        """Of all instances, or of those that have the UIDs given (study, series, instance).

        on_progress: now and then, also while a long file is read; what it raises ends the verification. on_damaged:
        told the SOP Instance UID and what is wrong, in words. Raises IndexFault, OSError where this process lacks
        something.
        """
        total = sum(1 for _ in self._index.select(**uids)) if uids else self._index.counts().instances
        so_far = Verified(total)
        told = -math.inf

        def tell(_read: int) -> None:
            nonlocal told
            if time.monotonic() - told >= REPORT_SECONDS:
                on_progress(so_far)
                told = time.monotonic()
        tell(0)
        whole: list[Finding] = []
        for stored in self._index.select(**uids):
            finding = self._inspector.inspect(stored, tell)
            if finding is not None and finding.fault:
                so_far.damaged += 1
                on_damaged(stored.sop_instance_uid, finding.fault)
            elif finding is not None:
                whole.append(finding)
            so_far.instances += 1
            so_far.octets += stored.file_length
            if len(whole) >= RECORDED_AT_ONCE:
                self._record(whole)
            tell(0)
        self._record(whole)
        self._log.info("%d instances were verified: %d damaged or missing", so_far.instances, so_far.damaged)
        return so_far

    def known(self) -> list[tuple[str, str]]:
        """What is known to be damaged, without reading: SOP Instance UIDs and what is wrong. Raises IndexFault."""
        return self._index.integrity.faults(KNOWN_AT_MOST)

    def _record(self, whole: list[Finding]) -> None:
        self._index.integrity.record(whole)
        self._index.checkpoint()
        whole.clear()
