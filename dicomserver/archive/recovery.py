"""What an earlier process left in intake/: which slots hold an instance, which do not, which are damaged."""
from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache

from dicomserver.archive.durable import OPEN_FILE, Folder, unlink_if_there
from dicomserver.archive.errors import InstanceDamaged, NoPreamble, RecoveryFailed, translated, unreadable_is_damaged
from dicomserver.archive.layout import DataDirectory, intake_path, node_of, slot_number, start_of
from dicomserver.archive.preamble import LENGTH, Header, check_whole, read_header, unpack
from dicomserver.archive.tombstones import Tombstones

RowsOf = Callable[[Collection[int]], Mapping[int, str]]
"""Which of these slots the index has rows of, with their SOP Instance UIDs."""


class Verdict(Enum):
    """What a file turned out to be."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    REMOVED = "never acknowledged, removed"
    FOREIGN = "not of this server"


@dataclass(slots=True, frozen=True)
class Found:
    """A file that was found. `header` is there when WHOLE, else maybe; `reason` says why it is not whole.

    `name` is relative to the data directory and carries UIDs. The UIDs are those of the path, and
    `inode` the file's number; None and 0 in intake/. `row_uid`: the SOP Instance UID of the index's row of a DAMAGED
    slot, None where it has none.
    """

    name: str
    verdict: Verdict
    slot: int | None = None
    header: Header | None = None
    reason: str = ""
    file_length: int = 0
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    inode: int = 0
    row_uid: str | None = None


def examine_intake(directory: DataDirectory, tombstones: Tombstones,
                   rows_of: RowsOf = lambda slots: {}, node: int | None = None) -> Iterator[Found]:
    """Every file in intake/ of earlier starts, read from the disk and verified; WHOLE ones are durable when yielded.

    node: whose intake, None: our own. If it is another's, nobody but the caller uses that.

    A slot without a complete header is removed, unless the index has a row of it: then it is damaged. The file itself
    cannot say: what names its instance is lost with the same sector. `rows_of` may be dear: it is called when the first
    slot is neither whole nor empty, once for all of the intake. Damaged and foreign files stay for the caller to set
    aside. Slots that a tombstone names are left to the interrupted deletion. In the order in which they were sealed, so
    that of two with the same SOP Instance UID the one that may have been acknowledged comes first. Doing it again after
    a crash gives the same. Raises RecoveryFailed.
    """
    node = directory.node if node is None else node
    intake = directory.intakes.of_node(node)
    with translated(RecoveryFailed, "reading the intake"):
        # After a SIGKILL names and bytes may live in the page cache alone.
        intake.sync()
        earlier = [name for name in os.listdir(intake.fd) if not _is_of_this_start(directory, name)]
        names = sorted(earlier, key=lambda name: _sealed(intake, name))
    slots = {name: _slot_of(name, node) for name in names}
    rows = cache(lambda: rows_of([slot for slot in slots.values() if slot is not None]))
    for name, slot in slots.items():
        if slot is not None and tombstones.cover_slot(slot):
            continue
        with translated(RecoveryFailed, "examining a slot"):
            found = _examine(intake, f"{intake_path(node)}/{name}", slot, rows)
        yield found


def _is_of_this_start(directory: DataDirectory, name: str) -> bool:
    slot = slot_number(name)
    return slot is not None and node_of(slot) == directory.node and start_of(slot) >= directory.opened_start


def _slot_of(name: str, node: int) -> int | None:
    """None: somebody has put it here. Another node's is so too: nobody would look for it in this place."""
    slot = slot_number(name)
    return slot if slot is not None and node_of(slot) == node else None


def _sealed(intake: Folder, name: str) -> tuple[int, int, str]:
    """When a slot was sealed, as it says itself: start, order, and its name for those that do not say it."""
    slot = slot_number(name)
    if slot is None:
        return 0, 0, name
    try:
        fd = os.open(name, OPEN_FILE, dir_fd=intake.fd)
    except OSError:
        return start_of(slot), 0, name      # to be judged by whoever examines it
    try:
        return start_of(slot), unpack(os.pread(fd, LENGTH, 0)).order, name
    except (NoPreamble, OSError):
        return start_of(slot), 0, name
    finally:
        os.close(fd)


def _examine(intake: Folder, path: str, slot: int | None, rows: Callable[[], Mapping[int, str]]) -> Found:
    name = path.rpartition("/")[2]
    status = os.stat(name, dir_fd=intake.fd, follow_symlinks=False)
    if slot is None or not stat.S_ISREG(status.st_mode):
        return Found(path, Verdict.FOREIGN, reason="no slot has this name or kind")
    if not status.st_size:
        # Of the stock: what was acknowledged had its length synced.
        unlink_if_there(name, intake)
        return Found(path, Verdict.REMOVED, slot, reason="it is empty")
    fd = os.open(name, OPEN_FILE, dir_fd=intake.fd)
    try:
        os.fdatasync(fd)
        # Where an earlier process was told that a sync had failed, the page cache may have what the disk never got, as
        # pages that no sync writes any more.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        header = _verified(fd, slot)
    except InstanceDamaged as damage:
        uid = rows().get(slot)
        if uid is None and isinstance(damage, NoPreamble):
            unlink_if_there(name, intake)
            return Found(path, Verdict.REMOVED, slot, reason=str(damage), file_length=status.st_size)
        return Found(path, Verdict.DAMAGED, slot, reason=str(damage), file_length=status.st_size, row_uid=uid)
    finally:
        os.close(fd)
    return Found(path, Verdict.WHOLE, slot, header, file_length=status.st_size)


def _verified(fd: int, slot: int) -> Header:
    with unreadable_is_damaged():
        header = read_header(fd)
        if header.preamble.slot != slot:
            raise InstanceDamaged("it was received in another slot")
        check_whole(fd, header.preamble)
    return header
