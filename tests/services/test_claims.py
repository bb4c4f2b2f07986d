"""Claims on SOP Instance UIDs: one holder at a time, patience, and no trace of those that are over."""
from __future__ import annotations

import threading

import pytest

from dicomserver.services.claims import Claims, ClaimTaken


def test_a_uid_can_be_claimed_again_and_others_meanwhile() -> None:
    claims = Claims(patience=0)
    for _ in range(2):
        with claims.claim("1.2"), claims.claim("1.3"):
            with pytest.raises(ClaimTaken), claims.claim("1.2"):
                pytest.fail("two have the same claim")


def test_a_claim_ends_with_its_block_whatever_ends_that() -> None:
    claims = Claims(patience=0)
    with pytest.raises(ZeroDivisionError), claims.claim("1.2"):
        raise ZeroDivisionError
    with claims.claim("1.2"):
        assert True     # nothing is left of the first one


def test_the_second_waits_for_the_first() -> None:
    claims = Claims(patience=30)
    order: list[str] = []

    def second() -> None:
        with claims.claim("1.2"):
            order.append("second")

    thread = threading.Thread(target=second)
    with claims.claim("1.2"):
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


def test_many_threads_are_never_two_at_once() -> None:
    claims = Claims(patience=30)
    inside = most = 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with claims.claim("1.2"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and inside == 0
