"""The server's side of the control socket: commands of this machine's administrator."""
from __future__ import annotations

import errno
import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from dicomserver.server import control_socket
from dicomserver.server.logs import failure_text

Progress = Callable[[dict], None]
Command = Callable[[dict, Progress], dict]
"""args, progress -> result. On a thread of its own; `progress` raises CommandFailed when the server stops."""

PEERS_AT_ONCE = 8
REQUEST_SECONDS = 5.0       # for the request line, however it trickles in; and for each write
REQUEST_LIMIT = 256 << 10   # a list of some thousand UIDs


class CommandFailed(Exception):
    """Its text is the one line that the user sees."""


class ControlUnavailable(Exception):
    """The control socket cannot be had; its text is one clear line."""


class Control:
    """commands: by name; `stop` is not among them: it calls `on_stop` and is answered by `finish`."""

    def __init__(self, port: int, commands: Mapping[str, Command], on_stop: Callable[[], None],
                 log: logging.Logger, folder: Path | None = None) -> None:
        self._port = port
        self._folder = folder
        self._commands = commands
        self._on_stop = on_stop
        self._log = log
        self._path: Path | None = None
        self._changed = threading.Condition()
        self._peers: dict[str, tuple[threading.Thread, socket.socket]] = {}
        self._running = 0           # commands under way, without `stop`
        self._closing = False
        self._served = 0
        self._gone = threading.Event()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="control")

    @property
    def path(self) -> Path | None:
        """The socket while it accepts commands."""
        return self._path

    def start(self) -> None:
        """Raises ControlUnavailable."""
        try:
            path = control_socket.make_folder(self._folder) / control_socket.socket_name(self._port)
            self._door = _open_door(path)
        except OSError as error:
            why = error.strerror or error
            raise ControlUnavailable(f"the control socket cannot be made: {why}") from error
        self._path = path
        self._thread.start()

    def close(self) -> None:
        """No more commands; those under way end first, long ones at their next progress.

        Then the socket's name is free.
        """
        if self._path is None:
            return
        with self._changed:
            self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        with self._changed:
            for _, connection in self._peers.values():
                try:
                    connection.shutdown(socket.SHUT_RD)     # whoever has not said what he wants is too late
                except OSError:
                    continue    # he has gone
            self._changed.wait_for(lambda: not self._running)

    def finish(self) -> None:
        """Tells those who asked for it that the server has stopped.

        The last thing that a stopping server does.
        """
        self._gone.set()
        with self._changed:
            threads = [thread for thread, _ in self._peers.values()]
        for thread in threads:
            thread.join()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._door, select.POLLIN)
        try:
            while not self._closing:
                poll.poll()
                try:
                    connection, _ = self._door.accept()
                except BlockingIOError:
                    continue
                except OSError as error:
                    self._log.warning("a control connection was not accepted: %s", failure_text(error))
                    # Descriptors come back when something ends; the condition's timeout is the back-off.
                    with self._changed:
                        self._changed.wait(0.5)
                    continue
                self._receive_peer(connection)
        finally:
            if self._path is not None:
                self._path.unlink(missing_ok=True)
            self._path = None
            self._door.close()

    def _receive_peer(self, connection: socket.socket) -> None:
        _, uid = control_socket.peer(connection)
        if uid not in (0, os.geteuid()):
            self._log.warning("the user with id %d may not control this server", uid)
            _refuse(connection, "this server belongs to another user")
            return
        with self._changed:
            if len(self._peers) >= PEERS_AT_ONCE:
                _refuse(connection, "too many commands at once")
                return
            self._served += 1
            name = f"control-{self._served}"
            thread = threading.Thread(target=self._serve, args=(name, connection), name=name)
            self._peers[name] = (thread, connection)
        try:
            thread.start()
        except RuntimeError:
            with self._changed:
                del self._peers[name]
            _refuse(connection, "no thread is left for this command")

    def _serve(self, name: str, connection: socket.socket) -> None:
        try:
            with connection:
                answer = self._answer(connection)
                connection.settimeout(REQUEST_SECONDS)
                control_socket.send_line(connection, answer)
        except OSError as error:
            self._log.debug("a control connection broke: %s", failure_text(error))
        finally:
            with self._changed:
                del self._peers[name]
                self._changed.notify_all()

    def _answer(self, connection: socket.socket) -> dict:
        try:
            request = control_socket.Lines(connection, REQUEST_LIMIT).next(REQUEST_SECONDS)
        except control_socket.LineError as error:
            return {"error": f"no request: {error}"}
        name, args = request.get("command"), request.get("args", {})
        if name == "stop":
            self._on_stop()
            self._gone.wait()
            return {"result": {}}
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None or not isinstance(args, dict):
            return {"error": "no such command"}
        return self._execute(command, args, connection)

    def _execute(self, command: Command, args: dict, connection: socket.socket) -> dict:
        with self._changed:
            if self._closing:
                return {"error": "the server is stopping"}
            self._running += 1
        try:
            return {"result": command(args, self._progress(connection))}
        except CommandFailed as error:
            return {"error": str(error)}
        except Exception as error:
            self._log.error("a control command failed: %s", failure_text(error))
            return {"error": f"the command failed: {failure_text(error)}"}
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _progress(self, connection: socket.socket) -> Progress:
        listening = True

        def progress(report: dict) -> None:
            nonlocal listening
            if self._closing:
                raise CommandFailed("the server is stopping")
            if not listening:
                return
            try:
                connection.settimeout(REQUEST_SECONDS)
                control_socket.send_line(connection, {"progress": report})
            except OSError:
                listening = False   # who asked has gone; what was asked for is still done

        return progress


def _refuse(connection: socket.socket, text: str) -> None:
    with connection:
        try:
            connection.setblocking(False)
            control_socket.send_line(connection, {"error": text})
        except OSError:
            return      # it does not even take one line


def _open_door(path: Path) -> socket.socket:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            door.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if _answers(path):
                raise ControlUnavailable(f"another server has the control socket {path}") from error
            path.unlink(missing_ok=True)    # left by a server that was killed
            door.bind(str(path))
        # Nobody can connect before listen().
        path.chmod(0o600)
        door.listen(PEERS_AT_ONCE)
        door.setblocking(False)
    except BaseException:
        door.close()
        raise
    return door


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(REQUEST_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except FileNotFoundError:
            return False
        return True
