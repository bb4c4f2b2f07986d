from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomserver.archive import intake as module
from dicomserver.archive.durable import NEW_FILE
from dicomserver.archive.errors import IntakeBusy, IntakeFailed, IntakeFull, IntakeRefused, StorageFailed
from dicomserver.archive.intake import LARGEST_BATCH, Intake, Limits, Slot
from dicomserver.archive.layout import DataDirectory
from tests.archive.files import names


@pytest.fixture
def directory(data: Path) -> Iterator[DataDirectory]:
    opened = DataDirectory(data)
    yield opened
    opened.close()


@pytest.fixture
def intake(directory: DataDirectory) -> Iterator[Intake]:
    opened = Intake(directory, Limits(patience=20))
    yield opened
    opened.close()


@pytest.fixture
def small(directory: DataDirectory) -> Iterator[Intake]:
    """An intake in which little may wait, and not for long; its stock is there."""
    opened = Intake(directory, Limits(slots=4, octets=1000, patience=0.05))
    with opened._changed:
        opened._changed.wait_for(lambda: opened._stock)
    yield opened
    opened.close()


def fail_late(monkeypatch: pytest.MonkeyPatch, slot: Slot) -> None:
    """Closing it reports a write that failed, as NFS and FUSE do."""
    real, number = os.close, slot.fd

    def close(fd: int) -> None:
        real(fd)
        if fd == number:
            monkeypatch.setattr(os, "close", real)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "close", close)


def drain(intake: Intake) -> list[Slot]:
    """Takes all slots while no new ones can be made."""
    slots = []
    try:
        while True:
            slots.append(intake.take())
    except (IntakeFull, IntakeFailed):
        return slots


def test_a_slot_is_an_empty_private_file(intake: Intake, data: Path) -> None:
    slot = intake.take()
    path = data / "intake" / slot.name
    assert path.stat().st_size == 0
    assert path.stat().st_mode & 0o7777 == 0o600
    assert os.path.samestat(path.stat(), os.fstat(slot.fd))
    assert not os.get_inheritable(slot.fd)
    assert NEW_FILE & os.O_EXCL
    os.pwrite(slot.fd, b"x", 0)
    assert os.pread(slot.fd, 9, 0) == b"x"
    intake.discard(slot)
    assert not path.exists()


def test_a_name_is_durable_before_its_slot_is_handed_out(directory: DataDirectory, data: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    durable: set[str] = set()
    real = os.fsync

    def fsync(fd: int) -> None:
        before = names(data / "intake")
        real(fd)
        durable.update(before)

    monkeypatch.setattr(os, "fsync", fsync)
    intake = Intake(directory)
    for _ in range(1000):
        slot = intake.take()
        assert slot.name in durable
        intake.discard(slot)
    intake.close()


def test_a_lone_scanner_never_waits(directory: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when each sync takes long: the next batch is begun while half of the stock is left."""
    real = os.fsync
    syncing, may_sync = threading.Event(), threading.Event()
    may_sync.set()

    def slow(fd: int) -> None:
        syncing.set()
        may_sync.wait()
        real(fd)

    monkeypatch.setattr(os, "fsync", slow)
    intake = Intake(directory, Limits(patience=5))
    monkeypatch.setattr(intake, "_take_patiently", lambda: pytest.fail("it waited"))
    with intake._changed:
        intake._changed.wait_for(lambda: intake._stock)
    syncing.clear()
    may_sync.clear()
    half = module.SMALLEST_BATCH // 2
    for _ in range(half + 1):
        intake.discard(intake.take())
    assert syncing.wait(5)          # the refill is under way, and as many again are there meanwhile
    for _ in range(half - 1):
        intake.discard(intake.take())
    may_sync.set()
    intake.close()


def test_numbers_never_come_twice(data: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        directory = DataDirectory(data)
        intake = Intake(directory)
        for _ in range(100):
            slot = intake.take()
            seen.append(slot.number)
            intake.discard(slot)
        intake.close()
        directory.close()
    assert len(set(seen)) == 300
    assert seen == sorted(seen)
    assert all(0 < number < 1 << 63 for number in seen)


def test_a_used_up_range_is_followed_by_a_new_start(directory: DataDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    last = (directory.start << 32) + (1 << 32) - 1
    asked = iter([last])        # and from then on the real one, which the refilling thread may ask at once
    monkeypatch.setattr(directory, "first_number", lambda: next(asked, None) or DataDirectory.first_number(directory))
    intake = Intake(directory)
    numbers = []
    for _ in range(3):
        slot = intake.take()
        numbers.append(slot.number)
        intake.discard(slot)
    intake.close()
    assert numbers[0] == last
    assert numbers[1] == last + 2       # 0 is no counter


def test_many_threads_take_different_slots(directory: DataDirectory, data: Path) -> None:
    intake = Intake(directory)
    taken: list[list[int]] = [[] for _ in range(6)]

    def storm(mine: list[int]) -> None:
        for _ in range(500):
            slot = intake.take()
            mine.append(slot.number)
            intake.discard(slot)

    threads = [threading.Thread(target=storm, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    intake.close()
    assert len({number for mine in taken for number in mine}) == 3000
    assert names(data / "intake") == []


def test_the_batch_grows_under_load_up_to_its_limit(directory: DataDirectory) -> None:
    intake = Intake(directory)
    assert intake._batch == module.SMALLEST_BATCH
    for _ in range(3000):
        intake.discard(intake.take())
    assert module.SMALLEST_BATCH < intake._batch <= LARGEST_BATCH
    intake.close()


def test_the_stock_follows_the_limit_of_descriptors(directory: DataDirectory) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        intake = Intake(directory)
        slots = [intake.take() for _ in range(100)]
        assert intake._batch <= 32
        for slot in slots:
            intake.discard(slot)
        intake.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_closing_removes_the_unused(directory: DataDirectory, data: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    intake = Intake(directory)
    slot = intake.take()
    os.pwrite(slot.fd, b"x", 0)
    intake.keep(slot, 1)
    intake.close()
    assert names(data / "intake") == [slot.name]
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(IntakeRefused, match="closing"):
        intake.take()


def test_a_slot_goes_whatever_closing_it_says(intake: Intake, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = intake.take()
    fail_late(monkeypatch, slot)
    intake.discard(slot, durably=True)
    assert slot.name not in names(data / "intake")



def test_what_has_another_name_is_not_emptied(intake: Intake, data: Path) -> None:
    slot = intake.take()
    os.write(slot.fd, b"kept")
    os.link(data / "intake" / slot.name, data / "quarantine" / "it")
    intake.discard(slot, durably=True)
    assert (data / "quarantine" / "it").read_bytes() == b"kept"


def test_a_slot_that_may_not_be_whole_waits_all_the_same(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    slot = intake.take()
    fail_late(monkeypatch, slot)
    with pytest.raises(StorageFailed, match="closing a slot: No space left"):
        intake.keep(slot, 5)
    assert intake.waiting == (1, 5)


def test_too_many_slots_wait(small: Intake) -> None:
    slots = [small.take() for _ in range(5)]
    for slot in slots[:4]:
        small.keep(slot, 10)
    assert small.waiting == (4, 40)
    with pytest.raises(IntakeBusy, match="waits for the mover"):
        small.take()
    small.gone([slots[0].number, 99])
    assert small.waiting == (3, 30)
    small.discard(small.take())
    small.discard(slots[4])


def test_too_many_bytes_wait(small: Intake) -> None:
    small.adopt(7, 999)
    small.discard(small.take())
    small.adopt(8, 1)
    with pytest.raises(IntakeBusy):
        small.take()
    small.gone([7, 8])
    small.discard(small.take())


def test_a_waiting_store_goes_on_as_soon_as_there_is_room(directory: DataDirectory) -> None:
    intake = Intake(directory, Limits(slots=1, patience=20))
    intake.adopt(7, 1)
    intake.adopt(7, 1)      # found twice
    got: list[Slot] = []
    thread = threading.Thread(target=lambda: got.append(intake.take()))
    thread.start()
    intake.gone([7])
    thread.join(10)
    assert len(got) == 1
    intake.discard(got[0])
    intake.close()


def test_closing_wakes_those_who_wait(directory: DataDirectory) -> None:
    intake = Intake(directory, Limits(slots=1, patience=20))
    intake.adopt(7, 1)
    refused = threading.Event()

    def wait() -> None:
        with pytest.raises(IntakeRefused):
            intake.take()
        refused.set()

    thread = threading.Thread(target=wait)
    thread.start()
    intake.close()
    thread.join(10)
    assert refused.is_set()


@pytest.mark.parametrize("before", [0, 1])
def test_closing_is_heard_while_the_thread_has_just_been_woken(directory: DataDirectory, before: int,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """before: so often it clears its bell until we close in that moment."""
    intake = Intake(directory)
    hungry, wake, forget = intake._hungry, intake._hungry.set, intake._hungry.clear
    closing, woken = threading.Thread(target=intake.close), threading.Event()

    def set_and_tell() -> None:
        wake()
        woken.set()

    def clear_when_closing() -> None:
        nonlocal before
        before -= 1
        if before >= 0:
            forget()
            return
        closing.start()
        assert woken.wait(10)
        forget()

    with intake._changed:
        intake._changed.wait_for(lambda: intake._stock)
    monkeypatch.setattr(hungry, "set", set_and_tell)
    monkeypatch.setattr(hungry, "clear", clear_when_closing)
    for _ in range(100):
        wake()
        if woken.wait(0.1):
            break
    assert woken.is_set()
    closing.join(5)
    is_over = not closing.is_alive()
    wake()
    closing.join(10)
    assert is_over and not intake._refiller.is_alive()


def test_a_mover_that_cannot_move(intake: Intake) -> None:
    intake.refuse("the disk is full")
    with pytest.raises(IntakeRefused, match="^the disk is full$"):
        intake.take()
    intake.resume()
    intake.discard(intake.take())


def refuse_new_files(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = os.open

    def failing(path: str, flags: int, *arguments: int, **keywords: int) -> int:
        if flags & os.O_EXCL:
            raise OSError(number, os.strerror(number))
        return real(path, flags, *arguments, **keywords)

    monkeypatch.setattr(os, "open", failing)


@pytest.mark.parametrize(("number", "kind"), [
    (errno.ENOSPC, IntakeFull), (errno.EDQUOT, IntakeFull), (errno.EMFILE, IntakeFailed), (errno.EIO, IntakeFailed),
])
def test_no_slot_can_be_made(intake: Intake, monkeypatch: pytest.MonkeyPatch, number: int, kind: type) -> None:
    with monkeypatch.context() as patch:
        refuse_new_files(patch, number)
        slots = drain(intake)
        with pytest.raises(kind, match=os.strerror(number)):
            intake.take()
    intake.discard(intake.take())       # works again at once
    for slot in slots:
        intake.discard(slot)


def test_names_that_could_not_be_made_durable_are_given_up(intake: Intake, monkeypatch: pytest.MonkeyPatch,
                                                           data: Path) -> None:
    slots = [intake.take()]
    with monkeypatch.context() as patch:
        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "")
        patch.setattr(os, "fsync", fail)
        slots += drain(intake)
    # What the next sync would say proves nothing: those made next might be lost with the folder's block.
    with pytest.raises(IntakeFailed, match="started again"):
        intake.take()
    for slot in slots:
        intake.discard(slot)
    intake.close()
    assert names(data / "intake") == []


def test_a_part_of_a_batch_is_used(intake: Intake) -> None:
    """The limit of descriptors is met in the middle of a batch: what was made is handed out."""
    drained = [intake.take() for _ in range(module.SMALLEST_BATCH)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(fd) for fd in os.listdir("/proc/self/fd")) + 8, hard))
    try:
        more = drain(intake)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(more) >= 2
    for slot in [*drained, *more]:
        intake.discard(slot)
