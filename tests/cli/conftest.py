import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.scu.scp import Scp

DICOM_SERVER = Path(sys.executable).parent / "dicom-server"


class Machine:
    """The installed command in a folder of its own, with nobody else's control sockets and variables."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "XDG_RUNTIME_DIR": str(folder / "run"),
        }
        (folder / "run").mkdir(mode=0o700)

    def typed(self, *arguments, **environment):
        """Runs a command to its end."""
        return subprocess.run(
            [DICOM_SERVER, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
        )

    @contextlib.contextmanager
    def server(self, *arguments):
        """A running server, ready; its log lines so far are in `.lines`."""
        with subprocess.Popen(
            [DICOM_SERVER, *map(str, arguments)],
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
        ) as running:
            running.lines = []
            try:
                for line in running.stderr:
                    running.lines.append(line)
                    if " ready: " in line:
                        break
                yield running
            finally:
                if running.poll() is None:
                    os.kill(running.pid, signal.SIGTERM)
                    running.communicate(timeout=30)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def scp():
    """Starts servers in this process; `where` is what a client tool is told."""
    running = []

    def start(**settings):
        running.append(Scp(**settings))
        running[-1].where = f"127.0.0.1:{running[-1].port}"
        return running[-1]

    yield start
    for one in running:
        one.close()
