"""The population, sent to a server over C-STORE."""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.bench.content import datasets
from tests.bench.population import MODALITIES, Study, studies
from tests.bench.sender import Connection, failing

ASSOCIATIONS = 4


class _Shared:
    """Studies for several threads: each is given once, none after the deadline, so that what was given is the first
    `given` studies of the population."""

    def __init__(self, source: Iterator[Study], deadline: float) -> None:
        self.given = 0
        self._source = source
        self._deadline = deadline
        self._lock = threading.Lock()

    def take(self) -> Study | None:
        """The next one."""
        with self._lock:
            study = next(self._source, None) if time.monotonic() < self._deadline else None
            self.given += study is not None
            return study


def feed(port: int, number: int, seconds: float, seed: int = 1) -> int:
    """Stores the first `number` studies, or as many of them as go in within so many seconds; -> how many.

    Raises LoadFailed when the server refuses one.
    """
    shared = _Shared(studies(number, seed), time.monotonic() + seconds)
    with ThreadPoolExecutor(ASSOCIATIONS) as pool:
        for sender in [pool.submit(_send, port, shared) for _ in range(ASSOCIATIONS)]:
            sender.result()
    return shared.given


def _send(port: int, shared: _Shared) -> None:
    with failing():
        connection = Connection(port, *(modality.sop_class_uid for modality in MODALITIES))
        while study := shared.take():
            for dataset in datasets(study):
                connection.store_dataset(dataset.sop_class_uid, dataset.sop_instance_uid, dataset.encoded)
        connection.release()
