"""A PostgreSQL server of the tests' own: on a socket in a temporary folder, not as root."""
from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

USER = "postgres"       # in the database; where the tests run as root, the system's user too
DATABASE = "postgres"
GUARDED = "guarded"
_DEADLINE_SECONDS = 60
_LOG_WRITER = "FROM pg_stat_activity WHERE backend_type = 'walwriter'"


def program(name: str) -> str:
    """Debian keeps the server's programs beside the path."""
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    if found is None:
        raise FileNotFoundError(f"{name}: please install the package postgresql")
    return found


class PostgresServer:
    """Running once made. What is committed but not synced is lost for sure when it is killed: the process that would
    write it soon afterwards is halted.

    port: it listens on 127.0.0.1 as well. as_shipped: with PostgreSQL's own settings, which sync, and nothing halted.
    parent: of its folder, a place where the system's user `postgres` gets to. environment: what is added to its own.
    standby_of: it follows that one, which goes on meanwhile, from now on; it syncs too.
    """

    def __init__(self, *settings: str, port: int = 0, as_shipped: bool = False, parent: Path | None = None,
                 environment: Mapping[str, str] = {}, standby_of: PostgresServer | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dicom-postgres-", dir=parent))
        self.port = port
        self._as: dict[str, object] = {"env": os.environ | environment}
        if os.geteuid() == 0:
            account = pwd.getpwnam(USER)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self._as |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._halts = not as_shipped and standby_of is None
        self._settings = [*(["fsync=off", "autovacuum=off"] if self._halts else []),
                          "listen_addresses=" + ("127.0.0.1" if port else ""),
                          *([f"port={port}"] if port else []), *settings]
        if standby_of is None:
            self._make_data()
        else:
            subprocess.run([program("pg_basebackup"), "-D", self.folder / "data", "-d", standby_of.url, "-R", "-N",
                            "-c", "fast"], check=True, cwd="/", **self._as)
        self._process: subprocess.Popen | None = None
        self._halted = 0        # the process id of the log's writer
        self.start()

    def _make_data(self) -> None:
        subprocess.run([program("initdb"), "-D", self.folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8",
                        "--locale=C.UTF-8", "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as)
        # Whoever is called so has to show a password; all others are let in.
        access = self.folder / "data" / "pg_hba.conf"
        access.write_text(f"local all {GUARDED} scram-sha-256\nhost all {GUARDED} all scram-sha-256\n"
                          + access.read_text())

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@/{DATABASE}?host={self.folder}" + (f"&port={self.port}" if self.port else "")

    def start(self) -> None:
        """Returns when it answers."""
        options = [part for setting in self._settings for part in ("-c", setting)]
        with open(self.folder.with_suffix(".log"), "ab") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", self.folder / "data", "-k", self.folder, *options],
                stdout=log, stderr=log, cwd="/", start_new_session=True, **self._as)
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while True:
            try:
                if not self._halts:
                    self.execute("SELECT 1")
                    return
                self._halt_log_writer()
                return
            except (psycopg.OperationalError, ValueError):      # it is not up, or not all of it
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def _halt_log_writer(self) -> None:
        """While it sleeps: elsewhere it may hold a lock, for which all others would wait for ever."""
        while True:
            [[self._halted]] = self.execute(f"SELECT pid {_LOG_WRITER}")
            os.kill(self._halted, signal.SIGSTOP)
            while Path(f"/proc/{self._halted}/stat").read_text().rpartition(")")[2].split()[0] != "T":
                time.sleep(0.001)
            if self.execute(f"SELECT 1 {_LOG_WRITER} AND wait_event = 'WalWriterMain'"):
                return
            os.kill(self._halted, signal.SIGCONT)
            time.sleep(0.01)

    def stop(self) -> None:
        """In order: clients are sent away, all is written."""
        if self._halts:
            os.kill(self._halted, signal.SIGCONT)
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_DEADLINE_SECONDS)

    def kill(self) -> None:
        """As by a crash: an immediate shutdown writes nothing that is in memory still."""
        self._process.send_signal(signal.SIGQUIT)
        if self._halts:
            os.kill(self._halted, signal.SIGKILL)
        self._process.wait(_DEADLINE_SECONDS)

    def remove(self) -> None:
        if self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder)
        self.folder.with_suffix(".log").unlink()

    def execute(self, sql: str, *values: object) -> list[tuple]:
        """As the superuser."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []
