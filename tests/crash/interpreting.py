"""From system calls to steps: descriptors become paths and inodes, octets on sockets become answers.

A model of the names and descriptors is kept along the way; where a call does something to the data directory that it
does not know, it raises rather than leaving it out.
"""
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from dicomserver.archive.space import LAST_ROOM_FILE
from dicomserver.wire.command import CommandSet, decode_command
from dicomserver.wire.commands import C_STORE_RSP, N_ACTION_RSP, N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP
from tests.crash.steps import WAL, Step
from tests.crash.strace import Call

_P_DATA_TF = 4
_PDU_HEADER, _PDV_HEADER = 6, 6
_SYNCS = ("fsync", "fdatasync")
_WRITES = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
_UNKNOWN = ("fallocate", "truncate", "symlink", "symlinkat", "sendfile", "copy_file_range", "sync", "syncfs")


class Interpreter:
    """Of one data directory, through any number of processes one after the other."""

    def __init__(self, root: str) -> None:
        """root: absolute; the directory is there, empty and durable, before the first call."""
        self.root = root
        self.names: dict[str, int] = {"": 0}    # path -> inode
        self._next = 1
        self._open: dict[int, tuple[str, int]] = {}         # descriptor -> path as it was opened, inode
        self._positions: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._log = _Log()
        self._conversations = _Conversations()

    def look_for(self, uids: Iterable[str], transactions: Iterable[str] = ()) -> None:
        """Instances whose rows' first commits shall be steps, and storage commitments whose reports shall; no UID may
        be part of another."""
        self._log.wanted |= {uid.encode() for uid in uids}
        self._conversations.transactions |= {uid.encode() for uid in transactions}

    def adopt(self, folders: Iterable[str], files: Mapping[str, int], contents: Mapping[int, bytes]) -> list[Step]:
        """Steps at whose end the directory is as a power cut has left it (see model.State), and durable."""
        steps: list[Step] = []
        inodes: dict[int, int] = {}

        def does(kind: str, path: str, inode: int, **more) -> None:
            steps.append(Step(kind, 0, len(steps), len(steps), path, inode, **more))

        for path in sorted(folders):
            self.names[path], self._next = self._next, self._next + 1
            does("mkdir", path, self.names[path])
        for path, inode in files.items():
            if inode in inodes:
                first = next(name for name, number in self.names.items() if number == inodes[inode])
                does("link", first, inodes[inode], target=path)
            else:
                inodes[inode], self._next = self._next, self._next + 1
                does("create", path, inodes[inode])
                does("write", path, inodes[inode], data=contents[inode])
                does("sync", path, inodes[inode])
            self.names[path] = inodes[inode]
            self._sizes[inodes[inode]] = len(contents[inode])
        for path in ["", *folders]:
            does("sync", path, self.names[path])
        return steps

    def process(self, calls: Iterable[Call]) -> list[Step]:
        """The steps of one process, in the order in which they ended."""
        self._open.clear()
        self._log.begin()
        return [step for call in _closes_early(calls) for step in self._steps(call)]

    def _steps(self, call: Call) -> Iterator[Step]:
        if call.name in ("sendto", "recvfrom", "sendmsg") or call.name == "write" and call.socket.startswith("TCP"):
            yield from self._conversations.said(call)
        elif call.result < 0 and call.end is not None:
            return      # it failed
        elif call.end is None:
            yield from self._unfinished(call)
        elif call.name == "close":
            self._open.pop(call.files[0], None)
        elif call.name in ("lseek", "read"):
            self._moved(call)
        elif call.name in ("open", "openat", "creat"):
            yield from self._opened(call)
        elif call.name.startswith("dup"):
            if call.files[0] in self._open:
                self._open[call.result] = self._open[call.files[0]]
        elif call.name in (*_SYNCS, *_WRITES, "ftruncate", "sync_file_range"):
            if call.files[0] in self._open:
                yield from self._of_file(call, *self._open[call.files[0]])
        else:
            yield from self._of_names(call)

    def _unfinished(self, call: Call) -> Iterator[Step]:
        """The process ended inside it: a write or a name may have come to be; a cut here is like one before it."""
        if call.name == "close":
            self._open.pop(call.files[0], None)
        return iter(())

    def _moved(self, call: Call) -> None:
        """Of peers, who write where they have read."""
        if call.files and call.files[0] in self._open:
            before = self._positions[call.files[0]] if call.name == "read" else 0
            self._positions[call.files[0]] = before + call.result

    def _path(self, call: Call, number: int) -> str | None:
        """The n-th path among the arguments, relative to the root; None if it is not below it."""
        name = call.strings[number].decode()
        folder = call.files[number] if number < len(call.files) else None
        if not name.startswith("/"):
            if folder is None or folder not in self._open:
                return None
            base = self._open[folder][0]
            return base if name == "." else f"{base}/{name}".lstrip("/")
        if name == self.root:
            return ""
        return name.removeprefix(self.root + "/") if name.startswith(self.root + "/") else None

    def _opened(self, call: Call) -> Iterator[Step]:
        path = self._path(call, 0)
        if path is None:
            self._open.pop(call.result, None)
            return
        flags = next((part for part in call.arguments if "O_" in part), "")
        if path not in self.names:
            yield self._made("create", call, path)
        elif "O_TRUNC" in flags:
            self._sizes[self.names[path]] = 0
            yield Step("truncate", call.thread, call.begin, call.end, path, self.names[path])
        self._open[call.result] = path, self.names[path]
        self._positions[call.result] = 0

    def _made(self, kind: str, call: Call, path: str) -> Step:
        inode = self.names[path] = self._next
        self._next += 1
        self._sizes[inode] = 0
        return Step(kind, call.thread, call.begin, call.end, path, inode)

    def _of_file(self, call: Call, path: str, inode: int) -> Iterator[Step]:
        def step(kind: str, **more) -> Step:
            return Step(kind, call.thread, call.begin, call.end, path, inode, **more)

        if call.name in _SYNCS:
            yield step("sync")
        elif call.name == "ftruncate":
            self._sizes[inode] = int(call.arguments[-1])
            yield step("truncate", offset=self._sizes[inode])
        elif call.name in _WRITES and call.result:
            data = b"".join(call.strings)[:call.result]
            if len(data) != call.result:
                raise ValueError(f"strace did not show all that was written to {path}")
            offset = self._offset(call)
            self._sizes[inode] = max(self._sizes.get(inode, 0), offset + len(data))
            yield step("write", offset=offset, data=data)
            if path == WAL:
                yield from self._log.commits(call, offset, data)

    def _offset(self, call: Call) -> int:
        if call.name in ("pwrite64", "pwritev"):
            return int(call.arguments[-1])
        if call.name == "pwritev2":
            return int(call.arguments[-2])
        offset = self._positions[call.files[0]]
        self._positions[call.files[0]] = offset + call.result
        return offset

    def _of_names(self, call: Call) -> Iterator[Step]:
        paths = [self._path(call, number) for number in range(len(call.strings))]
        is_ours = any(path is not None for path in paths) or any(number in self._open for number in call.files)
        if call.name == "fallocate" and self._open.get(call.files[0], ("",))[0] == LAST_ROOM_FILE:
            return      # it has no content
        if call.name in _UNKNOWN and is_ours:
            raise ValueError(f"nothing is known of {call.name} here")
        if not paths or paths[0] is None:
            return
        path, names = paths[0], self.names
        if call.name in ("mkdir", "mkdirat"):
            yield self._made("mkdir", call, path)
        elif call.name in ("link", "linkat"):
            names[paths[1]] = names[path]
            yield Step("link", call.thread, call.begin, call.end, path, names[path], paths[1])
        elif call.name.startswith("rename"):
            inode = names[paths[1]] = names.pop(path)
            yield Step("rename", call.thread, call.begin, call.end, path, inode, paths[1])
        else:
            gone = "rmdir" if call.name == "rmdir" or "AT_REMOVEDIR" in call.arguments[-1] else "unlink"
            yield Step(gone, call.thread, call.begin, call.end, path, names.pop(path))


def _closes_early(calls: Iterable[Call]) -> list[Call]:
    """A number is free for the next file as soon as its close has begun."""
    def moment(call: Call) -> int:
        if call.name == "close":
            return call.begin
        return call.end if call.end is not None else 1 << 62

    return sorted(calls, key=moment)


class _Conversations:
    """What is said to peers and heard from them."""

    def __init__(self) -> None:
        self.transactions: set[bytes] = set()
        self._begun: dict[int, bytes] = {}      # descriptor -> of a PDU that is not yet whole
        self._reported: dict[int, str] = {}     # descriptor -> the Transaction UID of the last report on it

    def said(self, call: Call) -> Iterator[Step]:
        data = call.strings[-1] if call.strings else b""     # in front of it there may be a socket's name
        if call.socket.startswith("UNIX"):
            yield from _on_control_socket(call, data)
            return
        if call.name == "write":        # DCMTK sends a PDU's header in a call of its own
            begun = self._begun.pop(call.files[0], b"") + data
            if len(begun) < _PDU_HEADER or len(begun) < _PDU_HEADER + int.from_bytes(begun[2:_PDU_HEADER]):
                self._begun[call.files[0]] = begun
                return
            data = begun
        if (command := _first_command(data)) is not None:
            yield from self._on_association(call, command, data)

    def _on_association(self, call: Call, command: CommandSet, data: bytes) -> Iterator[Step]:
        def step(kind: str, **more) -> Step:
            return Step(kind, call.thread, call.begin, call.end, **more)

        what, fd = (call.name == "recvfrom", command.command_field), call.files[0]
        if what == (False, C_STORE_RSP):
            yield step("ack" if _is_done(command) else "nack", uid=command.affected_sop_instance_uid,
                       message=command.message_id_being_responded_to)
        elif what == (False, N_ACTION_RSP) and _is_done(command):
            yield step("accept", message=command.message_id_being_responded_to)
        elif what == (False, N_EVENT_REPORT_RQ):
            self._reported[fd] = next(uid for uid in self.transactions if uid in data).decode()
            yield step("report", uid=self._reported[fd])
        elif what == (True, N_EVENT_REPORT_RSP) and _is_done(command):
            yield step("reported", uid=self._reported.pop(fd))


def _is_done(response: CommandSet) -> bool:
    """Success, or a warning (PS3.7 C, PS3.4 B.2.3): the instance is stored."""
    return response.status == 0 or response.status >> 12 == 0xB


def _first_command(data: bytes) -> CommandSet | None:
    """The command set that these octets begin with, if it is there whole and in one PDV."""
    if data[:1] != bytes([_P_DATA_TF]) or len(data) < _PDU_HEADER + _PDV_HEADER:
        return None
    length = int.from_bytes(data[_PDU_HEADER:_PDU_HEADER + 4]) - 2
    control = data[_PDU_HEADER + 5]
    command = data[_PDU_HEADER + _PDV_HEADER:][:length]
    return decode_command(command) if control == 3 and len(command) == length else None


def _on_control_socket(call: Call, data: bytes) -> Iterator[Step]:
    if call.name == "recvfrom" and (b'"delete"' in data or b'"undelete"' in data):
        yield Step("ask", call.thread, call.begin, call.end, uid=next(iter(json.loads(data)["args"].values())))
    elif call.name == "sendto" and b'"result"' in data and (b'"deleted"' in data or b'"restored"' in data):
        yield Step("answer", call.thread, call.begin, call.end)


class _Log:
    """Finds the commits of rows in what SQLite writes to its write-ahead log.

    A frame is 24 octets, of which the second word is not zero in the last frame of a commit, and a page
    (https://www.sqlite.org/fileformat2.html#wal_frame_format).
    """

    def __init__(self) -> None:
        self.wanted: set[bytes] = set()

    def begin(self) -> None:
        self._written: set[bytes] = set()
        self._is_last = False

    def commits(self, call: Call, offset: int, data: bytes) -> Iterator[Step]:
        """The rows that this write commits, for each UID that is looked for the first time only."""
        if len(data) == 24:
            self._is_last = data[4:8] != bytes(4)
            return
        self._written |= {uid for uid in self.wanted if uid in data}
        if self._is_last and len(data) >= 512:
            for uid in sorted(self._written):
                yield Step("commit", call.thread, call.begin, call.end, WAL, uid=uid.decode())
            self.wanted -= self._written
            self._written = set()
            self._is_last = False
