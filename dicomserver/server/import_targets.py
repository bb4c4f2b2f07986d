"""Where an import goes: a running server, or a data directory that no server uses."""
from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dicomserver.server import control_client
from dicomserver.server.backup_origins import StoppedServer
from dicomserver.server.import_commands import known_instances, limits_of
from dicomserver.server.settings import ServerSettings
from dicomserver.services.adoption import Adoption, Verdict


class Target(Protocol):
    """What is imported into; asked by several threads. reserve: bytes that have to stay free on its disk."""

    data_directory: str
    reserve: int

    def known(self, uids: Sequence[str]) -> dict[str, tuple[str, int, int]]:
        """See import_commands.known_instances."""

    def lend(self, count: int) -> list[str]:
        """See Adoption.lend."""

    def take_back(self) -> None:
        """See Adoption.take_back."""

    def adopt(self, names: Sequence[str]) -> dict[str, tuple[Verdict, str]]:
        """See Adoption.adopt."""


class RunningTarget:
    """Asked over its control socket. Every method raises control_client.NotRunning, NotAllowed, CommandFailed."""

    def __init__(self, port: int, folder: Path | None = None) -> None:
        self._port = port
        self._folder = folder
        said = self._call("import", {})
        self.data_directory: str = said["dataDirectory"]
        self.reserve: int = said["reserve"]

    def known(self, uids: Sequence[str]) -> dict[str, tuple[str, int, int]]:
        """See Target."""
        known = self._call("known", {"instances": list(uids)})["known"]
        return {uid: tuple(said) for uid, said in known.items()}

    def lend(self, count: int) -> list[str]:
        """See Target."""
        return self._call("lend", {"count": count})["slots"]

    def take_back(self) -> None:
        """See Target."""
        self._call("take-back", {})

    def adopt(self, names: Sequence[str]) -> dict[str, tuple[Verdict, str]]:
        """See Target."""
        verdicts = self._call("adopt", {"names": list(names)})["verdicts"]
        return {name: (Verdict(verdict), why) for name, (verdict, why) in verdicts.items()}

    def _call(self, command: str, args: dict) -> dict:
        return control_client.call(self._port, command, args, folder=self._folder)


class StoppedTarget(StoppedServer):
    """Opened as at a start of the server, without its network. As a context manager; nobody else uses it meanwhile.

    Raises ArchiveError; its methods IndexFault, IntakeError.
    """

    def __init__(self, settings: ServerSettings, log: logging.Logger) -> None:
        super().__init__(settings, log)
        self.reserve = settings.storage.reserve
        self._limits = limits_of(settings)
        self._adoption = Adoption(self._archive, self._index, self._mover.add, log)
        self._mover.start()

    def known(self, uids: Sequence[str]) -> dict[str, tuple[str, int, int]]:
        """See Target."""
        return known_instances(self._archive, self._index, uids)

    def lend(self, count: int) -> list[str]:
        """See Target."""
        return self._adoption.lend(count)

    def take_back(self) -> None:
        """See Target."""
        self._adoption.take_back()

    def adopt(self, names: Sequence[str]) -> dict[str, tuple[Verdict, str]]:
        """See Target."""
        return self._adoption.adopt(names, self._limits)
