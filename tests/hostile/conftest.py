"""Two servers for the whole session, and the fixtures that look after each case whether one of them took harm."""
from __future__ import annotations

import pytest

from tests.conftest import COUNTED
from tests.hostile.cases import LogLines
from tests.hostile.server import Server

TIGHT = {"artimSeconds": 1, "idleTimeoutSeconds": 1, "progressTimeoutSeconds": 1, "writeTimeoutSeconds": 1,
         "minimumRateBytesPerSecond": 4000, "maxAssociateRequestBytes": 4096, "maxCommandBytes": 1024,
         "maxIdentifierBytes": 4096, "maxPDUSize": 4096, "maxSequenceDepth": 4, "maxInflatedMegabytes": 1,
         "maxConcurrentConnections": 3, "maxPendingConnections": 24, "maxPendingConnectionsPerHost": 8,
         "checkCalledAETitle": True, "allowedCallingAETitles": ["HOSTILE", "BYSTANDER", "BLOCKED"],
         "blockedCallingAETitles": ["BLOCKED"]}

@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """A server with the limits as shipped; verbose."""
    server = Server(tmp_path_factory.mktemp("roomy"), verbose=True)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def running_tight(tmp_path_factory):
    """A server with tiny limits and short deadlines; not verbose."""
    server = Server(tmp_path_factory.mktemp("tight"), **TIGHT)
    yield server
    server.stop()


def _looked_after(server, record_property):
    record_property(COUNTED, "hostile cases")
    server.begin_case()
    server.lines = LogLines()
    yield server
    server.check(server.lines)


@pytest.fixture
def server(running, record_property):
    """The server as shipped; after the test nothing is left of it."""
    yield from _looked_after(running, record_property)


@pytest.fixture
def tight(running_tight, record_property):
    """The server with tiny limits; after the test nothing is left of it."""
    yield from _looked_after(running_tight, record_property)
