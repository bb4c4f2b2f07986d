"""The threads that serve associations, made before they are needed: starting one costs as much as an echo."""
from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from itertools import count
from typing import Protocol

from dicomserver.server.lobby import Request
from dicomserver.server.logs import failure_text

STARTED_AHEAD = 16      # threads beyond these start when they are first needed
ABORT_SECONDS = 5.0     # what an aborted association may take to come to its end


class Association(Protocol):
    """What the pool asks of dicomserver.session.acceptor.AssociationAcceptor."""

    def begin(self) -> None: ...

    def serve(self) -> None: ...

    def close(self) -> None: ...

    def stop(self, grace_over: bool) -> None: ...


class Requests(Protocol):
    """What the pool asks of dicomserver.server.lobby.Lobby."""

    def next_request(self) -> Request | None: ...

    def leave(self) -> None: ...

    def association_free(self) -> None: ...


class AssociationPool:
    """Serves at most `limit` associations at once, each on a thread of its own; one more thread attends the lobby.

    The next one may attend it when the request is answered (`begin`). A place is free when the association is over;
    its thread, when the connection is closed, for which peers take their time.

    serve: makes the association of a request; called on the association's thread.
    """

    def __init__(self, limit: int, serve: Callable[[Request], Association], log: logging.Logger) -> None:
        self._limit = limit
        self._serve = serve
        self._log = log
        self._changed = threading.Condition()
        self._active = 0            # places taken, from `admit` to the end of the association
        self._busy = 0              # threads taken, until the connection is closed
        self._associations: set[Association] = set()
        self._threads: set[threading.Thread] = set()
        self._retired: list[threading.Thread] = []      # not needed any more, at their end or about to be
        self._numbers = count(1)
        self._requests: Requests | None = None
        self._stopping = False
        self._grace_over = False

    @property
    def active(self) -> int:
        """Associations under way."""
        return self._active

    @property
    def limit(self) -> int:
        """How many there may be."""
        return self._limit

    @property
    def alive(self) -> bool:
        """Whether there is a thread for the lobby beside those that associations have."""
        return sum(thread.is_alive() for thread in self._threads.copy()) > self._busy

    def start(self, requests: Requests) -> None:
        """Begins to serve what `requests` gives."""
        with self._changed:
            self._requests = requests
            while len(self._threads) <= min(self._limit, STARTED_AHEAD):
                self._start_thread()

    def admit(self) -> bool:
        """Takes a place for an association, whose request then comes; False: all are taken."""
        with self._changed:
            if self._stopping or self._active >= self._limit:
                return False
            # Whoever serves this one leaves the lobby to somebody else.
            if self._busy + 1 >= len(self._threads):
                try:
                    self._start_thread()
                except RuntimeError:
                    self._log.warning("no thread for one more association: the system's limit is reached")
                    return False
            self._active += 1
            self._busy += 1
            return True

    def configure(self, limit: int) -> None:
        """Associations beyond a lowered limit go on to their own end."""
        with self._changed:
            self._limit = limit

    def stop(self, grace: float) -> bool:
        """Ends idle associations now, those inside a message within `grace` seconds.

        -> whether all threads ended. No request is taken from now on.
        """
        with self._changed:
            self._stopping = True
            running = list(self._associations)
        for association in running:
            association.stop(False)
        self._await_end(grace, lambda: not self._busy or self._grace_over)
        with self._changed:
            running = list(self._associations)
        for association in running:
            association.stop(True)
        if running:
            self._log.warning("%d associations were aborted at the end of the grace period", len(running))
        ended = self._await_end(ABORT_SECONDS, lambda: not self._busy)
        if not ended:
            self._log.error("%d associations do not end", self._busy)
            return False
        for thread in [*self._threads, *self._retired]:
            thread.join()
        return True

    def hasten(self) -> None:
        """The grace period of a `stop` that is under way ends now."""
        with self._changed:
            self._grace_over = True
            self._changed.notify_all()

    def _await_end(self, seconds: float, ended: Callable[[], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(ended, seconds)

    def _start_thread(self) -> None:
        self._retired = [thread for thread in self._retired if thread.is_alive()]
        thread = threading.Thread(target=self._work, name=f"association-{next(self._numbers)}")
        self._threads.add(thread)
        try:
            thread.start()
        except BaseException:
            self._threads.remove(thread)
            raise

    def _work(self) -> None:
        while threading.current_thread() in self._threads and (request := self._requests.next_request()) is not None:
            connection = request.socket     # or the association that owns it
            try:
                try:
                    connection = association = self._enter(request)
                    association.begin()
                finally:
                    self._requests.leave()
                association.serve()
            except Exception as error:
                # The association answers for what peers do; this is a fault of ours, and costs one association.
                self._log.error("an association failed: %s", failure_text(error))
            self._see_off(connection)
            # Nothing of it outlives it while this thread waits for the next.
            connection = association = None
            del request

    def _enter(self, request: Request) -> Association:
        association = self._serve(request)
        with self._changed:
            self._associations.add(association)
            stopping = self._stopping
        if stopping:
            association.stop(True)
        return association

    def _see_off(self, connection: Association | socket.socket) -> None:
        """Closes it. A peer that is slow to close keeps this thread but no place, as long as no more of them are seen
        off than there are places: so threads are at most twice as many, and one for the lobby."""
        with self._changed:
            early = self._busy - self._active < self._limit
            self._active -= early
        if early:
            self._requests.association_free()
        try:
            connection.close()
        except Exception as error:
            self._log.error("closing a connection failed: %s", failure_text(error))
        finally:
            with self._changed:
                self._associations.discard(connection)
                self._busy -= 1
                self._active -= not early
                self._retire_if_spare()
                if self._stopping:
                    self._changed.notify_all()
        # Also if early: where the system gave no other thread for the place, there is this one now.
        self._requests.association_free()

    def _retire_if_spare(self) -> None:
        """Those that were started for peers that are slow to close are not kept."""
        if len(self._threads) > max(self._limit, self._busy) + 1:
            thread = threading.current_thread()
            self._threads.remove(thread)
            self._retired.append(thread)
