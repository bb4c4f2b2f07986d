"""Talking to a server that runs on this machine."""
from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from dicomserver.server import control_socket

RESULT_LIMIT = 1 << 20


class NotRunning(Exception):
    """No server of ours listens on that port of this machine."""


class NotAllowed(Exception):
    """The server belongs to another user."""


class CommandFailed(Exception):
    """The server says why."""


def call(port: int, command: str, args: dict | None = None, on_progress: Callable[[dict], None] | None = None,
         timeout: float | None = None, folder: Path | None = None) -> dict:
    """The result of a command of the server on `port` of this machine.

    timeout: seconds to the next line of its answer. folder: where its socket is, if configured.
    Raises NotRunning, NotAllowed, CommandFailed.
    """
    with _connect(port, folder) as connection:
        return _converse(connection, {"command": command, "args": args or {}}, on_progress, timeout)


def stop(port: int, timeout: float | None = None, folder: Path | None = None) -> None:
    """Returns when the server and its process are gone.

    Raises as `call` does; CommandFailed if it takes longer.
    """
    end = None if timeout is None else time.monotonic() + timeout
    with _connect(port, folder) as connection:
        process = _process(control_socket.peer(connection)[0])
        try:
            _converse(connection, {"command": "stop"}, None, timeout)
            if process is not None and not _wait_for_exit(process, end):
                raise CommandFailed("the server has stopped, but its process is still there")
        finally:
            if process is not None:
                os.close(process)


def _connect(port: int, chosen: Path | None) -> socket.socket:
    refused = False
    for folder in control_socket.folders(chosen):
        path = folder / control_socket.socket_name(port)
        if not control_socket.is_trusted(folder, chosen):
            continue
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(5)
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
        except PermissionError:
            connection.close()
            refused = True
        except OSError as error:
            connection.close()
            why = error.strerror or error
            raise NotRunning(f"the server on port {port} does not answer: {why}") from error
        else:
            return connection
    if refused:
        raise NotAllowed(f"the server on port {port} belongs to another user")
    raise NotRunning(f"no server is running on port {port} of this machine; if it has another one: --port")


def _converse(connection: socket.socket, request: dict, on_progress: Callable[[dict], None] | None,
              timeout: float | None) -> dict:
    lines = control_socket.Lines(connection, RESULT_LIMIT)
    try:
        control_socket.send_line(connection, request)
    except OSError:
        pass    # a server that refuses closes early; its line says why
    while True:
        try:
            answer = lines.next(timeout)
        except control_socket.LineError as error:
            raise CommandFailed(f"the server gave no answer: {error}") from error
        if "progress" in answer:
            if on_progress is not None:
                on_progress(answer["progress"])
        elif "error" in answer:
            raise CommandFailed(str(answer["error"]))
        else:
            return answer.get("result", {})


def _process(pid: int) -> int | None:
    """A descriptor of the server's process; None if it is ours, or in another process namespace."""
    if pid in (0, os.getpid()):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _wait_for_exit(process: int, end: float | None) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(None if end is None else max(0.0, end - time.monotonic()) * 1000))
