"""The outbox of one requester: retried until delivered, checked again when old, given up in the end."""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from dicomserver.archive.commitments import CommitmentRequest, Reference
from dicomserver.archive.errors import ArchiveDamaged
from dicomserver.server.courier import Courier
from dicomserver.server.outbox import Commitment, Outbox
from dicomserver.server.settings import CommitmentSettings
from dicomserver.services.commitment_report import event_report
from dicomserver.services.move import Destination
from dicomserver.session.association import Deadlines
from dicomserver.wire.command import CommandSet
from tests.server.reporting import Home

LOG = logging.getLogger("test.outbox")
SOON = CommitmentSettings(first_retry_seconds=0.01, longest_retry_seconds=0.05)


class Office:
    """Writes down what becomes of the commitments. known: where the requester is."""

    def __init__(self, settings: CommitmentSettings, known: Destination | None) -> None:
        self.settings = settings
        self.known = known
        self.asked = 0
        self.broken: set[str] = set()
        self.finished: list[tuple[str, bool]] = []
        self.to_check: list[str] = []
        self.changed = threading.Condition()

    def destination(self, requester: str) -> Destination | None:
        assert requester == "MODALITY"
        self.tell(lambda: setattr(self, "asked", self.asked + 1))
        return self.known

    def report(self, commitment: Commitment, transfer_syntax: str) -> tuple[CommandSet, bytes]:
        if commitment.name in self.broken:
            raise ArchiveDamaged("it cannot be understood")
        return event_report(commitment.request.transaction_uid, [Reference("1.2", "1.3")], [0], "PACS", transfer_syntax)

    def check_again(self, commitment: Commitment) -> None:
        self.tell(lambda: self.to_check.append(commitment.name))

    def finish(self, commitment: Commitment, *, delivered: bool) -> None:
        self.tell(lambda: self.finished.append((commitment.name, delivered)))

    def tell(self, change) -> None:
        with self.changed:
            change()
            self.changed.notify_all()

    def wait_for(self, true) -> None:
        with self.changed:
            assert self.changed.wait_for(true, 30)


class Post:
    """An outbox with its office and its requester."""

    def __init__(self, settings: CommitmentSettings = SOON) -> None:
        self.home = Home()
        self.office = Office(settings, self.home.destination)
        self.courier = Courier("PACS", Deadlines(idle=20))
        self.outbox = Outbox("MODALITY", self.office, self.courier, LOG)

    def put(self, name: str, *, age: float = 0.0, checked_at: float | None = None) -> None:
        request = CommitmentRequest("MODALITY", f"1.2.{name}", time.time() - age, 1)
        self.outbox.post(Commitment(name, request, reasons=[0],
                                    checked_at=time.monotonic() if checked_at is None else checked_at))

    def close(self) -> None:
        self.outbox.stop()
        self.courier.stop()
        self.outbox.join()


@pytest.fixture
def post() -> Iterator[Post]:
    one = Post()
    yield one
    one.close()


def test_what_waits_goes_in_one_visit_and_in_its_order(post: Post) -> None:
    for name in "123":
        post.put(name)
    with post.home.open():
        post.office.wait_for(lambda: len(post.office.finished) == 3)
    assert post.office.finished == [("1", True), ("2", True), ("3", True)]


def test_it_is_tried_until_the_requester_is_there(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "test.outbox")
    post.put("1")
    post.office.wait_for(lambda: post.office.asked > 3)
    assert post.outbox.failing
    with post.home.open():
        post.office.wait_for(lambda: post.office.finished == [("1", True)])
    post.close()
    assert not post.outbox.failing
    said = [record.message for record in caplog.records]
    assert [line for line in said if "cannot be reached" in line] == said[:1]      # once, not at each try
    assert said[1:] == ["reports of storage commitment reach MODALITY again"]


def test_one_refused_report_does_not_hold_up_the_others(post: Post) -> None:
    answers = iter((0x0110, 0, 0, 0))
    post.home.answer = lambda: next(answers)
    with post.home.open():
        post.put("1")
        post.office.wait_for(lambda: post.office.asked > 1)
        post.put("2")
        post.office.wait_for(lambda: len(post.office.finished) == 2)
    assert set(post.office.finished) == {("1", True), ("2", True)}


def test_a_report_that_cannot_be_made_does_not_hold_up_the_others(post: Post) -> None:
    post.office.broken.add("1")
    post.put("1")
    post.put("2")
    with post.home.open():
        post.office.wait_for(lambda: len(post.office.finished) == 2)
    assert post.office.finished == [("1", False), ("2", True)]


def test_an_old_one_is_given_up(post: Post) -> None:
    post.put("1", age=8 * 86400)
    post.office.wait_for(lambda: post.office.finished == [("1", False)])
    assert post.office.asked == 0


def test_an_old_outcome_is_checked_again_once_the_requester_is_there(post: Post) -> None:
    post.put("1", checked_at=time.monotonic() - 3601)
    post.office.wait_for(lambda: post.office.asked > 2)
    assert post.office.to_check == []
    with post.home.open():
        post.office.wait_for(lambda: post.office.to_check == ["1"])
    assert post.home.heard.empty()


def test_a_requester_that_is_not_known_yet(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    post.office.known = None
    post.put("1")
    post.office.wait_for(lambda: post.office.asked > 1)
    post.office.known = post.home.destination
    with post.home.open():
        post.office.wait_for(lambda: post.office.finished == [("1", True)])
    assert "it is not in knownDestinations" in caplog.text


def test_a_change_is_tried_at_once() -> None:
    post = Post(CommitmentSettings(first_retry_seconds=3600))
    try:
        post.put("1")
        post.office.wait_for(lambda: post.office.asked == 1)
        with post.home.open():
            post.outbox.hasten()
            # The first visit may still be under way: then what it plans comes after the change.
            threading.Timer(1, post.outbox.hasten).start()
            post.office.wait_for(lambda: post.office.finished == [("1", True)])
    finally:
        post.close()


def test_a_stop_does_not_wait_for_the_next_try() -> None:
    post = Post(CommitmentSettings(first_retry_seconds=3600))
    post.put("1")
    post.office.wait_for(lambda: post.office.asked == 1)
    post.close()
    assert post.office.finished == []
