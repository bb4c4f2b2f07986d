"""N-ACTION: what is accepted, what is refused with which status, and that the association goes on."""
from __future__ import annotations

import struct

import pytest

from dicomserver.archive.commitments import Reference
from dicomserver.archive.errors import CommitmentFailed
from dicomserver.services.commitment import CommitmentRefused
from dicomserver.wire.command import CommandSet, decode_command
from dicomserver.wire.commands import N_EVENT_REPORT_RQ
from tests.interop.installed import wait_until
from tests.interop.sender import Sender
from tests.services.commitments import (
    BIG_ENDIAN,
    CT,
    EXPLICIT,
    IMPLICIT,
    PUSH_MODEL,
    VERIFICATION,
    act,
    action,
    element,
)

CONTEXTS = [(PUSH_MODEL, [IMPLICIT]), (VERIFICATION, [IMPLICIT])]
REFERENCES = [(CT, "1.2.3"), (CT, "1.2.30")]
GOOD = action("1.2.77", REFERENCES)


class Desk:
    """Takes what is accepted."""

    def __init__(self) -> None:
        self.taken: list[tuple] = []

    def __call__(self, *taken: object) -> None:
        self.taken.append(taken)


@pytest.fixture
def desk(provider) -> Desk:
    provider.accept = Desk()
    return provider.accept


@pytest.mark.parametrize("syntax, explicit, order", [(IMPLICIT, False, "<"), (EXPLICIT, True, "<"),
                                                     (BIG_ENDIAN, True, ">")])
def test_a_request_is_handed_on(syntax: str, explicit: bool, order: str, provider, desk: Desk) -> None:
    with Sender(provider.port, [(PUSH_MODEL, [syntax])], calling="MODALITY") as association:
        response = act(association, action("1.2.77", REFERENCES, explicit=explicit, order=order))
    assert response.status == 0
    assert response.elements[0x00000002].rstrip(b"\0").decode() == PUSH_MODEL
    assert response.elements[0x00001008] == b"\1\0"
    (request, references, _), = desk.taken
    assert (request.requester, request.transaction_uid, request.count) == ("MODALITY", "1.2.77", 2)
    assert references == [Reference(*one) for one in REFERENCES]


def test_the_same_reference_twice_is_one(provider, desk: Desk) -> None:
    with Sender(provider.port, CONTEXTS) as association:
        assert act(association, action("1.2.77", [*REFERENCES, REFERENCES[0]])).status == 0
    assert desk.taken[0][1] == [Reference(*one) for one in REFERENCES]


def test_what_else_there_may_be_is_passed_over(provider, desk: Desk) -> None:
    performed = element(0x00081111, struct.pack("<HHI", 0xFFFE, 0xE000, 0))
    file_set = element(0x00880130, b"DISK1")
    with Sender(provider.port, CONTEXTS) as association:
        assert act(association, performed + GOOD + file_set).status == 0
    assert len(desk.taken) == 1


@pytest.mark.parametrize("dataset, changes, status", [
    (GOOD, {"requested_sop_class_uid": VERIFICATION}, 0x0122),
    (GOOD, {"requested_sop_class_uid": None}, 0x0122),
    (GOOD, {"context_id": 3}, 0x0122),
    (GOOD, {"requested_sop_instance_uid": "1.2.3"}, 0x0112),
    (GOOD, {"requested_sop_instance_uid": None}, 0x0112),
    (GOOD, {"action_type_id": 2}, 0x0123),
    (GOOD, {"action_type_id": None}, 0x0123),
    (None, {}, 0x0115),
    (b"", {}, 0x0115),
    (GOOD[:-1], {}, 0x0115),
    (b"\xff" * 300, {}, 0x0115),
    (action(None, REFERENCES), {}, 0x0115),
    (action("", REFERENCES), {}, 0x0115),
    (action("../../etc", REFERENCES), {}, 0x0115),
    (action("1." * 40 + "1", REFERENCES), {}, 0x0115),
    (action("1.2.77", None), {}, 0x0115),
    (action("1.2.77", []), {}, 0x0115),
    (action("1.2.77", [(CT, "")]), {}, 0x0115),
    (action("1.2.77", [("", "1.2.3")]), {}, 0x0115),
    (action("1.2.77", [(CT, "1.2.3\\1.2.4")]), {}, 0x0115),
    (action("1.2.77", [(CT, "1.2.3\n1.2.4 1.2.5")]), {}, 0x0115),
    (action("1.2.77", None) + element(0x00081199, struct.pack("<HHI", 0xFFFE, 0xE000, 0)), {}, 0x0115),
    (action("1.2.77", [(CT, f"1.2.{number}") for number in range(20000)]), {}, 0x0213),
])
def test_refusals(dataset: bytes | None, changes: dict, status: int, provider, desk: Desk,
                  caplog: pytest.LogCaptureFixture) -> None:
    with Sender(provider.port, CONTEXTS) as association:
        response = act(association, dataset, **changes)
        assert (response.status, bool(response.comment)) == (status, True)
        assert association.echo(3) == 0
    assert desk.taken == []
    assert f"refused with {status:04X}H" in caplog.text and "etc" not in caplog.text


def test_whoever_takes_requests_may_refuse(provider) -> None:
    def full(*_: object) -> None:
        raise CommitmentRefused(0x0131, "the transaction is under way already")
    provider.accept = full
    with Sender(provider.port, CONTEXTS) as association:
        assert act(association, GOOD).status == 0x0131
    provider.accept = None
    with Sender(provider.port, CONTEXTS) as association:
        assert act(association, GOOD).status == 0x0213


def report(transfer_syntax: str) -> tuple[CommandSet, bytes]:
    assert transfer_syntax == IMPLICIT
    return CommandSet(command_field=N_EVENT_REPORT_RQ, command_data_set_type=1, event_type_id=1), b"information"


def test_a_report_goes_to_the_association(provider, desk: Desk) -> None:
    answers: list[int | None] = []
    with Sender(provider.port, CONTEXTS) as association:
        act(association, GOOD)
        same = desk.taken[0][2]
        same.deliver(report, answers.append)
        _, command = association.receive()
        _, information = association.receive()
        assert decode_command(command[6:]).command_field == N_EVENT_REPORT_RQ
        assert information[6:] == b"information"
    same.deliver(report, answers.append)
    wait_until(lambda: len(answers) == 2)       # the server's thread may still be closing its side
    assert answers == [None, None]


def test_a_report_that_cannot_be_made_leaves_the_association_alone(provider, desk: Desk) -> None:
    answers: list[int | None] = []

    def broken(_: str) -> tuple[CommandSet, bytes]:
        raise CommitmentFailed("reading", 5)
    with Sender(provider.port, CONTEXTS) as association:
        act(association, GOOD)
        desk.taken[0][2].deliver(broken, answers.append)
        assert association.echo(3) == 0
    wait_until(lambda: answers)
    assert answers == [None]
