"""The servers that are compared: each in a folder of its own, on a free port, with the settings that it ships with.

Of Orthanc's only those differ without which it would not let us in. Those with their index in PostgreSQL have a new one
each, with Debian's settings, and talk to it over TCP.
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
from tests.postgres import DATABASE, USER, PostgresServer

PATIENCE = 60.0     # seconds for a start or a stop
OURS, ORTHANC, STORESCP = "ours", "orthanc", "storescp"
ON_POSTGRES = {OURS: "ours+pg", ORTHANC: "orthanc+pg"}      # the same with PostgreSQL
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so")


class Server:
    """One running server. `prepare(server)` runs before it starts; environment is added to ours.

    As a context manager: started, and stopped with its folder removed. start_seconds: from the start of the process
    to the first answered C-ECHO. sink_port: where it expects the destination retrieving.SINK. databases: see
    postgres.PostgresServer's parent; database: that server, if there is one.
    """

    database: PostgresServer | None = None

    def __init__(self, name: str, parent: Path, *, environment: Mapping[str, str] = {},
                 prepare: Callable[[Server], None] = lambda server: None, databases: Path | None = None) -> None:
        self.name = name
        self.port = free_port()
        self.sink_port = free_port()
        self.folder = parent / f"{name}-{self.port}"
        # As it ships: what this shell sets for a server of its own does not count.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DICOM_SERVER_")}
        self._environment = inherited | environment
        self._added = environment
        self._prepare = prepare
        self._databases = databases

    def __enter__(self) -> Server:
        self.folder.mkdir()
        if self.name in ON_POSTGRES.values():
            self.database = PostgresServer(port=free_port(), as_shipped=True, parent=self._databases,
                                           environment=self._added)
        self._prepare(self)
        with open(self.folder / "log", "wb") as log:
            begun = time.monotonic()
            command = COMMANDS[self.name](self)
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                            env=self._environment)
        try:
            self.start_seconds = wait_for_echo(self.port, self.is_alive, PATIENCE) - begun
        except BaseException as error:
            self.stop()
            self._remove_database()
            if isinstance(error, LoadFailed):
                raise LoadFailed(f"{self.name} {error}; its log ends with: {self._last_words()}") from None
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._remove_database()
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

    def _remove_database(self) -> None:
        if self.database is not None:
            self.database.remove()

    def _last_words(self) -> str:
        lines = (self.folder / "log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "nothing"


def _ours(server: Server) -> list[str]:
    (server.folder / "ours.json").write_text(json.dumps({
        "knownDestinations": {SINK: {"host": "127.0.0.1", "port": server.sink_port}}}))
    return [str(Path(sys.executable).with_name("dicom-server")), "start", "--config", str(server.folder / "ours.json"),
            "--port", str(server.port), "--data-dir", str(server.folder / "data")]


def _ours_on_postgres(server: Server) -> list[str]:
    return [*_ours(server), "--database-url", f"postgres://{USER}@127.0.0.1:{server.database.port}/{DATABASE}"]


def _orthanc(server: Server) -> list[str]:
    return _orthanc_with(server, {})


def _orthanc_on_postgres(server: Server) -> list[str]:
    return _orthanc_with(server, {"Plugins": [str(PLUGIN)], "PostgreSQL": {
        "EnableIndex": True, "EnableStorage": False, "Host": "127.0.0.1", "Port": server.database.port,
        "Database": DATABASE, "Username": USER, "Password": ""}})


def _orthanc_with(server: Server, more: dict[str, object]) -> list[str]:
    data = str(server.folder / "data")
    (server.folder / "orthanc.json").write_text(json.dumps(more | {
        "Name": "bench", "StorageDirectory": data, "IndexDirectory": data, "DicomPort": server.port,
        "HttpPort": free_port(), "RemoteAccessAllowed": False, "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True,
        "DicomCheckCalledAet": False, "DicomModalities": {"sink": [SINK, "127.0.0.1", server.sink_port]}}))
    return [os.environ.get("ORTHANC", "Orthanc"), str(server.folder / "orthanc.json")]


def _storescp(server: Server) -> list[str]:
    (server.folder / "data").mkdir()
    return ["storescp", "--fork", "--bit-preserving", "--output-directory", str(server.folder / "data"),
            str(server.port)]


COMMANDS: dict[str, Callable[[Server], list[str]]] = {
    OURS: _ours, ORTHANC: _orthanc, STORESCP: _storescp,
    ON_POSTGRES[OURS]: _ours_on_postgres, ON_POSTGRES[ORTHANC]: _orthanc_on_postgres}
