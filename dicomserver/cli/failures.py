"""Why a server, or a command that works on its data directory, cannot start: one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dicomserver.archive.errors import ArchiveError, ArchiveTooNew
from dicomserver.cli.arguments import Failed
from dicomserver.config.problems import ConfigurationError, Problem
from dicomserver.index import IndexFault, IndexTooNew
from dicomserver.server.control import ControlUnavailable
from dicomserver.server.doors import BindError


@contextmanager
def told() -> Iterator[None]:
    """What the rooms below refuse with becomes Failed.

    Data of a newer version becomes ConfigurationError, whose exit code keeps systemd from trying again and again.
    """
    try:
        yield
    except (ArchiveTooNew, IndexTooNew) as error:
        raise ConfigurationError([Problem("", str(error))]) from None
    except (BindError, ArchiveError, IndexFault, ControlUnavailable) as error:
        raise Failed(str(error)) from None
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise Failed(f"{place}{error.strerror or type(error).__name__}") from None
