"""A data directory as a backup reads it: beside the server that has the lock, and without a change of anything."""
from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from dicomserver.archive import index_record, reading
from dicomserver.archive.durable import OPEN_FILE, Folder
from dicomserver.archive.errors import ArchiveUnusable
from dicomserver.archive.layout import IMPORTS, SUFFIX
from dicomserver.archive.manifest import ListedInstance
from dicomserver.archive.nodes import ALONE, Intakes
from dicomserver.archive.space import LAST_ROOM_FILE
from dicomserver.standard.uids import is_valid_uid

# Slots with an instance are reached by its row; the others were not acknowledged, nor is what is being imported. Which
# index is the right one for what is restored, the restore decides.
_NOT_COPIED = frozenset({"lock", "intake", IMPORTS, "lost+found", LAST_ROOM_FILE, index_record.NAME})
_NOT_COPIED_OF_NODES = re.compile(r"nodes/[0-9]+/(lock|intake/.*)\Z", re.DOTALL)
_UNFINISHED = ".new"
_CLOCK_STEP = 1_000_000_000     # file systems take their times from a coarser clock; nanoseconds


class BackupSource:
    """An open data directory; for one thread."""

    def __init__(self, path: str) -> None:
        """Raises ArchiveUnusable."""
        try:
            self.root = Folder(path, follow=True)
            self._intake = Folder("intake", self.root)
            self.intakes = Intakes(self.root, ALONE, self._intake)
        except OSError as error:
            raise ArchiveUnusable(f"the data directory {path} cannot be used: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For one backup at a time, by whichever process; the archive has its identity. Raises ArchiveUnusable."""
        fd = os.open("identity", OPEN_FILE, dir_fd=self.root.fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise ArchiveUnusable("another backup of this archive is under way") from None
        finally:
            os.close(fd)

    def open_instance(self, instance: ListedInstance) -> int:
        """As reading.open_instance."""
        return reading.open_instance(self, instance.slot, instance.study_instance_uid,
                                     instance.series_instance_uid, instance.sop_instance_uid)

    def other_files(self, without: Collection[str], find: Callable[[str], ListedInstance | None],
                    begun: int) -> Iterator[tuple[str, os.stat_result]]:
        """All regular files but the instances of the index, by their paths: a rule, not a list of known names.

        without: paths in the data directory. find: what the index's copy has of a SOP Instance UID. begun:
        when that copy was made, nanoseconds since the epoch; what was received since is for the next backup. Tombstones
        come first: whatever lost its row before and has its file still, has one. Then the trash: what comes back from
        it meanwhile is among the instances, and is as old as before. Raises OSError.
        """
        tops = sorted(os.listdir(self.root.fd), key=lambda name: (name != "tombstones", name != "trash", name))
        for top in tops:
            if top in _NOT_COPIED:
                continue
            is_study = is_valid_uid(top)
            for path, status in _regular(self.root, top, top):
                if path in without or _NOT_COPIED_OF_NODES.match(path):
                    continue
                if is_study and path.count("/") == 2 and path.endswith(SUFFIX):
                    uid = path.rpartition("/")[2].removesuffix(SUFFIX)
                    row = find(uid)
                    if (row is not None and row.path == path) or status.st_mtime_ns >= begun - _CLOCK_STEP:
                        continue
                yield path, status

    def open_file(self, path: str) -> int:
        """A descriptor of one of `other_files`, the caller's to close. Raises OSError."""
        *folders, name = path.split("/")
        folder = Folder(".", self.root)
        for step in folders:
            with folder as parent:
                folder = Folder(step, parent)
        with folder:
            return os.open(name, OPEN_FILE, dir_fd=folder.fd)

    def close(self) -> None:
        """Safe to call twice."""
        self.root.close()
        self.intakes.close()
        self._intake.close()

    def __enter__(self) -> BackupSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _regular(parent: Folder, name: str, path: str) -> Iterator[tuple[str, os.stat_result]]:
    """A file, or all files below a folder; no links, no sockets, nothing that goes away meanwhile."""
    try:
        status = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and not name.endswith(_UNFINISHED):
            yield path, status
        elif stat.S_ISDIR(status.st_mode):
            with Folder(name, parent) as folder:
                for entry in sorted(os.listdir(folder.fd)):
                    yield from _regular(folder, entry, f"{path}/{entry}")
    except FileNotFoundError:
        return
