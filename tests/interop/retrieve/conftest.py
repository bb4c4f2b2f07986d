"""A server with all that pydicom brings along, and room for a destination."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.installed import Installed, free_port
from tests.interop.sender import Sender
from tests.interop.stored import Sent, sent_of
from tests.interop.test_shipped import REFUSED, rounds, to_send


class Archive:
    """A running server, what it holds, and the port at which its destination THERE is expected."""

    def __init__(self, server: Installed, there: int) -> None:
        self.server, self.there = server, there
        self.port = server.port
        self.sent: list[Sent] = []

    def store(self, several: list[Sent]) -> None:
        for one in several:
            with Sender(self.port, [(one.sop_class, [one.transfer_syntax])]) as sender:
                assert sender.store(1, one.sop_class, one.sop_instance, one.dataset).status == 0
        self.sent += several
        self.server.filed(len(self.sent))

    def study_with(self, name: str) -> str:
        """The study of a file."""
        return next(one.study for one in self.sent if one.name == name)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """With the files of which each instance has a UID of its own."""
    there = free_port()
    server = Installed(tmp_path_factory.mktemp("archive"), getWithoutRoleSelection=["ROLELESS"],
                       knownDestinations={"THERE": {"host": "127.0.0.1", "port": there}}).start()
    try:
        archive = Archive(server, there)
        archive.store(rounds([sent_of(path) for path in to_send() if path.name not in REFUSED])[0])
        yield archive
    finally:
        server.close()
