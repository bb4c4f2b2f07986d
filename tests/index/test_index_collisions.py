"""A batch that was committed, and collides with another node only when it looks at what was there."""
from __future__ import annotations

import pytest

from dicomserver.index import Index
from dicomserver.index.errors import Collision
from dicomserver.index.tickets import Ticket
from tests.index.samples import make


def test_nobody_s_own_row_is_taken_for_another_s(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add(make(1))
    there = index._ledger._there
    looked: list[int] = []

    def colliding(session, row):
        looked.append(1)
        if len(looked) == 1:
            raise Collision("removed in this moment")
        return there(session, row)
    monkeypatch.setattr(index._ledger, "_there", colliding)
    new, known = Ticket(make(2), None), Ticket(make(1, slot=99), None)
    with index._engine.lock:
        index._commit([new, known])
    assert looked and new.settled and new.stored is None and new.error is None
    assert known.stored is not None and known.stored.slot == 1 and known.error is None
    assert index.find("1.2.3.1.2").slot == 2
