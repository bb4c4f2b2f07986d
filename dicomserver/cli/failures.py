"""Why a server, or a command that works on its data directory, cannot start: one line."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from dicomserver.archive.errors import ArchiveError, ArchiveTooNew, CopyFailed
from dicomserver.cli.arguments import Failed
from dicomserver.config.problems import ConfigurationError, Problem
from dicomserver.index import IndexDamaged, IndexFault, IndexTooNew, IndexUnfinished
from dicomserver.server.archive_index import WrongIndex
from dicomserver.server.control import ControlUnavailable
from dicomserver.server.doors import BindError


@contextmanager
def told() -> Iterator[None]:
    """What the rooms below refuse with becomes Failed.

    Data of a newer version, or an index that may not be served, becomes ConfigurationError, whose exit code keeps
    systemd from trying again and again.
    """
    try:
        yield
    except (ArchiveTooNew, IndexTooNew, IndexUnfinished, WrongIndex) as error:
        raise ConfigurationError([Problem("", str(error))]) from None
    except IndexDamaged as error:
        raise Failed(f"the index is damaged ({error}); the images are not in it: `dicom-server index rebuild` makes a "
                     "new one from their files") from None
    except (BindError, ArchiveError, IndexFault, ControlUnavailable) as error:
        raise Failed(str(error)) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise Failed(f"{place}{error.strerror or type(error).__name__}") from None


_OF_DISKS = {
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "its quota is used up",
    errno.EFBIG: "a file is too large for it (a FAT disk takes files up to 4 GB: format it as exFAT or ext4)",
    errno.EROFS: "its disk is write-protected",
    errno.EACCES: "there is no permission for it",
    errno.EPERM: "there is no permission for it",
    errno.EIO: "its disk fails or was pulled off: what was written could not be read again",
    errno.ENODEV: "its disk was pulled off",
    errno.ENOENT: "something in it has vanished: is its disk still connected?",
}


@contextmanager
def disk_told(folder: str, consequence: str) -> Iterator[None]:
    """A copy into `folder` that failed becomes Failed, with the reason and what follows from it in plain words."""
    try:
        yield
    except CopyFailed as error:
        reason = _OF_DISKS.get(error.errno, str(error))
        raise Failed(f"{folder}: {reason}. {consequence}") from None
