"""How cases are written down: in tables, each under the row of the list of hostile input that it belongs to."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.hostile.objects import Identity, dataset, new_identity
from tests.hostile.peer import ABORTED_EARLY, Peer, store, storage_rq


class LogLines:
    """Judges the log lines of a case: how many there must be, and what must stand in one of them."""

    def __init__(self) -> None:
        self.number: int | None = 1     # None: at least one
        self.mentions: list[str] = []

    def expect(self, *mentions: str, number: int | None = 1) -> None:
        self.mentions += mentions
        self.number = number

    def __call__(self, lines: list[str]) -> bool:
        enough = len(lines) == self.number if self.number is not None else bool(lines)
        return enough and all(any(text in line for line in lines) for text in self.mentions)


@dataclass(frozen=True, slots=True)
class Case:
    """Some bytes and what must come of them.

    row: key of tests.hostile.rows. early: instead of an association, not on one.
    outcome: a tuple of Peer.outcome, or several that are all right.
    """

    row: str
    name: str
    data: bytes
    outcome: tuple | list[tuple]
    logged: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """A dataset and what must come of its C-STORE.

    build: makes it for an identity. status: what is right. transfer_syntax: of its context.
    """

    row: str
    name: str
    build: Callable[[Identity], bytes]
    status: Callable[[int], bool]
    transfer_syntax: str = "1.2.840.10008.1.2.1"
    logged: str = ""


def table(*groups: list) -> pytest.MarkDecorator:
    """Runs a test once for each case of the tables."""
    cases = [case for group in groups for case in group]
    return pytest.mark.parametrize("case", cases, ids=[f"{case.row}: {case.name}" for case in cases])


def covers(*rows: str) -> Callable:
    """Says of a test without a table which rows it is for."""
    def marked(test: Callable) -> Callable:
        test.rows = rows
        return test
    return marked


def run_early(server, case: Case) -> None:
    """The case's bytes are the first on a connection."""
    with Peer(server.port) as peer:
        peer.send(case.data)
        server.others_are_served()
        check_outcome(peer, case.outcome)
    server.lines.expect(case.logged)


def run_established(server, case: Case, request: bytes | None = None) -> None:
    """The case's bytes come on an accepted association."""
    with Peer(server.port) as peer:
        peer.associate(request)
        peer.send(case.data)
        server.others_are_served()
        check_outcome(peer, case.outcome)
    server.lines.expect(case.logged)


def check_outcome(peer: Peer, outcome: tuple | list[tuple]) -> None:
    """And after its last word the server says no other."""
    right = outcome if isinstance(outcome, list) else [outcome]
    found = peer.outcome()
    assert found in right
    if found[0] in ("rejected", "aborted"):
        peer.finish()
        assert peer.receive() == b""


def early(reason: int) -> list[tuple]:
    """An A-ABORT before an association is accepted."""
    return [("aborted", 2, reason), ABORTED_EARLY]


def run_store(server, case: Stored) -> None:
    """Sends the case's dataset; what is acknowledged must be there byte for byte, what is not must be nowhere."""
    identity = new_identity()
    data = case.build(identity)
    with Peer(server.port) as peer:
        peer.associate(storage_rq(case.transfer_syntax))
        peer.send(store(identity.instance, data))
        server.others_are_served()
        status = peer.status()
        assert case.status(status), f"{status:04X}H"
        peer.release()
    if status == 0:
        server.keep(identity)
        server.lines.expect("released")
        assert server.holds(identity, data)
    else:
        server.lines.expect(f"{status:04X}H", "released", case.logged, number=2)


def success(status: int) -> bool:
    return status == 0


def cannot_understand(status: int) -> bool:
    return status >> 12 == 0xC


def mismatch(status: int) -> bool:
    return status == 0xA900


def failure(status: int) -> bool:
    """Any failure of PS3.7 Annex C."""
    return status >> 12 in (0xA, 0xC) or 0x0100 <= status < 0x0300


def dataset_with(changed: dict | None = None, tail: bytes = b"") -> Callable[[Identity], bytes]:
    """A builder for `Stored`."""
    return lambda identity: dataset(identity, changed, tail)
