from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomserver.session.window import OperationsWindow


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as one:
        yield one


def test_so_many_at_once_and_no_more(executor: ThreadPoolExecutor) -> None:
    window, go = OperationsWindow(3, executor), threading.Event()
    done: list[int] = []

    def work(number: int) -> None:
        assert go.wait(10)
        done.append(number)

    for number in range(3):
        window.run(number, lambda number=number: work(number))
    fourth = threading.Thread(target=window.run, args=(3, lambda: work(3)))
    fourth.start()
    fourth.join(0.1)
    assert fourth.is_alive() and not done
    assert [window.is_open(number) for number in range(4)] == [True, True, True, False]
    go.set()
    fourth.join(10)
    window.settle()
    assert sorted(done) == [0, 1, 2, 3]
    assert not any(map(window.is_open, range(4)))


def test_settling_waits_for_all(executor: ThreadPoolExecutor) -> None:
    window, go = OperationsWindow(2, executor), threading.Event()
    window.settle()
    window.run(1, lambda: go.wait(10))
    settling = threading.Thread(target=window.settle)
    settling.start()
    settling.join(0.1)
    assert settling.is_alive()
    go.set()
    settling.join(10)
    assert not settling.is_alive()


def test_an_executor_that_takes_nothing_leaves_no_place_taken() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    window = OperationsWindow(1, executor)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            window.run(1, lambda: None)
    window.settle()
