"""Is a stored instance whole? Its file is read anew, and what comes out is kept in the index."""
from __future__ import annotations

import errno
import logging
from collections.abc import Callable

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import InstanceDamaged, InstanceMissing
from dicomserver.index import Index, IndexFault, Stored
from dicomserver.index.integrity import Finding

_NOT_THE_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)     # they say nothing of it


def _read(_octets: int) -> None:
    """At full speed."""


class Inspector:
    """On any number of threads at once. A damaged file stays where it is: it is evidence, and may be all there is."""

    def __init__(self, archive: Archive, index: Index, log: logging.Logger) -> None:
        self._archive = archive
        self._index = index
        self._log = log

    def inspect(self, stored: Stored, on_read: Callable[[int], None] = _read) -> Finding | None:
        """Reads it to its end; None: it was deleted meanwhile.

        A fault is logged, and in the index when this returns; a finding without one is the caller's to record. on_read:
        see Archive.digest. Raises IndexFault, OSError where this process lacks something, and what on_read raises.
        """
        kept = self._index.integrity.sha256(stored)
        fault, sha256 = "", None
        try:
            sha256 = self._archive.digest(stored, on_read)
        except InstanceMissing:
            fault = "its file is missing"
        except InstanceDamaged as damage:
            fault = str(damage)
        except OSError as error:
            if error.errno in _NOT_THE_FILES:
                raise
            fault = f"its file cannot be read: {error.strerror}"
        if kept is not None and sha256 is not None and kept != sha256:
            fault, sha256 = "its SHA-256 is not what it was when it was read first", None
        finding = Finding(stored, sha256, fault)
        return self._reported(finding) if fault else finding

    def suspect(self, stored: Stored) -> None:
        """It could not be handed out: if it is damaged, that is logged and in the index now. Raises nothing."""
        try:
            self.inspect(stored)
        except IndexFault as error:
            self._log.error("a stored instance cannot be marked as damaged: %s", error)
        except OSError as error:
            self._log.error("a stored instance cannot be read anew: %s", error.strerror)

    def _reported(self, finding: Finding) -> Finding | None:
        stored = finding.stored
        if self._archive.is_being_deleted(stored.slot) or not self._index.integrity.record([finding])[0]:
            return None
        self._log.error("a stored instance is damaged: %s", finding.fault)
        self._log.debug("the damaged instance is %s", stored.sop_instance_uid)
        return finding
