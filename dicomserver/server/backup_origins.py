"""Where a backup is made from: a running server, or a data directory that no server uses."""
from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, Self

from dicomserver.archive.errors import ArchiveUnusable
from dicomserver.archive.manifest import ListedInstance
from dicomserver.index import Stored
from dicomserver.server import control_client
from dicomserver.server.archive_index import check_index
from dicomserver.server.backup_commands import is_stored
from dicomserver.server.mover import Mover
from dicomserver.server.recovery import recover
from dicomserver.server.rooms import RealRooms
from dicomserver.server.settings import ServerSettings


class Origin(Protocol):
    """What is backed up. identity: of the archive, for ever the same."""

    data_directory: str
    database_url: str
    identity: str

    def rows(self) -> Iterator[ListedInstance]:
        """All instances of the index, where it cannot be copied."""

    def is_stored(self, instance: ListedInstance) -> bool:
        """Whether it has not been deleted meanwhile."""

    def check(self) -> None:
        """Raises an error if the index may not be read any longer: who opens it anew wants it for himself."""


class RunningServer:
    """Asked over its control socket. Every method raises control_client.NotRunning, NotAllowed, CommandFailed."""

    def __init__(self, port: int, folder: Path | None = None) -> None:
        self._port = port
        self._folder = folder
        said = self._call("backup")
        self.data_directory: str = said["dataDirectory"]
        self.database_url: str = said["databaseUrl"]
        self.identity: str = said["identity"]

    def rows(self) -> Iterator[ListedInstance]:
        """See Origin. Its index is in memory, and so are they."""
        pages: list[list] = []
        self._call("rows", on_progress=lambda said: pages.append(said["rows"]))
        for page in pages:
            yield from (ListedInstance(*row) for row in page)

    def is_stored(self, instance: ListedInstance) -> bool:
        """See Origin."""
        return self._call("stored", {"instance": instance.sop_instance_uid, "slot": instance.slot})["stored"]

    def check(self) -> None:
        """See Origin. A server that starts waits some seconds for the index."""
        try:
            self._call("backup")
        except control_client.NotRunning:
            raise control_client.CommandFailed("the server was stopped while its index was copied: begin again") \
                from None

    def _call(self, command: str, args: dict | None = None,
              on_progress: Callable[[dict], None] | None = None) -> dict:
        return control_client.call(self._port, command, args, on_progress, folder=self._folder)


class StoppedServer:
    """Opened as at a start of the server, without its network. As a context manager; nobody else uses it meanwhile.

    Raises ArchiveError, IndexFault, WrongIndex.
    """

    def __init__(self, settings: ServerSettings, log: logging.Logger) -> None:
        # What root writes when it opens the archive, the server could not read at its next start.
        if os.geteuid() == 0 != os.stat(settings.data_directory).st_uid:
            raise ArchiveUnusable(f"no server runs, and {settings.data_directory} belongs to another user: "
                                  "run this as that user, or while the server runs")
        rooms = RealRooms()
        self._archive = rooms.open_archive(settings)
        try:
            self._index = rooms.open_index(settings)
            try:
                check_index(self._archive, self._index, serves=False)
                self._mover = Mover(self._index, self._archive, settings.mover, log)
                recover(self._archive, self._index, self._mover, rooms.describe, lambda done, total: None, log)
            except BaseException:
                self._index.close()
                raise
            self.data_directory = self._archive.path
            self.database_url = settings.index_url()
            self.identity = self._archive.identity()
        except BaseException:
            self._archive.close()
            raise

    def rows(self) -> Iterator[ListedInstance]:
        """See Origin."""
        return map(listed, self._index.select())

    def is_stored(self, instance: ListedInstance) -> bool:
        """See Origin."""
        return is_stored(self._archive, self._index, instance.sop_instance_uid, instance.slot)

    def check(self) -> None:
        """See Origin. Nobody else can open it: the archive is locked."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._mover.stop()
        self._index.close()
        self._archive.close()


def listed(row: Stored) -> ListedInstance:
    """A row of the index as backups list it."""
    return ListedInstance(row.slot, row.checksum, row.file_length, row.study_instance_uid, row.series_instance_uid,
                          row.sop_instance_uid)
