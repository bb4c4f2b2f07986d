"""The services behind a real acceptor on a real connection, over a real archive, and an index in memory or a file."""
from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.filing import Waiting
from dicomserver.index import Index, open_index
from dicomserver.server.destinations import Destinations
from dicomserver.services.commitment import Accept
from dicomserver.services.find import QueryLimits
from dicomserver.services.move import Destination
from dicomserver.services.registry import build_handlers, sop_classes
from dicomserver.session.acceptor import AssociationAcceptor, Deadlines, MessageLimits
from dicomserver.session.negotiator import Negotiator
from dicomserver.session.policy import AcceptorPolicy, storage_support
from tests.ports import accepted

POLICY = AcceptorPolicy("US", storage=storage_support(as_scu=True), sop_classes=sop_classes(),
                        asynchronous_operations=(4, 1))


class Provider:
    """Serves one association after another on `port`. archive, index: put something faulty in their place. query,
    limits: may be others for the next association.

    destinations: of C-MOVE, by name. without_roles, fuzzy_for: see GetService, FindService. acceptor: of the
    association under way. executor: for the windows of all associations.
    """

    def __init__(self, archive: Archive, index: Index) -> None:
        self.archive, self.index = archive, index
        self.query, self.limits = QueryLimits(), MessageLimits()
        self.waiting: list[Waiting] = []
        self.accept: Accept | None = None       # of storage commitments
        self.answered: list[tuple[int, int]] = []
        self.log = logging.getLogger("test.services")
        self.destinations: dict[str, Destination] = {}
        self.without_roles: frozenset[str] = frozenset()
        self.fuzzy_for: frozenset[str] = frozenset()
        self.deadlines = Deadlines()
        self.acceptor: AssociationAcceptor | None = None
        self.executor = ThreadPoolExecutor(4)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for connection in accepted(self._door):
            header = connection.recv(6, socket.MSG_WAITALL)
            request = header + connection.recv(int.from_bytes(header[2:], "big"), socket.MSG_WAITALL)
            connect = Destinations("US", self.deadlines, self.log, 2).connect
            handlers = build_handlers(self.archive, self.index, self.waiting.append, self.log, ae_title="US",
                                      query=self.query, moving=(self.destinations, connect),
                                      without_roles=self.without_roles, fuzzy_for=self.fuzzy_for,
                                      accept=self.accept)
            self.acceptor = AssociationAcceptor(connection, request, b"", Negotiator(POLICY), handlers, log=self.log,
                                                limits=self.limits, executor=self.executor,
                                                on_answered=lambda *told: self.answered.append(told))
            self.acceptor.run()

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._thread.join(10)
        self.executor.shutdown()


@pytest.fixture
def provider(request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Provider]:
    """Parametrized with "file" its index is one: then a lone C-STORE makes its row while the disk syncs."""
    caplog.set_level(logging.DEBUG, "test.services")
    is_file = getattr(request, "param", "memory") == "file"
    archive, index = Archive(tmp_path / "data"), open_index(f"sqlite://{tmp_path}/index.db" if is_file else "memory:")
    one = Provider(archive, index)
    yield one
    one.close()
    index.close()
    archive.close()
