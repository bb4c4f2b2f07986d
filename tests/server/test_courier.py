"""Visits at requesters: what is negotiated, what is delivered, and everything that may go wrong."""
from __future__ import annotations

import socket
import threading

import pytest

from dicomserver.archive.commitments import Reference
from dicomserver.server.courier import Courier, NotDelivered, Refused
from dicomserver.services.commitment_report import event_report
from dicomserver.services.move import Destination
from dicomserver.session.association import Deadlines
from dicomserver.wire.command import CommandSet
from tests.server.reporting import Home


@pytest.fixture
def courier() -> Courier:
    return Courier("PACS", Deadlines(idle=20), connect_seconds=5)


def report(transfer_syntax: str) -> tuple[CommandSet, bytes]:
    return event_report("1.2.77", [Reference("1.2", "1.2.3")], [0], "PACS", transfer_syntax)


def test_several_reports_in_one_visit(courier: Courier) -> None:
    home = Home()
    with home.open(), courier.visit(home.destination) as visit:
        for message_id in (1, 2, 0xFFFF):
            visit.deliver(report, message_id)
        assert [home.next() for _ in range(3)] == [("PACS", 1, "1.2.77")] * 3


def test_a_warning_is_a_delivery(courier: Courier) -> None:
    home = Home()
    home.answer = lambda: 0x0107
    with home.open(), courier.visit(home.destination) as visit:
        visit.deliver(report, 1)


def test_a_refused_report_does_not_end_the_visit(courier: Courier) -> None:
    home = Home()
    answers = iter((0x0110, 0))
    home.answer = lambda: next(answers)
    with home.open(), courier.visit(home.destination) as visit:
        with pytest.raises(Refused, match="0110H"):
            visit.deliver(report, 1)
        visit.deliver(report, 2)


def said(courier: Courier, destination: Destination) -> str:
    with pytest.raises(NotDelivered) as raised, courier.visit(destination):
        pass
    return str(raised.value)


def test_nobody_is_there(courier: Courier) -> None:
    assert said(courier, Home().destination) == "cannot be reached: Connection refused"
    assert said(courier, Destination("no.such.host.invalid", 104, "X")).startswith("cannot be reached: ")


@pytest.mark.parametrize("how", [{"takes_role": False}, {"context": "1.2.840.10008.1.1"}])
def test_one_that_does_not_take_the_role(how: dict, courier: Courier) -> None:
    home = Home()
    with home.open(**how):
        assert "role selection" in said(courier, home.destination)


def test_a_stop_ends_a_negotiation_that_hangs(courier: Courier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        def stop() -> None:
            connection, _ = door.accept()
            with connection:
                connection.recv(10)
                courier.stop()
        thread = threading.Thread(target=stop)
        thread.start()
        assert said(courier, Destination("127.0.0.1", door.getsockname()[1], "X")).startswith("was stopped")
        thread.join()
        # And there are no more visits.
        assert said(courier, Destination("127.0.0.1", door.getsockname()[1], "X")).startswith("was stopped")


def test_one_that_hangs_up(courier: Courier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Timer(0, lambda: door.accept()[0].close()).start()
        assert said(courier, Destination("127.0.0.1", door.getsockname()[1], "X")) == "closed the connection"
