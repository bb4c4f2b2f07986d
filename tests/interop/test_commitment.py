"""Storage commitment with pynetdicom as the modality, over the installed server."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import pytest

from tests.interop.installed import Installed, free_port, wait_until
from tests.interop.requester import Requester, ask, reference
from tests.interop.sender import Sender
from tests.interop.stored import Sent
from tests.interop.synthetic import CT, EXPLICIT, instance

MR = "1.2.840.10008.5.1.4.1.1.4"
TRANSACTION = "1.2.3.77"


def store(server: Installed, instances: Iterable[Sent]) -> None:
    with Sender(server.port, [(CT, [EXPLICIT])]) as association:
        for sent in instances:
            assert association.store(1, sent.sop_class, sent.sop_instance, sent.dataset).status == 0


@pytest.fixture
def home() -> int:
    """The port on which the requester can be visited."""
    return free_port()


def known(home: int) -> dict:
    """The requester as a destination, under a name that is not its AE title."""
    return {"CT in room 2": {"host": "127.0.0.1", "port": home, "aeTitle": "MODALITY"}}


def test_a_report_on_the_same_association(server: Installed) -> None:
    sent = [instance(1, number) for number in range(1, 4)]
    store(server, sent)
    requester = Requester()
    with requester.associated(server.port) as association:
        assert ask(association, TRANSACTION, list(map(reference, sent))) == 0
        report = requester.report()
        assert (report.event_type, report.transaction, report.failed) == (1, TRANSACTION, {})
        assert report.committed == set(map(reference, sent))
        assert report.dataset.RetrieveAETitle == "DICOMKIT_SCP"
        wait_until(lambda: server.stats()["commitmentsWaiting"] == 0)
    # The transaction is over, and may come again.
    with requester.associated(server.port) as association:
        assert ask(association, TRANSACTION, [reference(sent[0])]) == 0
        assert requester.report().committed == {reference(sent[0])}
        wait_until(lambda: server.stats()["commitmentsReported"] == 2)
    assert list((server.data / "commitments").iterdir()) == []


def test_what_is_not_stored_whole_is_not_committed(install: Callable[..., Installed]) -> None:
    server = install().start()
    good, flipped, gone, conflicting = (instance(2, number) for number in range(1, 5))
    store(server, [good, flipped, gone, conflicting])
    server.filed(4)
    path = server.data / flipped.path
    content = bytearray(path.read_bytes())
    content[-7] ^= 0x10
    path.write_bytes(content)
    (server.data / gone.path).unlink()
    requester = Requester()
    with requester.associated(server.port) as association:
        never = (CT, "1.2.3.4.5.6.7")
        asked = [reference(good), reference(flipped), reference(gone), (MR, conflicting.sop_instance), never]
        assert ask(association, TRANSACTION, asked) == 0
        report = requester.report()
    assert (report.event_type, report.committed) == (2, {reference(good)})
    assert report.failed == {reference(flipped): 0x0110, reference(gone): 0x0112,
                             (MR, conflicting.sop_instance): 0x0119, never: 0x0112}
    assert any("damaged" in line for line in server.lines)


def test_five_thousand_references_are_accepted_at_once(install: Callable[..., Installed]) -> None:
    server = install().start()
    sent = instance(3, 1)
    store(server, [sent])
    missing = [(CT, f"1.2.826.0.1.3680043.9.99999.1234567890.1234567890.{number}") for number in range(4999)]
    requester = Requester()
    with requester.associated(server.port) as association:
        assert ask(association, TRANSACTION, [*missing, reference(sent)]) == 0
        report = requester.report()
    assert report.committed == {reference(sent)}
    assert report.failed == dict.fromkeys(missing, 0x0112)


def test_a_report_on_a_new_association(install: Callable[..., Installed], home: int) -> None:
    server = install(knownDestinations=known(home)).start()
    sent = instance(4, 1)
    store(server, [sent])
    requester = Requester()
    with requester.at_home(home):
        with requester.associated(server.port, takes_reports=False) as association:
            assert ask(association, TRANSACTION, [reference(sent)]) == 0
        assert requester.report().committed == {reference(sent)}
    wait_until(lambda: server.stats()["commitmentsWaiting"] == 0)


def test_a_report_outlives_the_server(install: Callable[..., Installed], home: int) -> None:
    server = install(knownDestinations=known(home)).start()
    sent = instance(5, 1)
    store(server, [sent])
    requester = Requester()
    with requester.associated(server.port, takes_reports=False) as association:
        assert ask(association, TRANSACTION, [reference(sent)]) == 0
    wait_until(lambda: server.stats()["commitmentRequestersFailing"] == 1)
    assert any("wait: cannot be reached" in line for line in server.kill())
    with requester.at_home(home):
        server.start()
        assert requester.report().committed == {reference(sent)}
        wait_until(lambda: server.stats()["commitmentsWaiting"] == 0)
    server.stop()
    # It is not reported again.
    server.start()
    assert server.stats()["commitmentsWaiting"] == 0


@pytest.mark.parametrize("mood", ["takes no role", "answers with a failure"])
def test_a_requester_that_refuses_is_tried_again(mood: str, install: Callable[..., Installed], home: int) -> None:
    server = install(knownDestinations=known(home)).start()
    sent = instance(6, 1)
    store(server, [sent])
    requester = Requester()
    requester.status = 0x0110 if mood == "answers with a failure" else 0
    with requester.at_home(home, takes_role=mood != "takes no role"):
        with requester.associated(server.port, takes_reports=False) as association:
            assert ask(association, TRANSACTION, [reference(sent)]) == 0
        wait_until(lambda: server.stats()["commitmentRequestersFailing"] == 1)
    assert server.stats()["commitmentsWaiting"] == 1
    server.stop()
    requester.status = 0
    with requester.at_home(home):
        server.start()
        wait_until(lambda: server.stats()["commitmentsWaiting"] == 0)


def test_one_that_hangs_costs_nobody_else_his_report(install: Callable[..., Installed], home: int) -> None:
    other = free_port()
    server = install(knownDestinations=known(home) | {"OTHER": {"host": "127.0.0.1", "port": other}}).start()
    sent = instance(7, 1)
    store(server, [sent])
    hanging, well = Requester(), Requester("OTHER")
    entered, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        let_go.wait()

    hanging.hangs = hang
    with hanging.at_home(home), well.at_home(other):
        try:
            for requester in (hanging, well):
                with requester.associated(server.port, takes_reports=False) as association:
                    assert ask(association, TRANSACTION, [reference(sent)]) == 0
                if requester is hanging:
                    assert entered.wait(60)
            assert well.report().committed == {reference(sent)}
            wait_until(lambda: server.stats()["commitmentsWaiting"] == 1)
            server.stop()       # which the hanging one does not hold up either
        finally:
            let_go.set()


def test_a_stranger_gets_its_report_on_its_own_association_only(install: Callable[..., Installed]) -> None:
    server = install().start()
    stranger = Requester()
    entered, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        entered.set()
        let_go.wait()

    stranger.hangs = hang
    with stranger.associated(server.port) as association:
        assert ask(association, TRANSACTION, [(CT, "1.2.3")]) == 0
        try:
            assert entered.wait(60)
            association.abort(block=False)
            wait_until(lambda: server.stats()["commitmentsGivenUp"] == 1)
        finally:
            let_go.set()
    assert server.stats()["commitmentsWaiting"] == 0
    assert any("it is not in knownDestinations" in line for line in server.lines)
    assert list((server.data / "commitments").iterdir()) == []


def test_a_transaction_that_waits_is_not_begun_again(install: Callable[..., Installed], home: int) -> None:
    server = install(knownDestinations=known(home)).start()
    with Requester().associated(server.port, takes_reports=False) as association:
        assert ask(association, TRANSACTION, [(CT, "1.2.3")]) == 0
    wait_until(lambda: server.stats()["commitmentRequestersFailing"] == 1)
    with Requester().associated(server.port) as association:
        assert ask(association, TRANSACTION, [(CT, "1.2.3")]) == 0x0131
        assert ask(association, TRANSACTION + ".1", [(CT, "1.2.3")], action_type=2) == 0x0123
        assert ask(association, TRANSACTION + ".1", [(CT, "1.2.3")], sop_instance="1.2.3") == 0x0112
        assert ask(association, TRANSACTION + ".1", []) == 0x0115
    # The same UID of somebody else is another transaction.
    with Requester("OTHER").associated(server.port) as association:
        assert ask(association, TRANSACTION, [(CT, "1.2.3")]) == 0
