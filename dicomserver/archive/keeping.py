"""Studies that no retention rule may delete: a list beside the index, which outlives it.

    <data>/kept.json        a list of Study Instance UIDs; missing: none is kept
"""
from __future__ import annotations

import json
import threading

from dicomserver.archive.durable import Folder, read_file, replace_file
from dicomserver.archive.errors import ArchiveDamaged, KeepingFailed, translated
from dicomserver.archive.layout import checked_uid
from dicomserver.standard.uids import is_valid_uid

_NAME = "kept.json"
_NO_LIMIT = 1 << 62


class KeptStudies:
    """Thread-safe."""

    def __init__(self, root: Folder) -> None:
        """Raises ArchiveDamaged: without the list nobody may say that a study is not in it."""
        self._root = root
        self._lock = threading.Lock()
        self.read()

    def read(self) -> None:
        """Reads it anew, as another process may have changed it. Raises ArchiveDamaged."""
        with self._lock:
            self._uids = frozenset(self._read())

    def __contains__(self, study_instance_uid: str) -> bool:
        return study_instance_uid in self._uids

    def all(self) -> list[str]:
        """In the order of their UIDs."""
        return sorted(self._uids)

    def set(self, study_instance_uid: str, keep: bool) -> bool:
        """Durable when it returns; -> whether that was new. Raises KeepingFailed, InvalidUid."""
        change = {checked_uid(study_instance_uid)}
        with self._lock:
            uids = self._uids | change if keep else self._uids - change
            if uids == self._uids:
                return False
            with translated(KeepingFailed, "writing the list of studies to keep"):
                replace_file(self._root, _NAME, json.dumps(sorted(uids), indent=1).encode() + b"\n")
            self._uids = uids
            return True

    def _read(self) -> list[str]:
        try:
            uids = json.loads(read_file(self._root, _NAME, _NO_LIMIT))
        except FileNotFoundError:
            return []
        except ValueError:
            uids = None
        if not isinstance(uids, list) or not all(isinstance(uid, str) and is_valid_uid(uid) for uid in uids):
            raise ArchiveDamaged(f"{_NAME} in the data directory cannot be understood")
        return uids
