"""What may be expected after which answers."""
from __future__ import annotations

from tests.crash.ledger import Ledger, broken
from tests.crash.traffic import sample

FIRST, SECOND = sample(1), sample(1, version=1)
UID = FIRST.uid


def is_kept(ledger: Ledger, found: dict[str, bytes], acknowledged: set[int], asked: int = 0, answered: int = 0) -> bool:
    return broken(ledger.promises(acknowledged, asked, answered), found) == []


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
