"""The errors of the control socket in the words of a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dicomserver.cli.arguments import Failed
from dicomserver.server.control_client import CommandFailed, NotAllowed, NotRunning


@contextmanager
def translated() -> Iterator[None]:
    """What keeps a command from the running server becomes Failed, with the server's own reason."""
    try:
        yield
    except (NotRunning, NotAllowed, CommandFailed) as error:
        raise Failed(str(error)) from None
