"""What a command works on that can do it with a running server and without one."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from dicomserver.archive.errors import ArchiveLocked
from dicomserver.cli.arguments import Failed
from dicomserver.cli.configured import configuration, require_archive
from dicomserver.cli.settings import settings_alone
from dicomserver.server import logs
from dicomserver.server.control_client import NotRunning
from dicomserver.server.settings import ServerSettings


class Running(Protocol):
    """A server that runs on this machine."""

    data_directory: str


_Running = TypeVar("_Running", bound=Running)
_Stopped = TypeVar("_Stopped")


@contextmanager
def running_or_stopped(options: argparse.Namespace, running: Callable[[int, Path | None], _Running],
                       stopped: Callable[[ServerSettings, logging.Logger], AbstractContextManager[_Stopped]]
                       ) -> Iterator[_Running | _Stopped]:
    """The running server, else the data directory of one that does not run. Raises Failed and what these raise.

    options: those of arguments.add_control and configured.add_storage. running: raises NotRunning.
    """
    try:
        server = running(options.port, options.control_dir)
    except NotRunning:
        server = None
    if server is not None:
        asked = options.data_directory
        if asked is not None and os.path.realpath(asked) != os.path.realpath(server.data_directory):
            raise Failed(f"the server on port {options.port} has the data directory {server.data_directory}")
        yield server
        return
    settings = settings_alone(configuration(options))
    try:
        require_archive(settings.data_directory)
    except Failed as error:
        raise Failed(f"no server runs on port {options.port}, and {error}") from None
    try:
        opened = stopped(settings, logs.set_up(settings.log))
    except ArchiveLocked as error:
        raise Failed(f"{error}: if a server has it, say with --port which one") from None
    with opened as yielded:
        yield yielded
