"""Opens the rooms below with a server's settings."""
from __future__ import annotations

import resource

from dicomserver.archive.archive import Archive
from dicomserver.archive.intake import Limits
from dicomserver.index import Index, open_index
from dicomserver.server.memory import share_arenas
from dicomserver.server.reception import Reception
from dicomserver.server.settings import ServerSettings
from dicomserver.services.describe import describe_file

_DESCRIPTORS = 65536


class RealRooms:
    """What dicomserver.server.server.Server asks for."""

    describe = staticmethod(describe_file)
    open_reception = Reception

    def open_archive(self, settings: ServerSettings) -> Archive:
        raise_descriptor_limit()
        share_arenas()
        storage = settings.storage
        return Archive(settings.data_directory, reserve=storage.reserve, limits=Limits(
            slots=storage.waiting_slots, octets=storage.waiting_octets, patience=storage.patience_seconds),
            node=settings.node)

    def open_index(self, settings: ServerSettings) -> Index:
        return open_index(settings.index_url(), settings.node)


def raise_descriptor_limit() -> None:
    """The system's default is meant for programs that use select(); connections and slots may need more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
