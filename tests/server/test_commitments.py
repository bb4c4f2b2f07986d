"""From the acceptance of a storage commitment to its end, also across restarts."""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.commitments import CommitmentRequest, Reference
from dicomserver.archive.errors import CommitmentFailed
from dicomserver.index import IndexUnavailable
from dicomserver.server.commitments import Committer
from dicomserver.server.settings import CommitmentSettings, ServerSettings
from dicomserver.services.commitment import CommitmentRefused
from tests.server.conftest import SOP_CLASS
from tests.server.reporting import Association, Home

LOG = logging.getLogger("test.commitments")
SOON = CommitmentSettings(first_retry_seconds=0.02, longest_retry_seconds=0.05)


class Desk:
    """A committer over the tests' store, which can be started anew."""

    def __init__(self, store) -> None:
        self.store = store
        self.home = Home()
        self.settings = ServerSettings(ae_title="PACS", commitment=SOON, destinations={"HOME": self.home.destination})
        self.open()

    def open(self) -> None:
        self.committer = Committer(self.store.index, self.store.archive, self.settings, LOG)
        self.committer.start()

    def restart(self) -> None:
        """As after a kill, as far as what waits is concerned."""
        assert self.committer.stop()
        self.store.reopen()
        self.open()

    def ask(self, transaction: str = "1.2.77", references: list[Reference] | None = None, *,
            association: Association | None = None, requester: str = "MODALITY") -> Association:
        association = association or Association(None)
        references = references or [Reference(SOP_CLASS, "1.9")]
        self.committer.accept(CommitmentRequest(requester, transaction, time.time(), len(references)), references,
                              association)
        return association

    def waiting(self) -> int:
        return self.committer.figures()["commitmentsWaiting"]


@pytest.fixture
def desk(store) -> Iterator[Desk]:
    store.receive("1.9")
    one = Desk(store)
    yield one
    one.committer.stop()


def figures(desk: Desk) -> tuple[int, ...]:
    return tuple(desk.committer.figures().values())


def test_the_requesters_association_comes_first(desk: Desk, tools) -> None:
    association = desk.ask(association=Association(0))
    assert association.heard.wait(30)
    assert len(association.reports) == 1
    tools.wait_until(lambda: figures(desk) == (0, 1, 0, 0))
    assert list((desk.store.path / "commitments").iterdir()) == []


@pytest.mark.parametrize("answer", [None, 0x0110])
def test_else_it_goes_home(answer: int | None, desk: Desk, tools) -> None:
    with desk.home.open():
        desk.ask(association=Association(answer))
        assert desk.home.next() == ("PACS", 1, "1.2.77")
        tools.wait_until(lambda: figures(desk) == (0, 1, 0, 0))


def test_a_stranger_has_no_home(desk: Desk, tools, caplog: pytest.LogCaptureFixture) -> None:
    desk.ask(requester="STRANGER")
    tools.wait_until(lambda: figures(desk) == (0, 0, 1, 0))
    assert "STRANGER was not taken on its own association and is dropped" in caplog.text


def test_failures_are_counted_in_the_log_and_in_the_report(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with desk.home.open():
        desk.ask(references=[Reference(SOP_CLASS, "1.9"), Reference(SOP_CLASS, "1.10")])
        assert desk.home.next() == ("PACS", 2, "1.2.77")
    assert "1 of 2 instances are committed" in caplog.text


def test_what_waits_is_taken_up_at_the_next_start(desk: Desk, tools) -> None:
    desk.ask("1.1")
    desk.ask("1.2")
    tools.wait_until(lambda: desk.committer.figures()["commitmentRequestersFailing"] == 1)
    desk.restart()
    assert desk.waiting() == 2
    with pytest.raises(CommitmentRefused):
        desk.ask("1.1")
    with desk.home.open():
        assert {desk.home.next()[2], desk.home.next()[2]} == {"1.1", "1.2"}
        tools.wait_until(lambda: figures(desk) == (0, 2, 0, 0))
    desk.restart()
    assert desk.waiting() == 0


def test_the_files_are_read_again_after_a_restart(desk: Desk, tools) -> None:
    desk.ask()
    tools.wait_until(lambda: desk.committer.figures()["commitmentRequestersFailing"] == 1)
    desk.restart()
    path = desk.store.slot_path(desk.store.index.find("1.9").slot)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with desk.home.open():
        assert desk.home.next()[1] == 2


def test_what_cannot_be_understood_keeps_no_server_from_starting(desk: Desk, tools,
                                                                 caplog: pytest.LogCaptureFixture) -> None:
    desk.ask()
    tools.wait_until(lambda: desk.committer.figures()["commitmentRequestersFailing"] == 1)
    (file,) = (desk.store.path / "commitments").iterdir()
    file.write_bytes(b"?")
    desk.restart()
    assert desk.waiting() == 0
    assert "cannot be understood" in caplog.text


def test_one_that_is_under_way_is_not_begun_again(desk: Desk, tools) -> None:
    desk.ask()
    with pytest.raises(CommitmentRefused) as refused:
        desk.ask()
    assert refused.value.status == 0x0131
    with desk.home.open():
        desk.home.next()
        tools.wait_until(lambda: desk.waiting() == 0)
    desk.ask()


def refusal(desk: Desk, transaction: str, requester: str = "MODALITY") -> int:
    with pytest.raises(CommitmentRefused) as refused:
        desk.ask(transaction, requester=requester)
    return refused.value.status


def test_not_too_many_wait(desk: Desk, tools) -> None:
    desk.settings = ServerSettings(destinations=desk.settings.destinations, commitment=CommitmentSettings(
        most_waiting=2, most_of_strangers=0))
    desk.committer.configure(desk.settings)
    assert refusal(desk, "1.0", "STRANGER") == 0x0213
    desk.ask("1.1")
    desk.ask("1.2")
    assert refusal(desk, "1.3") == 0x0213


def test_a_disk_that_fails_refuses(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise CommitmentFailed("writing", 5)
    monkeypatch.setattr(desk.store.archive.commitments, "add", fail)
    assert refusal(desk, "1.1") == 0x0213
    monkeypatch.undo()
    monkeypatch.setattr(Archive, "is_short", True)
    assert refusal(desk, "1.1") == 0x0213
    assert desk.waiting() == 0


def test_an_index_that_fails_puts_the_check_off(desk: Desk, monkeypatch: pytest.MonkeyPatch,
                                                caplog: pytest.LogCaptureFixture) -> None:
    real, failed = desk.store.index.find, threading.Event()

    def find(uid: str):
        if not failed.is_set():
            failed.set()
            raise IndexUnavailable("locked")
        return real(uid)
    monkeypatch.setattr(desk.store.index, "find", find)
    with desk.home.open():
        desk.ask()
        assert desk.home.next()[1] == 1
    assert "put off: locked" in caplog.text


def test_a_request_that_is_lost_on_the_disk_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch, tools,
                                                        caplog: pytest.LogCaptureFixture) -> None:
    real = desk.store.archive.commitments.add

    def add(*arguments):
        name = real(*arguments)
        (desk.store.path / "commitments" / name).write_bytes(b"?")
        return name
    monkeypatch.setattr(desk.store.archive.commitments, "add", add)
    desk.ask()
    tools.wait_until(lambda: figures(desk) == (0, 0, 1, 0))
    assert "gets no report" in caplog.text


def test_a_new_destination_is_used_at_once(desk: Desk, tools) -> None:
    desk.ask()
    tools.wait_until(lambda: desk.committer.figures()["commitmentRequestersFailing"] == 1)
    moved = Home()
    desk.committer.configure(ServerSettings(ae_title="NEW", commitment=SOON, destinations={
        "MODALITY": moved.destination}))
    with moved.open():
        assert moved.next()[0] == "NEW"


def test_a_stop_breaks_a_check_off_and_keeps_the_request(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def verify(_: object) -> None:
        begun.set()
        assert stopped.wait(30)
    monkeypatch.setattr(desk.store.archive, "verify", verify)
    desk.store.receive("1.10")
    desk.ask(references=[Reference(SOP_CLASS, "1.9"), Reference(SOP_CLASS, "1.10")])
    assert begun.wait(30)
    stopper = threading.Thread(target=desk.committer.stop)
    stopper.start()
    stopped.set()
    stopper.join(30)
    assert not stopper.is_alive() and not desk.committer.alive
    assert len(list((desk.store.path / "commitments").iterdir())) == 1
