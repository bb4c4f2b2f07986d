"""The folder imports/ as the process sees it that imports: files on their way from elsewhere into the archive.

    <data>/imports/<32 hex digits>      a complete Part 10 file without a preamble of ours

It is there while an import runs, and holds nothing that anybody was promised: each file is a clone, or a second name of
one that is where it was. What has to be copied is written into slots that the server lends. Names never come twice, so
that a server that still works on the files of an import that was killed cannot take a later one's file for them. The
server's side is dicomserver.archive.adopting.
"""
from __future__ import annotations

import errno
import fcntl
import os
import uuid

from dicomserver.archive.durable import (FILE_MODE, FOLDER_MODE, NEW_FILE, Folder, status_of, unlink_if_there,
                                         unnamed_file)
from dicomserver.archive.errors import ArchiveUnusable
from dicomserver.archive.layout import IMPORTS

_BLOCK = 1 << 20
_PREFIX = bytes(128) + b"DICM"
_INTO = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409       # linux/fs.h


class SourceUnreadable(Exception):
    """The file to be imported cannot be read to its end; the text says why."""


class Imports:
    """An open imports/, for one import at a time. For one thread at a time.

    Raises OSError where the archive's disk fails.
    """

    def __init__(self, data_directory: str) -> None:
        """Makes the folder, and removes what an import that was killed has left. Raises ArchiveUnusable."""
        try:
            self._root = Folder(data_directory, follow=True)
            try:
                self._owner = os.fstat(self._root.fd)
                self._folder = self._open()
            except BaseException:
                self._root.close()
                raise
        except BlockingIOError:
            raise ArchiveUnusable(f"another import into {data_directory} is under way") from None
        except OSError as error:
            raise ArchiveUnusable(f"nothing can be imported into {data_directory}: {error.strerror}") from error
        self._block = memoryview(bytearray(_BLOCK))
        self._clones = True     # until the file system says that it can't

    def _open(self) -> Folder:
        try:
            os.mkdir(IMPORTS, FOLDER_MODE, dir_fd=self._root.fd)
        except FileExistsError:
            pass
        folder = Folder(IMPORTS, self._root)
        try:
            self._give(folder.fd)
            fcntl.flock(folder.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in os.listdir(folder.fd):
                os.unlink(name, dir_fd=folder.fd)
        except BaseException:
            folder.close()
            raise
        return folder

    def close(self) -> None:
        """Removes the folder; what is still in it is none of this import's results."""
        for name in os.listdir(self._folder.fd):
            unlink_if_there(name, self._folder)
        os.rmdir(IMPORTS, dir_fd=self._root.fd)
        self._folder.close()
        self._root.close()

    def __enter__(self) -> Imports:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def free_space(self) -> int:
        """Bytes that an ordinary user may still write."""
        status = os.fstatvfs(self._folder.fd)
        return status.f_bavail * status.f_frsize

    def scratch(self) -> int:
        """A descriptor, the caller's to close, of an empty file without a name."""
        return unnamed_file(self._folder)

    def copy(self, slot: str, fd: int, offset: int, length: int, meta: bytes) -> None:
        """Writes a whole file into a slot that was lent: `meta` (group 0002) and that part of another one, the dataset.

        slot: its place in the data directory. Raises SourceUnreadable.
        """
        copy = os.open(slot, _INTO, dir_fd=self._root.fd)
        try:
            head, end = _PREFIX + meta, offset + length
            while head or offset < end:
                part = self._block[:self._read(fd, min(_BLOCK, end - offset), offset)] if offset < end else b""
                offset += len(part)
                _write_all(copy, head, part)
                head = b""
        finally:
            os.close(copy)

    def _read(self, fd: int, length: int, offset: int) -> int:
        try:
            count = os.preadv(fd, [self._block[:length]], offset)
        except OSError as error:
            raise SourceUnreadable(f"it cannot be read: {error.strerror}") from None
        if not count:
            raise SourceUnreadable("it ended while it was read")
        return count

    def clone(self, fd: int) -> str | None:
        """A new file that shares the blocks of another one until either is written to, but has a free preamble.

        -> its name. None: the file system cannot do that, or it is another one.
        """
        if not self._clones:
            return None
        name, clone = self._new()
        try:
            fcntl.ioctl(clone, _FICLONE, fd)
            os.pwrite(clone, bytes(128), 0)
        except OSError as error:
            self.remove(name)
            if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL):
                raise
            self._clones = error.errno == errno.EXDEV
            return None
        finally:
            os.close(clone)
        return name

    def link(self, path: str, fd: int) -> str | None:
        """A second name of the file that is open as `fd` and has this path; -> that name.

        None: it is on another file system, belongs to somebody else, or must not be written to.
        """
        status = os.fstat(fd)
        if status.st_dev != self._owner.st_dev or status.st_uid != self._owner.st_uid or not status.st_mode & 0o200:
            return None
        name = uuid.uuid4().hex
        try:
            os.link(path, name, dst_dir_fd=self._folder.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOENT, errno.EOPNOTSUPP):
                return None
            raise
        there = status_of(name, self._folder)
        if there is None or not os.path.samestat(there, status):
            self.remove(name)       # the path leads elsewhere by now
            return None
        return name

    def remove(self, name: str) -> None:
        """What did not get into the archive; also where it has gone already."""
        unlink_if_there(name, self._folder)

    def _new(self) -> tuple[str, int]:
        name = uuid.uuid4().hex
        fd = os.open(name, NEW_FILE, FILE_MODE, dir_fd=self._folder.fd)
        self._give(fd)
        return name, fd

    def _give(self, fd: int) -> None:
        """To whom the data directory belongs: root may import for another user's server."""
        if os.geteuid() == 0 != self._owner.st_uid:
            os.fchown(fd, self._owner.st_uid, self._owner.st_gid)


def _write_all(fd: int, *parts: bytes | memoryview) -> None:
    """Appends them."""
    left = [memoryview(part) for part in parts if part]
    while left:
        written = os.writev(fd, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]
