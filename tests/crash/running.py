"""The real server as a process, traced or not."""
from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dicomserver.server import control_client
from tests.crash.strace import OPTIONS
from tests.ports import free_port

COMMAND = Path(sys.executable).with_name("dicom-server")
_READY = re.compile(r"ready: .* port (\d+),")


class Running:
    """`dicom-server start` on a data directory and a free port; serves when this returns. A context manager: killed
    at the end, unless it was stopped."""

    def __init__(self, data: Path, trace: Path | None = None, environment: Mapping[str, str] = {}) -> None:
        self._data = data
        self._control = data.parent / "control"
        self._control.mkdir(exist_ok=True, mode=0o700)
        self._environment = os.environ | {"DICOM_SERVER_CONTROL_SOCKET_DIRECTORY": str(self._control)} | environment
        self._command = [sys.executable, str(COMMAND), "start", "--port", str(free_port()), "--data-dir", str(data)]
        if trace is not None:
            self._command = ["strace", "-o", str(trace), *OPTIONS, *self._command]
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True, env=self._environment)
        self.said: list[str] = []
        self.port = self._wait_until_ready()
        self.pid = int((self._data / "lock").read_text())    # strace is another

    def _wait_until_ready(self) -> int:
        for line in self._process.stderr:
            self.said.append(line)
            if ready := _READY.search(line):
                return int(ready[1])
        self._process.wait()
        raise AssertionError(f"the server did not start: {self.said}")

    def command(self, *arguments: str) -> None:
        """`dicom-server delete …` and the like, for this server; raises if it fails."""
        subprocess.run([sys.executable, str(COMMAND), *arguments, "--port", str(self.port), "--control-dir",
                        str(self._control)], check=True, capture_output=True, timeout=120)

    def stats(self) -> dict:
        """As `dicom-server stats` has them."""
        return control_client.call(self.port, "stats", timeout=60, folder=self._control)

    def stop(self) -> None:
        """In order; returns when it is gone."""
        self.command("stop")
        self._reap()
        assert self._process.returncode == 0, self.said

    def wait_until_dead(self) -> None:
        """It kills itself; see shim.c."""
        self._reap()
        assert self._process.returncode == -signal.SIGKILL, self.said

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        os.kill(self.pid, signal.SIGKILL)
        self._reap()

    def kill_and_start(self) -> None:
        """SIGKILL, and the same again."""
        self.kill()
        self._start()

    def _reap(self) -> None:
        self.said += self._process.stderr.readlines()
        self._process.stderr.close()
        self._process.wait(timeout=60)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self.kill()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new one, in memory where there is some: what is tried is the order of syncs, not the disk."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="crash-", dir=where) as folder:
        yield Path(folder)
