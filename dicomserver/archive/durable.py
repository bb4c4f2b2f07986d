"""Folders by descriptor, and the few ways in which the archive makes a name or a small file durable."""
from __future__ import annotations

import errno
import os
import stat
import threading

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER_MODE = 0o700
FILE_MODE = 0o600


class SyncFailed(OSError):
    """A sync of a folder has failed, now or before: see Folder.sync."""

    def __init__(self, number: int) -> None:
        super().__init__(number, f"{os.strerror(number)} when a folder was synced: nothing is stored or deleted until "
                                 "the file system is mounted anew and the server is started again")


class Folder:
    """An open folder. Those that were opened below one another know together whether a sync has failed."""

    __slots__ = ("fd", "_failures")

    def __init__(self, name: str, parent: Folder | None = None, *, follow: bool = False) -> None:
        """Opens an existing folder; a symbolic link is an error unless `follow`."""
        self.fd = os.open(name, OPEN_FOLDER & ~os.O_NOFOLLOW if follow else OPEN_FOLDER,
                          dir_fd=None if parent is None else parent.fd)
        self._failures: list[int] = [] if parent is None else parent._failures

    def sync(self) -> None:
        """Makes every name in the folder durable. Raises SyncFailed, and from then on each time, for any folder of the
        tree: the kernel reports such an error once, and may take for clean what never reached the disk. What the next
        sync said would prove nothing, and nothing may be given up on its word."""
        if self._failures:
            raise SyncFailed(self._failures[0])
        try:
            os.fsync(self.fd)
        except OSError as error:
            self._failures.append(error.errno or errno.EIO)
            raise SyncFailed(self._failures[0]) from error

    def close(self) -> None:
        """Closes the descriptor; safe to call twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_or_make(name: str, parent: Folder) -> tuple[Folder, bool]:
    """The folder of that name, and whether it had to be made; durable only once its parent is synced."""
    try:
        return Folder(name, parent), False
    except FileNotFoundError:
        pass
    try:
        os.mkdir(name, FOLDER_MODE, dir_fd=parent.fd)
    except FileExistsError:
        pass
    return Folder(name, parent), True


def replace_file(folder: Folder, name: str, data: bytes) -> None:
    """Writes a small file so that after a power cut the old or the new content is there, never a part.

    When it returns, every earlier change of a name in that folder is durable too.
    """
    temporary = name + ".new"
    # A power cut in an earlier rename may have left both names to one file: it must not be written to again.
    unlink_if_there(temporary, folder)
    fd = os.open(temporary, NEW_FILE, FILE_MODE, dir_fd=folder.fd)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
    folder.sync()


def unnamed_file(folder: Folder) -> int:
    """A new file on the folder's file system without a name: it is gone when it is closed, or with the process."""
    try:
        return os.open(".", os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, FILE_MODE, dir_fd=folder.fd)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
    # NFS and others have no O_TMPFILE.
    name = f"unnamed-{os.getpid()}-{threading.get_ident()}"
    fd = os.open(name, NEW_FILE, FILE_MODE, dir_fd=folder.fd)
    os.unlink(name, dir_fd=folder.fd)
    return fd


def read_file(folder: Folder, name: str, limit: int) -> bytes:
    """At most `limit` bytes of a file of the archive's own."""
    fd = os.open(name, OPEN_FILE, dir_fd=folder.fd)
    try:
        parts = []
        while limit and (part := os.read(fd, min(limit, 1 << 20))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def status_of(name: str, folder: Folder) -> os.stat_result | None:
    """Of a name itself, not of what a link leads to; None where it is not there."""
    try:
        return os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_folder(name: str, folder: Folder) -> bool:
    """Whether a folder has that name; a link to one is none."""
    status = status_of(name, folder)
    return status is not None and stat.S_ISDIR(status.st_mode)


def unlink_if_there(name: str, folder: Folder) -> bool:
    """Removes a name; False when it is gone already."""
    try:
        os.unlink(name, dir_fd=folder.fd)
    except FileNotFoundError:
        return False
    return True
