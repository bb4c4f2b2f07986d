"""Claims on SOP Instance UIDs: one holder at a time, patience, and no trace of those that are over."""
from __future__ import annotations

import threading

import pytest

from dicomserver.archive.claims import CROWDED_FOR, Claims, ClaimTaken


def test_a_uid_can_be_claimed_again_and_others_meanwhile() -> None:
    claims = Claims(patience=0)
    for _ in range(2):
        claims.take("1.2")
        claims.take("1.3")
        with pytest.raises(ClaimTaken):
            claims.take("1.2")
        claims.give_back("1.2")
        claims.give_back("1.3")


def test_the_second_waits_for_the_first() -> None:
    claims = Claims(patience=30)
    order: list[str] = []

    def second() -> None:
        claims.take("1.2")
        order.append("second")
        claims.give_back("1.2")

    thread = threading.Thread(target=second)
    claims.take("1.2")
    thread.start()
    thread.join(0.1)
    order.append("first")
    claims.give_back("1.2")
    thread.join(30)
    assert order == ["first", "second"]


def test_many_threads_are_never_two_at_once() -> None:
    claims = Claims(patience=30)
    inside = most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            claims.take("1.2")
            inside += 1
            most = max(most, inside)
            inside -= 1
            claims.give_back("1.2")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and inside == 0


def test_whoever_waits_is_not_woken_for_other_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = Claims(patience=30)
    claims.take("1.2")
    changed, waits, woken = claims._changed, threading.Event(), []
    real_wait, real_notify = changed.wait, changed.notify_all

    def wait(seconds: float | None = None) -> bool:
        waits.set()
        return real_wait(seconds)

    def notify_all() -> None:
        woken.append(None)
        real_notify()
    monkeypatch.setattr(changed, "wait", wait)
    monkeypatch.setattr(changed, "notify_all", notify_all)
    thread = threading.Thread(target=claims.take, args=("1.2",))
    thread.start()
    assert waits.wait(30)
    for _ in range(3):
        claims.take("1.3")
        claims.give_back("1.3")
    assert woken == []
    claims.give_back("1.2")
    thread.join(30)
    assert not thread.is_alive() and len(woken) == 1
    claims.give_back("1.2")
    assert len(woken) == 1      # nobody waits any more


def test_two_at_once_are_a_crowd_for_a_while() -> None:
    claims = Claims()

    def one_at_a_time(number: int) -> list[bool]:
        told: list[bool] = []
        for _ in range(number):
            with claims.held("1.2"):
                told.append(claims.is_lone)
        return told
    assert all(one_at_a_time(3))
    with claims.held("1.3"):
        assert claims.is_lone           # it had begun alone
        assert one_at_a_time(1) == [False]
    told = one_at_a_time(CROWDED_FOR + 1)
    assert told == [False] * (CROWDED_FOR - 1) + [True] * 2
