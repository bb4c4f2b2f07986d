from __future__ import annotations

import os
import pickle
import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dicomserver.transcoding import children
from dicomserver.transcoding.children import Children
from dicomserver.transcoding.errors import ConversionFailed
from dicomserver.transcoding.images import Image
from tests.interop.installed import wait_until

MODULE = "tests.transcoding.obedient"
ENDED = "its decoder ended"


@pytest.fixture
def one() -> Iterator[Children]:
    """At most one process, which does what its frames say (tests/transcoding/obedient.py)."""
    yield from started(1)


@pytest.fixture
def two() -> Iterator[Children]:
    yield from started(2)


def started(most: int) -> Iterator[Children]:
    pool = Children(MODULE, most)
    yield pool
    for child in pool._idle:
        child.end()


def ask(pool: Children, frame: bytes, octets: int | None = None) -> bytes:
    """The pixels, of which there are as many bytes as the frame has if nothing else is said."""
    image = Image(1, octets or len(frame), 1, "MONOCHROME2", 8, 8, 0, 1, False)
    return pool.decode("1.2", image, frame)[1]


def pid(pool: Children) -> int:
    return int(ask(pool, b"pid", 20))


def state(process: int) -> str:
    """See proc_pid_stat(5)."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def test_one_process_decodes_many_frames(one: Children) -> None:
    assert one.decode("1.2", Image(1, 5, 1, "MONOCHROME2", 8, 8, 0, 1, False), b"hello") == ("RGB", b"hello")
    assert pid(one) == pid(one) != os.getpid()
    long = bytes(range(256)) * 9000
    assert ask(one, long) == long


def test_one_that_dies_is_one_failed_frame(one: Children) -> None:
    for _ in range(2):      # a new one, and one that was used before
        with pytest.raises(ConversionFailed, match=ENDED):
            ask(one, b"die")
        assert ask(one, b"next") == b"next"


def test_one_that_freezes_ends_itself(one: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(one, b"first") == b"first"
    monkeypatch.setattr(children, "SECONDS", 1)
    with pytest.raises(ConversionFailed, match=ENDED):
        ask(one, b"freeze")
    assert ask(one, b"next") == b"next"


def test_large_frames_may_take_longer(one: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(children.Child, "ask", lambda self, *request: asked.append(request[-1]) or (b"D", "RGB", b""))
    for megabytes in (0, 1, 256):
        ask(one, b"", (megabytes << 20) + 1)
    assert asked == [30, 32, 30 + 512]


def test_one_that_went_while_idle_is_not_noticed(one: Children) -> None:
    """Whether it is known to have ended, or does so just then; what ended is waited for."""
    former = pid(one)
    os.kill(former, signal.SIGTERM)
    wait_until(lambda: state(former) == "Z")
    assert pid(one) != former
    assert not Path(f"/proc/{former}").exists()
    former = pid(one)
    assert ask(one, b"leave") == b"leave"
    assert not Path(f"/proc/{former}").exists()


def test_one_that_went_is_waited_for_before_the_next_frame(two: Children) -> None:
    former = pid(two)
    two.forget_ended()
    assert pid(two) == former
    os.kill(former, signal.SIGTERM)
    wait_until(lambda: state(former) == "Z")
    two.forget_ended()
    assert not Path(f"/proc/{former}").exists()
    assert two._idle == []


def test_a_new_one_that_goes_is_a_failure() -> None:
    """It is not tried for ever."""
    with pytest.raises(ConversionFailed, match=ENDED):
        ask(Children("dicomserver.transcoding.errors"), b"x")       # which comes to its end at once


@pytest.mark.parametrize("messages", [
    [b""], [b"X"], [b"D"], [b"D" + b"A" * 17, b"four"], [b"Drgb", b"four"], [b"DRGB\n", b"four"],
    [b"DR\xc4B", b"four"], [b"DRGB", b"three"], [b"DRGB", b"fou"], [b"DRGB", b""], [b"DRGB", bytes(1 << 20)],
    [b"F"], [b"Ftwo\nlines"], [b"F" + b"a" * 1000], [b"M"], [b"Ma b"], [b"F" + b"a" * (1 << 20)],
], ids=lambda messages: repr(messages)[:30])
def test_strange_answers(one: Children, messages: Sequence[bytes]) -> None:
    first = pid(one)
    with pytest.raises(ConversionFailed, match=ENDED):
        ask(one, b"say " + pickle.dumps(messages), 4)
    assert not Path(f"/proc/{first}").exists()
    assert ask(one, b"next") == b"next"


def test_failures(one: Children) -> None:
    former = pid(one)
    with pytest.raises(ConversionFailed, match="^a reason$"):
        ask(one, b"fail a reason")
    with pytest.raises(ImportError, match="lacks a module: gdcm") as caught:
        ask(one, b"lack gdcm")
    assert caught.value.name == "gdcm"
    assert pid(one) == former


def test_several_threads(two: Children) -> None:
    """Each gets the answer to what it asked; one more waits."""
    frames = [b"%d" % number * 1000 for number in range(100)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda frame: ask(two, frame), frames)) == frames
        assert len(set(threads.map(lambda _: pid(two), frames))) <= 2
    assert len(two._idle) <= 2


def test_several_threads_whose_processes_die(two: Children) -> None:
    def dies(number: int) -> bool:
        try:
            return ask(two, b"die" if number % 3 == 0 else b"live") != b"live"
        except ConversionFailed:
            return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(dies, range(24))) == [number % 3 == 0 for number in range(24)]


def test_no_process_before_it_is_needed() -> None:
    assert Children(MODULE)._idle == []


def test_where_no_process_can_be_started(one: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and its place is free again."""
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", lambda *_, **__: os.stat("/nowhere"))
        for _ in range(2):
            with pytest.raises(ConversionFailed, match="no decoder can be started: No such file"):
                ask(one, b"x")
    assert ask(one, b"next") == b"next"
