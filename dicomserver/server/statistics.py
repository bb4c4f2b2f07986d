"""What the server has done since it started."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class ServiceCount:
    """Of one DIMSE service."""

    requests: int = 0
    failures: int = 0


class Statistics:
    """Counters that any thread bumps.

    One lock for all of them: taking it free costs less than a system call.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._connections = 0
        self._rejected = 0
        self._associations = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self._services: dict[str, ServiceCount] = {}
        self._sources: list[Callable[[], dict[str, object]]] = []

    def connection(self) -> None:
        """A connection was accepted by the listener."""
        with self._lock:
            self._connections += 1

    def rejected(self) -> None:
        """A connection was answered with A-ASSOCIATE-RJ or A-ABORT, or closed, before it became an
        association."""
        with self._lock:
            self._rejected += 1

    def association(self) -> None:
        """A complete A-ASSOCIATE-RQ was handed to an association's thread."""
        with self._lock:
            self._associations += 1

    def answered(self, service: str, failed: bool, received: int = 0, sent: int = 0) -> None:
        """A request was answered; `service` is the name of its DIMSE service, such as C-STORE.

        received, sent: bytes.
        """
        with self._lock:
            count = self._services.get(service)
            if count is None:
                count = self._services[service] = ServiceCount()
            count.requests += 1
            count.failures += failed
            self._bytes_in += received
            self._bytes_out += sent

    def traffic(self, received: int, sent: int) -> None:
        """Bytes that belong to no answered request."""
        with self._lock:
            self._bytes_in += received
            self._bytes_out += sent

    def add_source(self, read: Callable[[], dict[str, object]]) -> None:
        """`read()` is asked for more figures at each snapshot, outside the lock; they go into JSON."""
        self._sources.append(read)

    def snapshot(self) -> dict[str, object]:
        with self._lock:
            counted: dict[str, object] = {
                "uptimeSeconds": round(time.monotonic() - self._started, 3),
                "connectionsTotal": self._connections,
                "connectionsRejected": self._rejected,
                "associationsTotal": self._associations,
                "bytesIn": self._bytes_in,
                "bytesOut": self._bytes_out,
                "services": {name: {"requests": count.requests, "failures": count.failures}
                             for name, count in sorted(self._services.items())},
            }
        for read in self._sources:
            counted |= read()
        return counted
