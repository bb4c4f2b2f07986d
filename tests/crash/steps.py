"""What a server did to its data directory and said to its peers, step by step; what lint and power cuts work on."""
from __future__ import annotations

import re
from dataclasses import dataclass

INDEX = "dicom-server.db"
WAL = "dicom-server.db-wal"
_SLOT = re.compile(r"intake/[0-9a-f]{16}\Z")
_INSTANCE = re.compile(r"([0-9.]+/[0-9.]+)/[0-9.]+\.dcm\Z")
_FOLDER = re.compile(r"[0-9.]+(/[0-9.]+)?\Z")


@dataclass(slots=True)
class Step:
    """kind is one of

        create mkdir                    path came to be, as inode
        write truncate                  data at offset; offset is the new length
        sync                            of the file or folder at path (path as it was opened)
        link rename                     path -> target, both the same inode
        unlink rmdir
        commit                          the row of uid is committed, not yet durable
        ack                             a C-STORE-RSP of uid with success leaves
        nack                            one with failure
        ask answer                      a deletion or an undeletion is asked for, is said to be done
        accept                          the N-ACTION-RSP of a storage commitment leaves, with success
        report reported                 its N-EVENT-REPORT-RQ leaves, the response to it arrives
        cut                             the process was killed; the system lives on

    Paths are relative to the data directory, "" is itself; uid is the Transaction UID of a report. It took effect
    between begin and end; end is None if it never returned.
    """

    kind: str
    thread: int
    begin: int
    end: int | None
    path: str = ""
    inode: int = 0
    target: str = ""
    offset: int = 0
    data: bytes = b""
    uid: str = ""
    message: int = 0

    @property
    def over(self) -> int:
        """When it had certainly happened; never, if it did not return."""
        return self.end if self.end is not None else 1 << 62


def parent(path: str) -> str:
    """The folder that a path's name is in."""
    return path.rpartition("/")[0]


def is_slot(path: str) -> bool:
    """intake/<number>"""
    return _SLOT.match(path) is not None


def series_of(path: str) -> str | None:
    """The folder of an instance's final name; None for every other path."""
    match = _INSTANCE.match(path)
    return match[1] if match else None


def purpose(path: str) -> str:
    """What a sync of this file or folder is for."""
    if is_slot(path):
        return "slot"
    if match := _FOLDER.match(path):
        return "series" if match[1] else "study"
    if series_of(path):
        return "instance"
    if path.startswith("tombstones/"):
        return "tombstone"
    if path.startswith("trash/"):
        return "trash record" if ".json" in path else "trashed"
    if path.startswith("quarantine/"):
        return "quarantined"
    if path.startswith("commitments/"):
        return "commitment"
    return {"": "root", "intake": "intake", "tombstones": "tombstones", "trash": "trash", "quarantine": "quarantine",
            WAL: "log", INDEX: "index", "starts.new": "starts", "format.new": "format",
            "index.json.new": "index.json"}.get(path, path)
