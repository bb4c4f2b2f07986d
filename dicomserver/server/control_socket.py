"""Where the control socket of a port is, who may talk on it, and the lines that both sides exchange.

A request is one line of JSON, {"command": name, "args": {…}}. The answer is any number of lines
{"progress": {…}}, then one {"result": {…}} or {"error": text}.
"""
from __future__ import annotations

import json
import os
import socket
import stat
import struct
import tempfile
import time
from pathlib import Path

RUN_FOLDER = Path("/run/dicom-server")
RUNTIME_FOLDERS = Path("/run/user")     # of all users, as systemd makes them


class LineError(Exception):
    """The other side closed, was too slow, or sent no JSON object in a line of bearable length."""


def folders(chosen: Path | None = None) -> list[Path]:
    """The folders in which this user's control sockets can be, the preferred one first; or just the one
    chosen."""
    if chosen is not None:
        return [chosen]
    found = [RUN_FOLDER]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        found.append(Path(runtime) / "dicom-server")
    found.append(Path(tempfile.gettempdir()) / f"dicom-server-{os.geteuid()}")
    if not runtime:
        # cron and sudo know no runtime folder, but the server may have been started in a session that did
        found.append(RUNTIME_FOLDERS / str(os.geteuid()) / "dicom-server")
    return found


def socket_name(port: int) -> str:
    """The name in its folder."""
    return f"{port}.sock"


def make_folder(chosen: Path | None = None) -> Path:
    """The folder for a new control socket; made if need be. Raises OSError when none of them will do."""
    if chosen is not None:
        chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
        return chosen
    candidates = folders()
    if _is_folder(RUN_FOLDER) and os.access(RUN_FOLDER, os.W_OK | os.X_OK, effective_ids=True):
        return RUN_FOLDER
    for folder in candidates[1:]:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            continue
        if is_private(folder):
            return folder
    raise PermissionError(f"no private folder for the control socket among {', '.join(map(str, candidates))}")


def is_private(folder: Path) -> bool:
    """Whether `folder` is ours alone: in a folder that everybody may write to, anybody could have made it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def is_trusted(folder: Path, chosen: Path | None = None) -> bool:
    """Whether a client believes what it finds in `folder`: what the administrator made or named, or what is
    private."""
    return _is_folder(folder) if folder in (RUN_FOLDER, chosen) else is_private(folder)


def _is_folder(folder: Path) -> bool:
    try:
        return stat.S_ISDIR(folder.lstat().st_mode)
    except OSError:
        return False


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process id and user id of the other side (unix(7), SO_PEERCRED)."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return pid, uid


def send_line(connection: socket.socket, message: dict) -> None:
    """Under the socket's timeout; raises OSError."""
    connection.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")


class Lines:
    """The lines of one side, each at most `limit` bytes."""

    def __init__(self, connection: socket.socket, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._received = bytearray()

    def next(self, seconds: float | None) -> dict:
        """The next line, complete within `seconds` however it trickles in (None: for ever).

        Raises LineError.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while (newline := self._received.find(b"\n")) < 0:
            if len(self._received) > self._limit:
                raise LineError("too long a line")
            self._receive(end)
        line = bytes(self._received[:newline])
        del self._received[:newline + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LineError("not JSON") from error
        if not isinstance(message, dict):
            raise LineError("not a JSON object")
        return message

    def _receive(self, end: float | None) -> None:
        try:
            self._connection.settimeout(None if end is None else max(end - time.monotonic(), 1e-3))
            chunk = self._connection.recv(65536)
        except TimeoutError as error:
            raise LineError("too slow") from error
        except OSError as error:
            raise LineError("the connection broke") from error
        if not chunk:
            raise LineError("the connection was closed")
        self._received += chunk
