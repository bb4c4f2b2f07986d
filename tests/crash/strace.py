"""What strace wrote, as calls: `-f -xx`, so that every string is hexadecimal and complete.

A call that another thread's interrupts is in the file twice, where it began and where it returned; both lines count,
since a sync covers only what was there before it began, and an answer may be on its way as soon as its send began.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

OPTIONS = ["-f", "--seccomp-bpf", "-yy", "-xx", "-s", "67108864", "-e",
           "trace=open,openat,creat,close,dup,dup2,dup3,write,writev,pwrite64,pwritev,pwritev2,fallocate,ftruncate,"
           "truncate,fsync,fdatasync,sync_file_range,sync,syncfs,link,linkat,symlink,symlinkat,unlink,unlinkat,rename,"
           "renameat,renameat2,mkdir,mkdirat,rmdir,sendto,sendmsg,recvfrom,sendfile,copy_file_range"]

_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)", re.DOTALL)
_UNFINISHED = "<unfinished ...>"
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FILE = re.compile(r"(AT_FDCWD|\d+)<((?:[^,]|,\"\")*?)>(?:\(deleted\))?(?=[,)]|$)")
_EVENT = re.compile(r"<\{eventfd-[^{}]*\}>")      # strace 6 and later say more of it, with commas
_RETURN = re.compile(r"\)\s+= (-?\d+|\?)(?:<.*>)?(?:\(deleted\))?(?: .*)?$")


@dataclass(slots=True)
class Call:
    """One system call. `begin` and `end` are line numbers; `end` is None and `result` -1 if it never returned.

    files: the descriptors among the arguments, AT_FDCWD as None; strings: those among the arguments, unescaped;
    arguments: what is left between the commas. socket: what strace says of the first descriptor.
    """

    name: str
    thread: int
    begin: int
    end: int | None
    files: list[int | None]
    strings: list[bytes]
    arguments: list[str]
    result: int
    socket: str = ""


def parse(lines: Iterable[str], first_line: int = 0) -> list[Call]:
    """The calls in the order in which they returned; those that never did come last."""
    begun: dict[int, tuple[int, str, str]] = {}
    calls: list[Call] = []
    for number, line in enumerate(lines, first_line):
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue    # exits and signals
        thread, name, rest = int(match[1]), match[2] or match[3], match[4]
        begin = number
        if match[2]:
            begin, _, former = begun.pop(thread)
            rest = former + rest
        if rest.endswith(_UNFINISHED):
            begun[thread] = (begin, name, rest.removesuffix(_UNFINISHED))
        else:
            calls.append(_call(name, thread, begin, number, rest))
    return calls + [_call(name, thread, begin, None, rest) for thread, (begin, name, rest) in begun.items()]


def _call(name: str, thread: int, begin: int, end: int | None, rest: str) -> Call:
    strings: list[bytes] = []

    def put_away(match: re.Match[str]) -> str:
        strings.append(bytes.fromhex(match[1].replace("\\x", "")))
        return '""'

    rest = _EVENT.sub("<anon_inode:[eventfd]>", _STRING.sub(put_away, rest))
    returned = _RETURN.search(rest)
    result = int(returned[1]) if returned and returned[1] != "?" else -1
    if end is not None and returned is None:
        raise ValueError(f"strace says something unknown of {name} in line {end + 1}: …{rest[-80:]}")
    body = (rest[:returned.start()] if returned else rest).rstrip()
    files = list(_files(body))
    return Call(name, thread, begin, end, [number for number, _ in files], strings,
                [part.strip() for part in body.split(",")], result, files[0][1] if files else "")


def _files(body: str) -> Iterator[tuple[int | None, str]]:
    for match in _FILE.finditer(body):
        yield (None if match[1] == "AT_FDCWD" else int(match[1])), match[2]
