"""A file of quarantine/ in the place of a stored one, in steps that a power cut may end anywhere.

    found = replacing.take_back(name)       # a second name in the intake, durable
    replacing.keep_aside(stored, ...)       # a second name of the stored one in quarantine/, durable
    deletion = archive.begin_delete(...)    # the moment: from here on the newcomer is the stored one
    index.replace(...)
    deletion.finish()
    replacing.drop(name)

Without the tombstone the next start finds two instances of one SOP Instance UID, and sets the newcomer aside again;
with it the stored one is removed first, and the newcomer is indexed and filed like any slot.
"""
from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack

from dicomserver.archive.deletion import StoredFile
from dicomserver.archive.durable import OPEN_FILE, Folder, status_of, unlink_if_there
from dicomserver.archive.errors import (ArchiveError, InstanceDamaged, QuarantineFailed, translated,
                                        unreadable_is_damaged)
from dicomserver.archive.layout import DataDirectory, checked_uid, instance_name, slot_name, slot_path
from dicomserver.archive.preamble import check_whole, read_header
from dicomserver.archive.quarantine import Quarantine
from dicomserver.archive.reading import open_instance
from dicomserver.archive.recovery import Found, Verdict


class Replacing:
    """The steps. `lock` keeps the mover from moving a file while it is looked for."""

    def __init__(self, directory: DataDirectory, quarantine: Quarantine, lock: threading.Lock) -> None:
        self._directory = directory
        self._quarantine = quarantine
        self._lock = lock

    def take_back(self, name: str) -> Found:
        """Verifies a file of quarantine/, reading it from the disk, and gives it its old slot's name again, durably.

        Raises InstanceMissing, InstanceDamaged, QuarantineFailed.
        """
        with translated(QuarantineFailed, "taking a file back"):
            fd = self._quarantine.open(name)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                with unreadable_is_damaged():
                    header = read_header(fd)
                    check_whole(fd, header.preamble)
                os.fdatasync(fd)
                length = os.fstat(fd).st_size
            finally:
                os.close(fd)
            slot = header.preamble.slot
            if not self._directory.has_had(slot):
                # Our own archive will give its slot's number to something else.
                raise InstanceDamaged("another server has received it")
            # A tombstone of this very file, dropped once, must not return after a power cut.
            self._directory.tombstones.sync()
            try:
                self._quarantine.put_into(self._directory.intakes.of(slot), name, slot_name(slot))
            except FileExistsError:
                raise InstanceDamaged("another file is in the slot that it was received in") from None
        return Found(slot_path(slot), Verdict.WHOLE, slot, header, file_length=length)

    def put_back(self, slot: int) -> None:
        """Undoes `take_back`, durably: only the name in quarantine/ is left. Raises QuarantineFailed."""
        intake = self._directory.intakes.of(slot)
        with translated(QuarantineFailed, "putting a file back"):
            unlink_if_there(slot_name(slot), intake)
            # Else it would come back before what is stored next: its slot is the older one.
            intake.sync()

    def keep_aside(self, stored: StoredFile, reason: str, details: Mapping[str, str | int]) -> str | None:
        """Gives the file of a stored instance, damaged or not, a second name in quarantine/, durably; -> that name.

        None: there is no file. Raises QuarantineFailed, InvalidUid.
        """
        with self._lock, translated(QuarantineFailed, "setting the stored file aside"), ExitStack() as opened:
            slot, intake = slot_name(stored.slot), self._directory.intakes.of(stored.slot)
            if status_of(slot, intake):
                return self._quarantine.keep(intake, slot, reason, details)
            try:
                folder = self._directory.root
                for uid in (stored.study_instance_uid, stored.series_instance_uid):
                    folder = opened.enter_context(Folder(checked_uid(uid), folder))
                name = instance_name(stored.sop_instance_uid)
                if _is_of_another(folder, name, stored.slot):
                    return None
                return self._quarantine.keep(folder, name, reason, details)
            except FileNotFoundError:
                return None

    def drop_second_name(self, stored: StoredFile) -> None:
        """What is stored shall not lie in quarantine/, too: a crash in the midst of these steps leaves it there.

        Costs one system call where it does not. Raises QuarantineFailed.
        """
        name = slot_name(stored.slot)
        with translated(QuarantineFailed, "looking into the quarantine"):
            if not self._quarantine.lies_here(name):
                return
            try:
                fd = open_instance(self._directory, stored.slot, stored.study_instance_uid,
                                   stored.series_instance_uid, stored.sop_instance_uid)
            except ArchiveError:
                return      # then the one in quarantine is all that is left
            try:
                is_second = self._quarantine.has(name, os.fstat(fd))
            finally:
                os.close(fd)
        if is_second:
            self._quarantine.remove(name)


def _is_of_another(folder: Folder, name: str, slot: int) -> bool:
    """Whether a file says that it was received in another slot; a damaged one says nothing."""
    fd = os.open(name, OPEN_FILE, dir_fd=folder.fd)
    try:
        return read_header(fd).preamble.slot != slot
    except ArchiveError:
        return False
    finally:
        os.close(fd)
