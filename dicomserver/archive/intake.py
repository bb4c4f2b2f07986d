"""Slots: empty files made ahead in intake/, whose names are durable before anybody writes into them.

One fsync of the folder pays for a batch of names, so that an instance needs one sync of its own and no more.
A thread makes the next batch as soon as half of the stock is taken. Numbers never come twice.
Unused slots stay open, so that handing one out is no system call; RLIMIT_NOFILE bounds the stock.
"""
from __future__ import annotations

import errno
import os
import resource
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from dicomserver.archive.durable import FILE_MODE, NEW_FILE, OPEN_FILE, unlink_if_there
from dicomserver.archive.errors import (IntakeBusy, IntakeError, IntakeFailed, IntakeFull, IntakeRefused,
                                        StorageFailed, reason_of, translated)
from dicomserver.archive.layout import DataDirectory, slot_name, start_of

SMALLEST_BATCH = 64
LARGEST_BATCH = 256
_DESCRIPTOR_SHARE = 8

Failure = tuple[type[IntakeError], str]


@dataclass(slots=True, frozen=True)
class Limits:
    """How much may wait for the mover before new instances wait too; how long they wait, in seconds."""

    slots: int = 1000
    octets: int = 1 << 30
    patience: float = 10.0


@dataclass(slots=True, eq=False)
class Slot:
    """An empty file under a durable name. The archive closes `fd`: in keep, discard or set_aside."""

    number: int
    fd: int

    @property
    def name(self) -> str:
        """The name in intake/."""
        return slot_name(self.number)


class Intake:
    """Hands out slots and counts those that wait for the mover. Thread-safe."""

    def __init__(self, directory: DataDirectory, limits: Limits = Limits()) -> None:
        self._directory = directory
        self._folder = directory.intake
        self._limits = limits
        self._stock: deque[Slot] = deque()
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._largest_batch = max(2, min(LARGEST_BATCH, descriptors // _DESCRIPTOR_SHARE))
        self._batch = min(SMALLEST_BATCH, self._largest_batch)
        self._next_number = directory.first_number()
        self._waiting: dict[int, int] = {}      # slot -> bytes
        self._waiting_octets = 0
        self._open = True           # False: take() leaves its fast path (refused, over a limit, closed)
        self._refusal: str | None = None
        self._closed = False
        self._attempts = 0          # batches tried, with or without success
        self._failure: Failure | None = None
        self._changed = threading.Condition()
        self._hungry = threading.Event()
        self._hungry.set()
        self._refiller = threading.Thread(target=self._refill, name="intake-refill")
        self._refiller.start()

    # -- slots

    def take(self) -> Slot:
        """The next slot; the caller owes it to keep, discard or set_aside.

        A few microseconds while there is stock and room. Raises IntakeBusy after the limits' patience,
        IntakeRefused, IntakeFull, IntakeFailed.
        """
        if self._open:
            try:
                slot = self._stock.popleft()
            except IndexError:
                return self._take_patiently()
            if len(self._stock) * 2 < self._batch and not self._hungry.is_set():
                self._hungry.set()
            return slot
        return self._take_patiently()

    def _take_patiently(self) -> Slot:
        deadline = time.monotonic() + self._limits.patience
        with self._changed:
            attempts = self._attempts
            while True:
                if self._closed:
                    raise IntakeRefused("the archive is closing")
                if self._refusal is not None:
                    raise IntakeRefused(self._refusal)
                if self._open:
                    if self._stock:
                        return self._stock.popleft()
                    # Only what was tried since we came counts: an old failure may be over.
                    if self._attempts > attempts and self._failure is not None:
                        kind, text = self._failure
                        raise kind(text)
                    self._hungry.set()
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise IntakeBusy("no slot became ready in time" if self._open
                                     else "too much waits for the mover")

    def keep(self, slot: Slot, file_length: int) -> None:
        """The slot holds an acknowledged instance: closes it and counts it as waiting for the mover, in any case.

        Raises StorageFailed where closing reports, late, that writing failed.
        """
        try:
            with translated(StorageFailed, "closing a slot"):
                self.release(slot)
        finally:
            self.adopt(slot.number, file_length)

    def release(self, slot: Slot) -> None:
        """Closes the slot's descriptor and no more. Raises OSError, closed all the same."""
        fd, slot.fd = slot.fd, -1
        os.close(fd)

    def adopt(self, number: int, file_length: int) -> None:
        """Counts a slot that recovery found, or that comes out of the trash, so that the limits hold for it too; a slot
        that both have found counts once."""
        with self._changed:
            self._waiting_octets += file_length - self._waiting.get(number, 0)
            self._waiting[number] = file_length
            self._decide()

    def gone(self, numbers: Iterable[int]) -> None:
        """These slots no longer wait: filed, deleted or set aside. Unknown numbers are ignored."""
        with self._changed:
            for number in numbers:
                self._waiting_octets -= self._waiting.pop(number, 0)
            self._decide()

    def discard(self, slot: Slot | int, *, durably: bool = False) -> None:
        """Closes and removes a slot whose instance nobody was promised. Its number is not used again.

        Where it cannot be removed it is emptied, if that can be done: what is complete the next start would take for an
        instance that was acknowledged, though another one may be by then, or the one that it repeats be deleted.
        """
        if isinstance(slot, Slot):
            if durably:
                with suppress(OSError):     # should its name come back, nothing does with it
                    _empty(slot.fd)
            with suppress(OSError):     # NFS and FUSE report here what could not be written: nobody wants it any more
                self.release(slot)
            slot = slot.number
        folder = self._directory.intakes.of(slot)
        with translated(StorageFailed, "removing a slot"):
            try:
                unlink_if_there(slot_name(slot), folder)
            except OSError:
                fd = os.open(slot_name(slot), os.O_RDWR | OPEN_FILE, dir_fd=folder.fd)
                try:
                    _empty(fd)
                finally:
                    os.close(fd)
                raise
            if durably:
                folder.sync()
        if slot in self._waiting:
            self.gone([slot])

    # -- the mover's word

    def refuse(self, reason: str) -> None:
        """The mover cannot move: take() raises IntakeRefused with the reason until `resume`."""
        with self._changed:
            self._refusal = reason
            self._decide()

    def resume(self) -> None:
        """The mover moves again."""
        with self._changed:
            self._refusal = None
            self._decide()

    @property
    def waiting(self) -> tuple[int, int]:
        """Slots and bytes that wait for the mover."""
        with self._changed:
            return len(self._waiting), self._waiting_octets

    def _decide(self) -> None:
        limits = self._limits
        self._open = (self._refusal is None and not self._closed and len(self._waiting) < limits.slots
                      and self._waiting_octets < limits.octets)
        self._changed.notify_all()

    # -- the refilling thread

    def _refill(self) -> None:
        while True:
            self._hungry.wait()
            self._hungry.clear()
            if self._closed:        # looked at after the clear: `close` does it the other way round
                return
            self._fill_up()

    def _fill_up(self) -> None:
        while not self._closed and (room := self._batch - len(self._stock)) > 0:
            failure = self._add(room)
            # Nearly run dry while the batch was made: the next one has to carry further.
            if failure is None and self._attempts > 1 and len(self._stock) < room + self._batch // 4:
                self._batch = min(self._batch * 2, self._largest_batch)
            if failure is not None or len(self._stock) * 2 >= self._batch:
                return

    def _add(self, number: int) -> Failure | None:
        made: list[Slot] = []
        failure: Failure | None = None
        try:
            for _ in range(number):
                made.append(self._create())
        except OSError as error:
            failure = _failure("no slot can be made", error)
        except Exception as error:
            failure = (IntakeFailed, f"no slot can be made: {error}")
        if made:
            try:
                self._folder.sync()
            except OSError as error:
                failure = _failure("the names of slots cannot be made durable", error)
                self._forget(made)
                made = []
        with self._changed:
            self._stock.extend(made)
            self._failure = failure
            self._attempts += 1
            self._changed.notify_all()
        return failure

    def _create(self) -> Slot:
        number = self._next_number
        if start_of(number) != self._directory.start:
            self._directory.next_start()
            number = self._directory.first_number()
        self._next_number = number + 1
        return Slot(number, os.open(slot_name(number), NEW_FILE, FILE_MODE, dir_fd=self._folder.fd))

    def _forget(self, slots: list[Slot]) -> None:
        for slot in slots:
            os.close(slot.fd)
        for slot in slots:
            try:
                unlink_if_there(slot.name, self._folder)
            except OSError:
                # Empty files without a header: the next start removes them.
                return

    def close(self) -> None:
        """Ends the thread and removes the stock. Slots taken before stay their takers' business."""
        with self._changed:
            self._closed = True
            self._decide()
        self._hungry.set()
        self._refiller.join()
        stock = list(self._stock)
        self._stock.clear()
        self._forget(stock)


def _empty(fd: int) -> None:
    if os.fstat(fd).st_nlink <= 1:      # under another name, in quarantine, it is somebody's
        os.ftruncate(fd, 0)
        os.fdatasync(fd)


def _failure(doing: str, error: OSError) -> Failure:
    kind = IntakeFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else IntakeFailed
    return kind, f"{doing}: {reason_of(error)}"
