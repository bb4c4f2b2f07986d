"""Where connections wait that have not yet asked for an association (PS3.8 9.2, Sta2).

All of them cost one thread at a time, so that mute peers take no association's place: whichever thread is free calls
`next_request`, looks after the lobby until somebody has asked, and serves him itself, while the next free thread
takes over: when the request is answered, so that the two are not in each other's way until then. No request is handed
from thread to thread, which would cost as much as an echo. A connection leaves the lobby with its complete
A-ASSOCIATE-RQ, or with an A-ASSOCIATE-RJ or A-ABORT, or silently when ARTIM expires.
"""
from __future__ import annotations

import errno
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dicomserver.server.guest import Guest, Verdict
from dicomserver.server.logs import failure_text
from dicomserver.server.settings import LobbySettings
from dicomserver.server.statistics import Statistics

# PS3.8 9.3.4: result 2 transient, source 3 presentation related, reason 2 local limit exceeded.
LOCAL_LIMIT_EXCEEDED = b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02"
_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02"    # PS3.8 9.3.8, service-provider; the reason follows
_OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_RECEIVE_AT_ONCE = 64 << 10
_ACCEPT_AT_ONCE = 64            # then those who have waited longer are looked after
_ACCEPT_AGAIN_SECONDS = 0.1     # after descriptors ran out
_DRAIN_LIMIT = 1 << 20          # a refused peer that sends more than this is not waiting for an answer


@dataclass(slots=True)
class Request:
    """A connection that asked.

    socket: connected, without a timeout of its own. pdu: the complete A-ASSOCIATE-RQ; its type and length
    were checked, nothing else. rest: what arrived behind it. peer: host and port.
    """

    socket: socket.socket
    pdu: bytes
    rest: bytes
    peer: tuple[str, int]


class Lobby:
    """The listener.

    doors: bound, non-blocking sockets (dicomserver.server.doors); the lobby closes them. admit: takes a place
    for one more association, or says False when none is free; called often, must not block.
    """

    def __init__(self, doors: list[socket.socket], admit: Callable[[], bool], settings: LobbySettings,
                 statistics: Statistics, log: logging.Logger) -> None:
        self._doors = {door.fileno(): door for door in doors}
        self._admit = admit
        self._settings = settings
        self._statistics = statistics
        self._log = log
        # Each in the order of arrival, which is the order of their deadlines.
        self._waiting: dict[int, Guest] = {}    # no complete request yet
        self._asking: dict[int, Guest] = {}     # complete, but no association was free
        self._leaving: dict[int, Guest] = {}    # answered; may read the answer
        self._hosts: dict[str, dict[int, Guest]] = {}   # the waiting ones by host
        self._admitted: Guest | None = None     # has a place; next_request returns it
        self._receive_into = bytearray(_RECEIVE_AT_ONCE)
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._wake_lock = threading.Lock()
        self._epoll.register(self._wake, select.EPOLLIN)
        self._doors_open_at: float | None = None
        self._out_of_descriptors = False
        self._stopping = False
        self._attended = threading.Lock()       # by the thread that looks after everything above
        self._open_doors()

    @property
    def waiting(self) -> int:
        """Connections that have not completed their request."""
        return len(self._waiting)

    def next_request(self) -> Request | None:
        """From any thread, the doors listening: waits for its turn, then for a request that has a place.

        Whoever got one lets nobody else attend until he calls `leave`, soon. None: the lobby has stopped.
        """
        self._attended.acquire()
        try:
            self._offer()
            while not self._stopping and self._admitted is None:
                self._attend()
            guest, self._admitted = self._admitted, None
            if guest is not None:
                self._statistics.association()
                return Request(guest.socket, *guest.request(), (guest.host, guest.port))
        except BaseException:
            self._attended.release()
            raise
        self._attended.release()
        return None

    def leave(self) -> None:
        """After `next_request` gave a request, once: the next free thread attends the lobby."""
        self._attended.release()

    def configure(self, settings: LobbySettings) -> None:
        """Takes over limits and times; a deadline that is awaited already may still be the old one."""
        self._settings = settings

    def association_free(self) -> None:
        """From any thread: a request that waits for an association can be offered again."""
        if self._asking:
            self._wake_up()

    def stop(self) -> None:
        """Closes the doors and every connection in the lobby; safe twice."""
        self._stopping = True
        self._wake_up()
        with self._attended:
            self._close_all()
        with self._wake_lock:
            if self._wake >= 0:
                os.close(self._wake)
            self._wake = -1

    def _wake_up(self) -> None:
        with self._wake_lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    # On the thread that attends

    def _attend(self) -> None:
        for fd, _ in self._epoll.poll(self._seconds_to_next_deadline()):
            try:
                self._ready(fd)
            except Exception as error:
                self._blame(fd, error)
            if self._admitted is not None:
                return      # what else is ready is so for the next thread, too
        self._expire(time.monotonic())

    def _ready(self, fd: int) -> None:
        if (guest := self._waiting.get(fd)) is not None:
            self._receive(guest)
        elif fd in self._doors:
            self._accept(self._doors[fd])
        elif (guest := self._leaving.get(fd)) is not None:
            self._drain(guest)
        elif fd == self._wake:
            os.eventfd_read(fd)
            self._offer()

    def _blame(self, fd: int, error: Exception) -> None:
        # A fault of ours with one connection must not close the door to all others.
        self._log.error("a connection in the lobby failed: %s", failure_text(error))
        guest = self._waiting.get(fd) or self._leaving.get(fd)
        if guest is not None:
            self._close(guest)

    def _accept(self, door: socket.socket) -> None:
        for accepted in range(_ACCEPT_AT_ONCE):
            try:
                connection, address = door.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    # It comes before the kernel looks whether anyone stands there; the first time, someone
                    # does.
                    if not accepted:
                        self._descriptors_ran_out()
                    return
                # accept(2): errors of the new connection, not of the door, come out here too.
                self._log.debug("a connection was gone before it was accepted: %s", failure_text(error))
                continue
            self._out_of_descriptors = False
            self._welcome(Guest(connection, address, time.monotonic()))
            if self._admitted is not None:
                return

    def _welcome(self, guest: Guest) -> None:
        self._statistics.connection()
        of_host = self._hosts.setdefault(guest.host, {})
        if len(of_host) >= self._settings.capacity_per_host:
            self._evict(_oldest(of_host))
        elif len(self._waiting) >= self._settings.capacity:
            self._evict(_oldest(self._waiting))
        self._waiting[guest.fd] = of_host[guest.fd] = guest
        self._hosts[guest.host] = of_host   # an eviction may have dropped it with its last guest
        # The request is often here already: then the epoll never hears of this connection.
        self._receive(guest)
        if self._waiting.get(guest.fd) is guest:
            self._watch(guest)

    def _receive(self, guest: Guest) -> None:
        room = self._receive_into
        try:
            n = guest.socket.recv_into(room, guest.wanted(len(room)), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            n = 0
        if n == 0:
            self._log.debug("%s closed the connection without asking for an association", guest.host)
            self._statistics.rejected()
            self._close(guest)
            return
        verdict = guest.take(memoryview(room)[:n], self._settings.max_request_length)
        if verdict is Verdict.COMPLETE:
            self._complete(guest)
        elif verdict is Verdict.ABORTED:
            self._log.info("%s aborted before it asked for an association", guest.host)
            self._statistics.rejected()
            self._close(guest)
        elif verdict is Verdict.REFUSED:
            self._log.warning("%s sent no association request: %s", guest.host, guest.complaint)
            self._send_off(guest, _ABORT + bytes((guest.reason,)))

    def _complete(self, guest: Guest) -> None:
        self._forget(guest)
        guest.deadline = time.monotonic() + self._settings.patience_seconds
        # First among those who ask: an association that ends from here on wakes us.
        self._asking[guest.fd] = guest
        self._offer()

    def _offer(self) -> None:
        if self._asking and self._admit():
            guest = self._admitted = _oldest(self._asking)
            del self._asking[guest.fd]

    # Ways out

    def _evict(self, guest: Guest) -> None:
        self._log.warning("too many connections do not ask; the oldest, of %s, is refused", guest.host)
        self._send_off(guest, LOCAL_LIMIT_EXCEEDED)

    def _send_off(self, guest: Guest, last_words: bytes) -> None:
        """Answers and gives the peer time to read it: closing with its bytes unread would reset the
        connection."""
        self._statistics.rejected()
        self._forget(guest)
        try:
            guest.socket.send(last_words, socket.MSG_DONTWAIT)
            guest.socket.shutdown(socket.SHUT_WR)
        except OSError:
            guest.socket.close()
            return
        if len(self._leaving) >= self._settings.capacity:
            self._close(_oldest(self._leaving))
        guest.deadline = time.monotonic() + self._settings.linger_seconds
        self._leaving[guest.fd] = guest
        self._watch(guest)

    def _drain(self, guest: Guest) -> None:
        try:
            n = guest.socket.recv_into(self._receive_into, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            n = 0
        guest.drained += n
        if n == 0 or guest.drained > _DRAIN_LIMIT:
            self._close(guest)

    def _close(self, guest: Guest) -> None:
        self._forget(guest)
        self._leaving.pop(guest.fd, None)
        guest.socket.close()

    def _forget(self, guest: Guest) -> None:
        """Takes a guest out of the waiting ones and out of the epoll: from here on others own its socket."""
        if self._waiting.pop(guest.fd, None) is not None:
            of_host = self._hosts[guest.host]
            del of_host[guest.fd]
            if not of_host:
                del self._hosts[guest.host]
        if guest.watched:
            self._epoll.unregister(guest.fd)
            guest.watched = False

    def _watch(self, guest: Guest) -> None:
        self._epoll.register(guest.fd, select.EPOLLIN)
        guest.watched = True

    # Time

    def _seconds_to_next_deadline(self) -> float | None:
        deadlines = [_oldest(guests).deadline for guests in (self._asking, self._leaving) if guests]
        if self._waiting:
            deadlines.append(_oldest(self._waiting).since + self._settings.artim_seconds)
        if self._doors_open_at is not None:
            deadlines.append(self._doors_open_at)
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _expire(self, now: float) -> None:
        artim = self._settings.artim_seconds
        while self._waiting and (guest := _oldest(self._waiting)).since + artim <= now:
            self._log.info("%s did not ask for an association in time", guest.host)
            self._statistics.rejected()
            self._close(guest)
        while self._admitted is None and self._asking and (guest := _oldest(self._asking)).deadline <= now:
            self._offer()
            if self._admitted is None:
                del self._asking[guest.fd]
                self._log.warning("the association of %s is refused: as many as allowed are busy", guest.host)
                self._send_off(guest, LOCAL_LIMIT_EXCEEDED)
        while self._leaving and (guest := _oldest(self._leaving)).deadline <= now:
            self._close(guest)
        if self._doors_open_at is not None and self._doors_open_at <= now:
            self._open_doors()

    def _descriptors_ran_out(self) -> None:
        # The connection stays in the door's queue and would wake us again at once.
        if self._leaving:
            self._close(_oldest(self._leaving))
        elif self._waiting:
            self._evict(_oldest(self._waiting))
        elif self._doors_open_at is None:
            if not self._out_of_descriptors:
                self._log.error("no descriptors left for new connections")
            self._out_of_descriptors = True
            for fd in self._doors:
                self._epoll.unregister(fd)
            self._doors_open_at = time.monotonic() + _ACCEPT_AGAIN_SECONDS

    def _open_doors(self) -> None:
        self._doors_open_at = None
        for fd in self._doors:
            self._epoll.register(fd, select.EPOLLIN)

    def _close_all(self) -> None:
        for door in self._doors.values():
            door.close()
        for guests in (self._waiting, self._asking, self._leaving):
            for guest in guests.values():
                guest.socket.close()
            guests.clear()
        self._epoll.close()


def _oldest(guests: dict[int, Guest]) -> Guest:
    return next(iter(guests.values()))
