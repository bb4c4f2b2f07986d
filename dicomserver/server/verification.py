"""Verification on request: files are read anew, from the disk and whole, and compared with what the index says."""
from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing
from dicomserver.index import Index, Stored

REPORT_SECONDS = 0.1    # between two reports of progress


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
        self._archive = archive
        self._index = index
        self._log = log

    def verify(self, on_progress: Callable[[Verified], None], on_damaged: Callable[[str, str], None],
               **uids: str) -> Verified:
        """Of all instances, or of those that have the UIDs given (study, series, instance).

        on_progress: now and then; what it raises ends the verification. on_damaged: told the SOP Instance UID and what
        is wrong, in words. Raises IndexFault.
        """
        total = sum(1 for _ in self._index.select(**uids)) if uids else self._index.counts().instances
        so_far = Verified(total)
        on_progress(so_far)
        told = time.monotonic()
        for stored in self._index.select(**uids):
            fault = self._fault(stored)
            if fault:
                so_far.damaged += 1
                on_damaged(stored.sop_instance_uid, fault)
            so_far.instances += 1
            so_far.octets += stored.file_length
            if time.monotonic() - told >= REPORT_SECONDS:
                on_progress(so_far)
                told = time.monotonic()
        self._log.info("%d instances were verified: %d damaged or missing", so_far.instances, so_far.damaged)
        return so_far

    def _fault(self, stored: Stored) -> str:
        """What is wrong with its file, "" if nothing is, or if it was deleted meanwhile."""
        try:
            self._archive.verify(stored)
            return ""
        except InstanceMissing:
            fault = "its file is missing"
        except InstanceDamaged as damage:
            fault = str(damage)
        except OSError as error:
            fault = f"its file cannot be read: {error.strerror}"
        now = self._index.find(stored.sop_instance_uid)
        if now is None or now.slot != stored.slot or self._archive.is_being_deleted(stored.slot):
            return ""
        self._log.error("a stored instance is damaged: %s", fault)
        self._log.debug("the damaged instance is %s", stored.sop_instance_uid)
        return fault
