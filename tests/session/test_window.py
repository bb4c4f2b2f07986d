from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomserver.session.window import NotBegun, OperationsWindow


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


def test_an_id_that_was_closed_may_be_used_again(executor) -> None:
    """Its place is free only when the work is at its end, and that does not close the id that is another's by now."""
    window, first, second = OperationsWindow(2, executor), threading.Event(), threading.Event()
    window.run(1, lambda: first.wait(10))
    window.close(1)
    assert not window.is_open(1)
    window.run(1, lambda: second.wait(10))
    first.set()
    window.run(2, lambda: None)         # the first one's place
    assert window.is_open(1)
    second.set()
    window.settle()
    assert not window.is_open(1)


def test_an_executor_that_takes_nothing_leaves_no_place_taken() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    window = OperationsWindow(1, executor)
    for _ in range(2):
        with pytest.raises(NotBegun):
            window.run(1, lambda: None)
    window.settle()


class NoMoreThreads(ThreadPoolExecutor):
    """Queues first, and has no new thread for it then."""

    def submit(self, *work, **keywords):
        super().submit(*work, **keywords)
        raise RuntimeError("can't start new thread")


def test_what_waits_for_a_thread_that_does_not_come_is_never_begun() -> None:
    done: list[int] = []
    with NoMoreThreads(1) as executor:
        go = threading.Event()
        ThreadPoolExecutor.submit(executor, go.wait, 10)
        window = OperationsWindow(2, executor)
        with pytest.raises(NotBegun, match="can't start new thread"):
            window.run(1, lambda: done.append(1))
        assert not window.is_open(1)
        window.settle()
        go.set()
    assert not done


def test_what_another_thread_has_begun_is_done() -> None:
    done: list[int] = []

    class Eager(ThreadPoolExecutor):
        """A thread that there is begins before a new one cannot be started."""

        def submit(self, *work, **keywords):
            super().submit(*work, **keywords).result(10)
            raise RuntimeError("can't start new thread")

    with Eager(1) as executor:
        window = OperationsWindow(2, executor)
        window.run(1, lambda: done.append(1))
        window.settle()
    assert done == [1] and not window.is_open(1)
