"""Which index knows all that is in the archive: a note beside the files, written before that index is told of more.

    <data>/index.json       {"identity": ..., "place": ...}; missing: it was never written
"""
from __future__ import annotations

import json
from typing import NamedTuple

from dicomserver.archive.durable import Folder, read_file, replace_file, status_of
from dicomserver.archive.errors import ArchiveDamaged, StorageFailed, translated

NAME = "index.json"
_LIMIT = 1 << 16


class IndexRecord(NamedTuple):
    """identity: of that index and of no other; "": it is still to be made. place: where it was when this was written,
    without secrets."""

    identity: str
    place: str


def read_record(root: Folder) -> IndexRecord | None:
    """From the data directory, also beside a server that has its lock. Raises ArchiveDamaged, StorageFailed."""
    try:
        with translated(StorageFailed, "reading which index the archive has"):
            if status_of(NAME, root) is None:
                return None
            found = json.loads(read_file(root, NAME, _LIMIT))
        return IndexRecord(str(found["identity"]), str(found["place"]))
    except (ValueError, KeyError, TypeError):
        raise ArchiveDamaged(f"{NAME} in the data directory cannot be understood. It says which index the archive has; "
                             "if you know that, remove it") from None


def write_record(root: Folder, record: IndexRecord) -> None:
    """Durable when it returns. Raises StorageFailed."""
    with translated(StorageFailed, "noting which index the archive has"):
        replace_file(root, NAME, json.dumps(record._asdict(), indent=1).encode() + b"\n")
