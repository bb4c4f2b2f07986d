import errno
import logging
import queue
import threading

import pytest

from dicomserver.archive.errors import FilingFailed
from dicomserver.archive.filing import Outcome, Result, Waiting
from dicomserver.index import Stored
from dicomserver.server.mover import Mover
from dicomserver.server.settings import MoverSettings
from dicomserver.standard.uids import EXPLICIT_VR_LE


class Rooms:
    """Index and archive in one: writes down what happens, fails on demand, and can be held inside file_batch."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.batches: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self.result = Result.FILED
        self.rows: dict[str, Stored] = {}
        self.sync_error: Exception | None = None
        self.filing_error: Exception | None = None
        self.inside = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.refusals: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.resumed = threading.Event()
        self.arrivals = self
        self.arrived = 0

    def add(self, day, octets):
        self.arrived += octets

    def make_durable(self):
        self.calls.append("make_durable")
        if self.sync_error:
            raise self.sync_error

    def file_batch(self, batch):
        self.calls.append("file_batch")
        self.inside.set()
        assert self.go_on.wait(10)
        if self.filing_error:
            raise self.filing_error
        self.batches.put([waiting.slot for waiting in batch])
        return [Outcome(waiting, self.result) for waiting in batch]

    def checkpoint(self):
        self.calls.append("checkpoint")

    def find(self, sop_instance_uid):
        return self.rows.get(sop_instance_uid)

    def refuse(self, reason):
        self.refusals.put(reason)

    def resume(self):
        self.resumed.set()


@pytest.fixture
def rooms():
    return Rooms()


@pytest.fixture
def mover(rooms):
    movers = []

    def start(**settings) -> Mover:
        settings = {"interval_seconds": 60.0, "first_retry_seconds": 60.0} | settings
        mover = Mover(rooms, rooms, MoverSettings(**settings), logging.getLogger("test.mover"))
        mover.start()
        movers.append(mover)
        return mover

    yield start
    rooms.go_on.set()
    for one in movers:
        one.stop()
        assert not one.alive


def instance(slot: int, octets: int = 100) -> Waiting:
    return Waiting(slot, "1.2", "1.2.3", f"1.2.3.{slot}", octets)


def row(slot: int) -> Stored:
    return Stored("1.2", "1.2.3", f"1.2.3.{slot}", "1.2.840.10008.5.1.4.1.1.7", EXPLICIT_VR_LE, slot, 100, 50, 1, 1, 0)


def test_the_order_is_sync_then_file_then_checkpoint(rooms, mover):
    patient = mover()
    patient.add(instance(1))
    assert patient.flush()
    assert rooms.calls == ["make_durable", "file_batch", "checkpoint"]


def test_a_full_batch_does_not_wait_for_the_interval(rooms, mover):
    eager = mover(batch=3)
    for slot in (1, 2, 3):
        eager.add(instance(slot))
    assert rooms.batches.get(timeout=10) == [1, 2, 3]


def test_many_bytes_do_not_wait_for_the_interval(rooms, mover):
    eager = mover(batch_octets=1000)
    eager.add(instance(1, 1000))
    assert rooms.batches.get(timeout=10) == [1]


def test_a_few_instances_go_after_the_interval(rooms, mover):
    quick = mover(interval_seconds=0.05)
    quick.add(instance(1))
    assert rooms.batches.get(timeout=10) == [1]


def test_with_nothing_to_do_it_does_nothing(rooms, mover):
    assert mover(interval_seconds=0.001).flush()
    assert rooms.calls == []


def test_while_it_fails_stores_are_refused_and_it_recovers_by_itself(rooms, mover, caplog, tools):
    failing = mover(batch=1, first_retry_seconds=0.05, longest_retry_seconds=0.05)
    rooms.filing_error = FilingFailed("filing instances", errno.ENOSPC)
    failing.add(instance(1))
    assert rooms.refusals.get(timeout=10) == "filing instances: No space left on device"
    tools.wait_until(lambda: failing.failing)
    failing.add(instance(2))
    rooms.refusals.get(timeout=10)
    rooms.filing_error = None
    assert rooms.resumed.wait(10)
    assert rooms.batches.get(timeout=10) == [1, 2]
    assert failing.flush() and not failing.failing and failing.waiting == 0
    assert caplog.text.count("cannot be filed") == 1 and "storing works again" in caplog.text


def test_storing_works_again_though_all_that_waited_was_deleted(rooms, mover, tools):
    failing = mover(batch=1, first_retry_seconds=0.2)
    rooms.filing_error = FilingFailed("filing instances", errno.ENOSPC)
    failing.add(instance(1))
    tools.wait_until(lambda: failing.failing)
    assert failing.forget([1]) == [instance(1)]
    rooms.filing_error = None
    assert rooms.resumed.wait(10)
    tools.wait_until(lambda: not failing.failing)
    assert rooms.batches.get(timeout=10) == []


def test_a_pass_without_instances_is_no_success_of_itself(rooms, mover, tools):
    failing = mover(batch=1)
    rooms.filing_error = FilingFailed("filing instances", errno.ENOSPC)
    failing.add(instance(1))
    tools.wait_until(lambda: failing.failing)
    failing.forget([1])
    failing.stop()
    assert failing.failing and not rooms.resumed.is_set()
    assert rooms.calls.count("file_batch") == 2


def test_nothing_is_filed_whose_row_is_not_durable(rooms, mover):
    failing = mover()
    rooms.sync_error = OSError(errno.EIO, "DOE^JOHN")
    failing.add(instance(1))
    assert not failing.flush()
    reason = rooms.refusals.get(timeout=10)
    assert "EIO" in reason and "DOE" not in reason
    assert rooms.calls == ["make_durable"]
    rooms.sync_error = None


def test_a_failing_mover_is_not_driven_by_new_instances_but_by_its_pause(rooms, mover):
    failing = mover(batch=1)
    rooms.filing_error = FilingFailed("filing instances", errno.EIO)
    failing.add(instance(1))
    rooms.refusals.get(timeout=10)
    for slot in range(2, 20):
        failing.add(instance(slot))
    assert rooms.calls.count("file_batch") == 1
    rooms.filing_error = None


def test_a_flush_covers_what_was_added_during_the_pass_under_way(rooms, mover):
    held = mover(batch=1)
    rooms.go_on.clear()
    held.add(instance(1))
    assert rooms.inside.wait(10)
    held.add(instance(2))
    assert held.waiting == 2
    flushed = threading.Thread(target=held.flush)
    flushed.start()
    rooms.go_on.set()
    flushed.join(10)
    assert not flushed.is_alive()
    assert [rooms.batches.get(timeout=10), rooms.batches.get(timeout=10)] == [[1], [2]]


def test_what_is_forgotten_is_not_filed(rooms, mover):
    patient = mover()
    patient.add(instance(1))
    patient.add(instance(2))
    assert patient.forget([2, 3]) == [instance(2)]
    assert patient.flush()
    assert rooms.batches.get(timeout=10) == [1]


def test_forgetting_waits_for_the_pass_that_has_it(rooms, mover):
    held = mover(batch=1)
    rooms.go_on.clear()
    held.add(instance(1))
    assert rooms.inside.wait(10)
    forgotten = []
    asking = threading.Thread(target=lambda: forgotten.append(held.forget([1])))
    asking.start()
    asking.join(0.1)
    assert asking.is_alive()
    rooms.go_on.set()
    asking.join(10)
    assert forgotten == [[]]


def test_stop_moves_the_rest(rooms, mover):
    patient = mover()
    patient.add(instance(1))
    assert patient.stop()
    assert rooms.batches.get(timeout=10) == [1]


def test_stop_tries_once_and_says_what_stays(rooms, mover):
    failing = mover()
    rooms.filing_error = FilingFailed("filing instances", errno.ENOSPC)
    failing.add(instance(1))
    assert not failing.stop()
    assert rooms.calls.count("file_batch") == 1 and failing.waiting == 1


def test_a_loss_is_reported(rooms, mover, caplog):
    caplog.set_level(logging.DEBUG)
    patient = mover()
    rooms.result = Result.MISSING
    rooms.rows = {"1.2.3.1": row(1), "1.2.3.2": row(7)}     # the second was deleted and stored again
    for slot in (1, 2, 3):
        patient.add(instance(slot))
    assert patient.flush()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "1 instances were gone from the intake before they were filed"),
        ("DEBUG", "2 instances were deleted before they were filed")]


def test_what_is_blocked_is_told_once_and_tried_again_with_the_next(rooms, mover, caplog):
    patient = mover()
    rooms.result = Result.BLOCKED
    patient.add(instance(1))
    assert patient.flush() and not patient.failing and patient.waiting == 1
    patient.add(instance(2))
    assert patient.flush() and patient.waiting == 2
    assert [rooms.batches.get(timeout=10), rooms.batches.get(timeout=10)] == [[1], [1, 2]]
    assert [record.message.split(",")[0] for record in caplog.records] == ["1 images cannot be filed"] * 2
    assert "1.2.3" not in caplog.text
    assert patient.forget([1]) == [instance(1)]
    rooms.result = Result.FILED
    patient.add(instance(3))
    assert patient.flush() and patient.waiting == 0
    assert rooms.batches.get(timeout=10) == [2, 3]


def test_what_is_blocked_waits_once_after_a_pass_that_failed(rooms, mover):
    patient = mover()
    rooms.result = Result.BLOCKED
    patient.add(instance(1))
    assert patient.flush()
    rooms.filing_error = FilingFailed("filing instances", errno.EIO)
    patient.add(instance(2))
    assert not patient.flush() and patient.waiting == 2
    assert patient.forget([1, 2]) == [instance(2), instance(1)] and patient.waiting == 0


def test_what_was_deleted_is_no_loss(rooms, mover, caplog):
    patient = mover()
    rooms.result = Result.MISSING
    patient.add(instance(1))
    assert patient.flush()
    assert "ERROR" not in caplog.text


@pytest.mark.parametrize("result, octets", [(Result.FILED, 300), (Result.REPLACED, 300), (Result.ALREADY, 0),
                                            (Result.MISSING, 0)])
def test_what_came_is_added_up(rooms, mover, result, octets):
    patient = mover()
    rooms.result = result
    patient.add(instance(1, 100))
    patient.add(instance(2, 200))
    assert patient.flush()
    assert rooms.arrived == octets
