"""What may be expected after which answers."""
from __future__ import annotations

from pydicom.dataset import Dataset

from tests.crash.ledger import Ledger, Said, broken
from tests.crash.traffic import CT, sample
from tests.interop.requester import Report

FIRST, SECOND = sample(1), sample(1, version=1)
UID = FIRST.uid


def is_kept(ledger: Ledger, found: dict[str, bytes], acknowledged: set[int], asked: int = 0, answered: int = 0) -> bool:
    return broken(ledger.promises(Said(frozenset(acknowledged), asked, answered)), found) == []


def test_what_was_acknowledged_must_be_there_and_be_the_same() -> None:
    ledger = Ledger()
    message = ledger.sending(FIRST)
    assert is_kept(ledger, {}, set()) and is_kept(ledger, {UID: FIRST.dataset}, set())
    assert is_kept(ledger, {UID: FIRST.dataset}, {message})
    assert not is_kept(ledger, {}, {message})
    assert not is_kept(ledger, {UID: SECOND.dataset}, {message})
    assert not is_kept(ledger, {UID: FIRST.dataset, "1.2": b""}, {message})


def test_a_newcomer_that_was_refused_is_not_there() -> None:
    ledger = Ledger()
    first, _ = ledger.sending(FIRST), ledger.sending(SECOND)
    assert is_kept(ledger, {UID: FIRST.dataset}, {first})
    assert not is_kept(ledger, {UID: SECOND.dataset}, {first})


def test_what_was_deleted_may_be_there_until_the_answer_and_never_again() -> None:
    ledger = Ledger()
    first = ledger.sending(FIRST)
    ledger.deleting([FIRST])
    assert is_kept(ledger, {}, {first}, asked=1) and is_kept(ledger, {UID: FIRST.dataset}, {first}, asked=1)
    assert is_kept(ledger, {}, {first}, asked=1, answered=1)
    assert not is_kept(ledger, {UID: FIRST.dataset}, {first}, asked=1, answered=1)
    again = ledger.sending(SECOND)
    assert is_kept(ledger, {UID: SECOND.dataset}, {first}, asked=1, answered=1)
    assert not is_kept(ledger, {UID: FIRST.dataset}, {first, again}, asked=1, answered=1)


def test_a_commitment_is_reported_until_its_report_was_answered_and_says_what_is_there() -> None:
    ledger = Ledger()
    first, asked = ledger.sending(FIRST), ledger.committing("1.9")
    accepted = Said(frozenset([first]), accepted=frozenset([asked]))
    found = {UID: FIRST.dataset}

    def problems(said: Said, **reports: Report) -> list[str]:
        return broken(ledger.promises(said), found, {report.transaction: report for report in reports.values()})

    good = Report(1, "1.9", {(CT, UID)}, {}, Dataset())
    assert problems(accepted, good=good) == []
    assert problems(accepted) == ["the storage commitment 1.9 is forgotten"]
    assert problems(accepted._replace(reported=frozenset(["1.9"]))) == []
    assert problems(Said(accepted.acknowledged)) == []
    assert problems(accepted, good=good, more=Report(1, "1.8", set(), {}, Dataset()))
    assert problems(accepted, wrong=Report(2, "1.9", set(), {(CT, UID): 0x0112}, Dataset()))
    assert problems(accepted, wrong=Report(1, "1.9", {(CT, UID + "9")}, {}, Dataset()))
