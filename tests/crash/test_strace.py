"""What strace writes is read as it was meant."""
from __future__ import annotations

import pytest

from tests.crash.interpreting import Interpreter
from tests.crash.strace import parse


def hexadecimal(text: str) -> str:
    return "".join(f"\\x{octet:02x}" for octet in text.encode())


DATA, SLOT = hexadecimal("/data"), hexadecimal("slot")
PATH = hexadecimal("/data/slot")
LINES = [
    f'1  openat(AT_FDCWD<{hexadecimal("/")}>, "{DATA}", O_RDONLY|O_DIRECTORY) = 3<{DATA}>',
    f'1  openat(3<{DATA}>, "{SLOT}", O_RDWR|O_CREAT|O_EXCL, 0600 <unfinished ...>',
    f'2  sendto(6<TCP:[127.0.0.1:1->127.0.0.1:2]>, "{hexadecimal("hello")}", 5, MSG_NOSIGNAL, NULL, 0) = 5',
    f'1  <... openat resumed>)             = 4<{PATH}>',
    f'1  pwritev(4<{PATH}>, [{{iov_base="{hexadecimal("ab")}", iov_len=2}}, '
    f'{{iov_base="{hexadecimal("cd")}", iov_len=2}}], 2, 7) = 3',
    f'1  fdatasync(4<{PATH}> <unfinished ...>',
    f'2  unlinkat(3<{DATA}>, "{SLOT}", 0) = 0',
    '1  <... fdatasync resumed>)           = 0',
    f'1  close(4<{PATH}>(deleted))  = 0',
    f'1  openat(3<{DATA}>, "{SLOT}", O_RDONLY) = -1 ENOENT (No such file or directory)',
    '1  +++ killed by SIGKILL +++',
]


def test_calls() -> None:
    calls = {(call.name, call.begin): call for call in parse(LINES)}
    assert calls["openat", 1].end == 3 and calls["openat", 1].result == 4
    assert calls["sendto", 2].socket.startswith("TCP") and calls["sendto", 2].strings == [b"hello"]
    assert calls["pwritev", 4].strings == [b"ab", b"cd"] and calls["pwritev", 4].arguments[-1] == "7"
    assert calls["fdatasync", 5].files == [4] and calls["fdatasync", 5].end == 7
    assert calls["close", 8].files == [4]
    assert calls["openat", 9].result == -1


def test_a_file_that_is_gone_before_strace_looks_at_it() -> None:
    call, = parse([f'1  openat(3<{DATA}>, "{SLOT}", O_RDWR|O_CREAT, 0600) = 5<{PATH}>(deleted)'])
    assert call.result == 5


def test_steps() -> None:
    steps = Interpreter("/data").process(parse(LINES))
    assert [(step.kind, step.path, step.begin, step.end) for step in steps] == [
        ("create", "slot", 1, 3), ("write", "slot", 4, 4), ("unlink", "slot", 6, 6), ("sync", "slot", 5, 7)]
    assert (steps[1].offset, steps[1].data) == (7, b"abc")      # a short write


def test_what_is_not_understood_is_not_passed_over() -> None:
    with pytest.raises(ValueError):
        parse(["1  close(4 what?"])
    with pytest.raises(ValueError):
        Interpreter("/data").process(parse([*LINES[:4], f"1  fallocate(4<{PATH}>, 0, 0, 4096) = 0"]))
