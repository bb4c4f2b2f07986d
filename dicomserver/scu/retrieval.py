"""Several retrievals, some of them at the same time, each over an association of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from dicomserver.scu.failures import AssociationFailed
from dicomserver.scu.requester import Requester
from dicomserver.scu.retrieve import Result
from dicomserver.scu.selection import Selection

Outcome = tuple[Selection, Result | AssociationFailed]


class Retrieval:
    """associate: opens an association for a selection; retrieve: uses it. Both are called in threads of ours.

    parallel: the most associations that are open at once.
    """

    def __init__(self, associate: Callable[[Selection], Requester],
                 retrieve: Callable[[Requester, Selection], Result], *, parallel: int = 1):
        self._associate = associate
        self._retrieve = retrieve
        self._parallel = parallel
        self._open: set[Requester] = set()
        self._lock = threading.Lock()
        self._is_stopped = False

    def outcomes(self, selections: Iterable[Selection]) -> Iterator[Outcome]:
        """What came of each, in the order in which they end. Whoever stops asking, by Ctrl-C too, aborts those that
        run; the rest does not begin."""
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="retrieve") as pool:
            running: list[Future[Outcome]] = [pool.submit(self._one, selection) for selection in selections]
            try:
                for done in as_completed(running):
                    yield done.result()
            except BaseException:
                self._stop()
                raise

    def _one(self, selection: Selection) -> Outcome:
        try:
            with self._associate(selection) as association:
                self._begin(association)
                try:
                    return selection, self._retrieve(association, selection)
                finally:
                    with self._lock:
                        self._open.discard(association)
        except AssociationFailed as failed:
            return selection, failed

    def _begin(self, association: Requester) -> None:
        with self._lock:
            if self._is_stopped:
                raise AssociationFailed("was stopped from here before it began")
            self._open.add(association)

    def _stop(self) -> None:
        with self._lock:
            self._is_stopped = True
            for association in self._open:
                association.stop()
