"""The servers that are compared: each in a folder of its own, on a free port, with the settings that it ships with.

Of Orthanc's only those differ without which it would not let us in.
"""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench.retrieving import SINK
from tests.bench.sender import LoadFailed, wait_for_echo
from tests.ports import free_port

PATIENCE = 60.0     # seconds for a start or a stop
OURS, ORTHANC, STORESCP = "ours", "orthanc", "storescp"


class Server:
    """One running server. `prepare(folder)` runs before it starts; environment is added to ours.

    As a context manager: started, and stopped with its folder removed. start_seconds: from the start of the process
    to the first answered C-ECHO. sink_port: where it expects the destination retrieving.SINK.
    """

    def __init__(self, name: str, parent: Path, *, environment: Mapping[str, str] = {},
                 prepare: Callable[[Path], None] = lambda folder: None) -> None:
        self.name = name
        self.port = free_port()
        self.sink_port = free_port()
        self.folder = parent / f"{name}-{self.port}"
        # As it ships: what this shell sets for a server of its own does not count.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DICOM_SERVER_")}
        self._environment = inherited | environment
        self._prepare = prepare

    def __enter__(self) -> Server:
        self.folder.mkdir()
        self._prepare(self.folder)
        with open(self.folder / "log", "wb") as log:
            begun = time.monotonic()
            command = COMMANDS[self.name](self.folder, self.port, self.sink_port)
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                            env=self._environment)
        try:
            self.start_seconds = wait_for_echo(self.port, self.is_alive, PATIENCE) - begun
        except BaseException as error:
            self.stop()
            if isinstance(error, LoadFailed):
                raise LoadFailed(f"{self.name} {error}; its log ends with: {self._last_words()}") from None
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Stops it in its orderly way; its folder stays until the block ends."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last_words(self) -> str:
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "nothing"


def _ours(folder: Path, port: int, sink_port: int) -> list[str]:
    (folder / "ours.json").write_text(json.dumps({
        "knownDestinations": {SINK: {"host": "127.0.0.1", "port": sink_port}}}))
    return [str(Path(sys.executable).with_name("dicom-server")), "start", "--config", str(folder / "ours.json"),
            "--port", str(port), "--data-dir", str(folder / "data")]


def _orthanc(folder: Path, port: int, sink_port: int) -> list[str]:
    (folder / "orthanc.json").write_text(json.dumps({
        "Name": "bench", "StorageDirectory": str(folder / "data"), "IndexDirectory": str(folder / "data"),
        "DicomPort": port, "HttpPort": free_port(), "RemoteAccessAllowed": False, "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True,
        "DicomCheckCalledAet": False, "DicomModalities": {"sink": [SINK, "127.0.0.1", sink_port]}}))
    return [os.environ.get("ORTHANC", "Orthanc"), str(folder / "orthanc.json")]


def _storescp(folder: Path, port: int, _sink_port: int) -> list[str]:
    (folder / "data").mkdir()
    return ["storescp", "--fork", "--bit-preserving", "--output-directory", str(folder / "data"), str(port)]


COMMANDS: dict[str, Callable[[Path, int, int], list[str]]] = {OURS: _ours, ORTHANC: _orthanc, STORESCP: _storescp}
