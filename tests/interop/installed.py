"""The installed server as a process of its own, in a folder of its own."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dicomserver.server import control_client
from tests.ports import free_port

DICOM_SERVER = Path(sys.executable).parent / "dicom-server"
DATABASES = ("sqlite", "none")
PATIENCE = 60       # seconds; nothing is measured by it


class StartFailed(Exception):
    """The server ended before it was ready: its exit code and what it said."""

    def __init__(self, code: int, lines: list[str]) -> None:
        super().__init__(code, lines)
        self.code = code
        self.lines = lines


class Installed:
    """`dicom-server start` on `folder`/data, and the other commands. Start and stop it as often as you like.

    settings: the keys of a configuration file. lines: what the running server has logged.
    """

    def __init__(self, folder: Path, database: str = "sqlite", **settings: object) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.database = database
        self.port = free_port()
        self.lines: list[str] = []
        self.process: subprocess.Popen | None = None
        (folder / "run").mkdir(mode=0o700, exist_ok=True)
        self.configuration = folder / "configuration.json"
        self.configure(**settings)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "TMPDIR": str(self.folder),
                "XDG_RUNTIME_DIR": str(self.folder / "run")}

    @property
    def where(self) -> tuple[str, ...]:
        """The options of the commands that talk to the running server."""
        return "--port", str(self.port), "--control-dir", str(self.folder / "run")

    def configure(self, **settings: object) -> None:
        """Writes the configuration file; SIGHUP or the next start reads it."""
        database = {"databaseURL": "memory:"} if self.database == "none" else {}
        self.configuration.write_text(json.dumps(
            {"bindAddress": "127.0.0.1", "port": self.port, "dataDirectory": str(self.data),
             "controlSocketDirectory": str(self.folder / "run"), **database, **settings}))

    def start(self, *arguments: str) -> Installed:
        """Returns when the server is ready. Raises StartFailed."""
        command = [DICOM_SERVER, "start", "--config", self.configuration, *arguments]
        self.lines = []
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
                                        cwd=self.folder, env=self.environment)
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr, self.lines))
        self._reader.start()
        wait_until(lambda: any(" ready: " in line for line in self.lines) or not self._reader.is_alive())
        if not any(" ready: " in line for line in self.lines):
            code = self.process.wait(PATIENCE)
            raise StartFailed(code, self._ended())
        return self

    def stop(self) -> list[str]:
        """`dicom-server stop`; -> what the server said in its life."""
        stopped = self.run("stop", *self.where)
        assert stopped.returncode == 0, stopped.stderr
        code = self.process.wait(PATIENCE)
        said = self._ended()
        assert code == 0, said
        return said

    def kill(self) -> list[str]:
        """SIGKILL; -> what the server said."""
        self.process.kill()
        self.process.wait(PATIENCE)
        return self._ended()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def freeze(self) -> None:
        """Until SIGCONT; returns when no thread runs any more: one of them has to notice the signal first."""
        self.signal(signal.SIGSTOP)
        threads = Path("/proc", str(self.process.pid), "task")
        wait_until(lambda: all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
                               for thread in threads.iterdir()))

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Another command of dicom-server, to its end."""
        return subprocess.run([DICOM_SERVER, *arguments], capture_output=True, text=True, timeout=PATIENCE,
                              cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL)

    def rebuild(self) -> str:
        """`dicom-server index rebuild`, while the server is stopped; -> what it says."""
        done = self.run("index", "rebuild", "--config", str(self.configuration))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def call(self, command: str, **arguments: str) -> dict:
        """A command over the control socket, without the cost of a process: `stats`, `delete` …"""
        return control_client.call(self.port, command, arguments, timeout=PATIENCE, folder=self.folder / "run")

    def stats(self) -> dict:
        return self.call("stats")

    def filed(self, count: int) -> list[Path]:
        """The stored files, once `count` instances are counted and none waits for the mover any more; sorted."""
        def all_filed() -> bool:
            stats = self.stats()
            return stats["instances"] == count and stats["waitingInstances"] == 0
        wait_until(all_filed, every=0.1)
        return self.files()

    def files(self) -> list[Path]:
        """All that have a final name; sorted."""
        return sorted(path for path in self.data.glob("*/*/*.dcm"))

    def quarantined(self) -> list[Path]:
        return sorted((self.data / "quarantine").glob("*.dcm"))

    def memory(self) -> int:
        """RssAnon, bytes: what the process has for itself."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024

    def close(self) -> None:
        """Leaves nothing running."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def _ended(self) -> list[str]:
        self._reader.join(PATIENCE)
        self.process.stderr.close()
        return self.lines

    @staticmethod
    def _read(stream, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip())


def wait_until(true: Callable[[], bool], every: float = 0.005, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(every)
