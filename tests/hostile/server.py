"""The installed server under hostile fire, and what must be true of it after every case."""
from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from dicomserver.server import control_client
from dicomserver.wire.part10 import decode_file_meta
from tests.hostile.objects import PATIENT_ID, ROOT, TELLTALES, Identity, dataset, explicit, new_identity
from tests.hostile.peer import COMMAND, LAST, STORE, Peer, echo, item, p_data, pdv, storage_rq, store, store_command
from tests.ports import free_port

PROGRAM = Path(sys.executable).parent / "dicom-server"
BYSTANDER = b"BYSTANDER"
BYSTANDER_HOST = "127.0.0.99"
# Bytes of anonymous memory above the warmed-up server's. With Debian 13's C library it comes to 7 MB, and stays there.
MEMORY_TOLERANCE = 9 << 20
SETTLE_SECONDS = 15


def wait_until(true: Callable[[], object], what: str, seconds: float = SETTLE_SECONDS) -> None:
    """Returns as soon as it is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.002)


class Server:
    """A running `dicom-server start` with a configuration of its own, and a ledger of what it must hold."""

    def __init__(self, folder: Path, **configuration: object) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.configuration = {"aeTitle": "HOSTILE_SCP", "port": self.port, "dataDirectory": str(self.data),
                              "reserveMegabytes": 1, "controlSocketDirectory": str(folder / "control"),
                              # It would begin in the midst of some case, log its line and fill its buffers.
                              "scrubDays": 0} | configuration
        (folder / "config.json").write_text(json.dumps(self.configuration))
        self._log = open(folder / "log", "w+b")
        self.process = subprocess.Popen([PROGRAM, "start", "--config", folder / "config.json"], cwd=folder,
                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        self.kept: dict[Identity, object] = {}      # -> whose it is
        self.quarantined = 0
        self._bystander = new_identity()
        self._served = 0
        wait_until(lambda: b" ready: " in self.log_since(0), "it does not start")
        self._warm_up()

    def _warm_up(self) -> None:
        """Baselines are worth something only when every thread has worked and every buffer was used once."""
        most = int(self.configuration.get("maxConcurrentConnections", 10))
        longest = int(self.configuration.get("maxAssociateRequestBytes", 256 << 10)) - 1000
        fill = item(0x77, b"\0" * min(longest, 60000)) * max(1, longest // 60004)
        self.keep(self._bystander)
        for _ in range(2):
            with contextlib.ExitStack() as peers:
                for _ in range(most):
                    peer = peers.enter_context(Peer(self.port, BYSTANDER_HOST))
                    peer.associate(storage_rq(calling=BYSTANDER, fill=fill))
                    peer.send(store(self._bystander.instance, dataset(self._bystander)))
                    assert peer.status() == 0
                    peer.send(_begun(self._bystander))
        self.others_are_served()
        self.take_baseline()

    def take_baseline(self) -> None:
        """What the process has now is what it may have after every case."""
        self.begin_case()
        wait_until(self._settled, "it does not come to rest")
        samples = [time.sleep(0.01) or self.sockets() for _ in range(20)]   # the last control connection ends
        self._sockets, self._threads, self._anonymous = min(samples), self.threads(), self.anonymous_memory()

    def stop(self) -> None:
        """As a user does."""
        self.wait_until_filed()
        control_client.stop(self.port, 30, Path(self.configuration["controlSocketDirectory"]))
        assert self.process.wait(30) == 0
        self._log.close()

    def wait_until_filed(self) -> None:
        """All that was acknowledged is in its folder."""
        wait_until(lambda: not self._unfiled(), "not everything acknowledged was filed")

    # -- what a case tells

    def begin_case(self) -> None:
        """Log lines and services to others count from here."""
        self._log_begin = len(self.log_since(0))
        self._served = 0

    def keep(self, identity: Identity, patient: object = PATIENT_ID) -> None:
        """It was acknowledged: from now on it must be there."""
        self.kept[identity] = patient

    def others_are_served(self) -> None:
        """A C-ECHO and a C-STORE on another association, while the hostile one is under way."""
        with Peer(self.port, BYSTANDER_HOST) as peer:
            peer.associate(storage_rq(calling=BYSTANDER))
            peer.send(echo(1), store(self._bystander.instance, dataset(self._bystander), 2))
            assert [peer.status(), peer.status()] == [0, 0]
            peer.release()
        self._served += 1

    # -- what the machine tells

    def log_since(self, offset: int) -> bytes:
        return os.pread(self._log.fileno(), 1 << 28, offset)

    def log_lines(self) -> list[str]:
        """Of this case: all but those about the bystander and about what was stored."""
        lines = self.log_since(self._log_begin).decode().splitlines()
        return [line for line in lines if BYSTANDER.decode() not in line and " DEBUG stored " not in line]

    def stats(self) -> dict:
        return control_client.call(self.port, "stats", timeout=20,
                                   folder=Path(self.configuration["controlSocketDirectory"]))

    def descriptors(self) -> list[str]:
        """What each open descriptor of the process leads to."""
        folder = f"/proc/{self.process.pid}/fd"
        found = []
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):    # closed in between
                found.append(os.readlink(f"{folder}/{name}"))
        return found

    def sockets(self) -> int:
        return sum(where.startswith("socket:") for where in self.descriptors())

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def anonymous_memory(self) -> int:
        """Bytes; the index file that is mapped is not counted."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10

    def files(self) -> set[str]:
        """Every file below the data directory that somebody may call stray, by its relative path."""
        own = {"format", "starts", "lock", "index.json", "room",
               "dicom-server.db", "dicom-server.db-wal", "dicom-server.db-shm"}
        return {str(path.relative_to(self.data)) for path in _walk(self.data)} - own

    def slots_in_use(self) -> int:
        """Slots with something in them."""
        sizes = []
        for path in _walk(self.data / "intake"):
            with contextlib.suppress(FileNotFoundError):    # given back in between
                sizes.append(path.stat().st_size)
        return sum(size > 0 for size in sizes)

    def row(self, query: str, *arguments: object) -> tuple:
        """The first row of a query to the index file."""
        connection = apsw.Connection(str(self.data / "dicom-server.db"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return next(iter(connection.execute(query, arguments)))
        finally:
            connection.close()

    def holds(self, identity: Identity, data: bytes) -> bool:
        """Whether the instance is in its file, or in a slot on its way there, with exactly this dataset."""
        for path in (self.data / identity.path, *_walk(self.data / "intake")):
            with contextlib.suppress(FileNotFoundError):    # not there yet, or not any more
                content = path.read_bytes()
                if content and content[decode_file_meta(content).dataset_offset:] == data:
                    return True
        return False

    # -- what must be true

    def check(self, lines: Callable[[list[str]], bool]) -> None:
        """After a case: nothing is left of it, and others were served. lines: judges the log lines that it caused."""
        assert self._served, "nobody looked whether others are served meanwhile"
        self.check_left_behind()
        self._check_log(lines)

    def check_left_behind(self) -> None:
        """Nothing is left of the case but what it logged."""
        wait_until(self._settled, "associations or slots do not come to rest")
        assert self.process.poll() is None
        wait_until(lambda: self.sockets() == self._sockets, f"sockets: {self.sockets()}, were {self._sockets}")
        wait_until(lambda: self.threads() == self._threads, f"threads: {self.threads()}, were {self._threads}")
        assert [where for where in self.descriptors() if where.endswith("(deleted)")] == []
        most = self._anonymous + MEMORY_TOLERANCE
        wait_until(lambda: self.anonymous_memory() <= most, f"memory: {self.anonymous_memory()}, was {self._anonymous}")
        self._check_files()
        self._check_rows()

    def _settled(self) -> bool:
        stats = self.stats()
        return not stats["connectionsActive"] and self.slots_in_use() == len(self._unfiled())

    def _unfiled(self) -> list[Identity]:
        return [identity for identity in self.kept if not (self.data / identity.path).exists()]

    def _check_files(self) -> None:
        filed = {path for path in self.files() if not path.startswith(("intake/", "quarantine/"))}
        assert filed <= {identity.path for identity in self.kept}
        aside = [path for path in self.files() if path.startswith("quarantine/") and path.endswith(".dcm")]
        assert len(aside) == self.quarantined

    def _check_rows(self) -> None:
        stats = self.stats()
        rows = [stats[what] for what in ("patients", "studies", "series", "instances", "quarantined")]
        assert rows == [len(set(self.kept.values())), len({i.study for i in self.kept}),
                        len({(i.study, i.series) for i in self.kept}), len(self.kept), self.quarantined]

    def _check_log(self, lines: Callable[[list[str]], bool]) -> None:
        wait_until(lambda: lines(self.log_lines()), f"the log says {self.log_lines()}", 3)
        text = self.log_since(self._log_begin)
        assert [telltale for telltale in TELLTALES if telltale in text.lower()] == []
        assert [line for line in text.decode().splitlines() if ROOT in line and " DEBUG " not in line] == []
        assert re.search(rb"[^\n -~]", text) is None, "a log line has control or foreign characters"
        levels = Counter(line.split(" ", 2)[1] for line in self.log_lines())
        assert "Traceback" not in text.decode() and not levels["CRITICAL"]


def _begun(identity: Identity) -> bytes:
    """4 MB of a C-STORE that goes on."""
    return (p_data(pdv(STORE, COMMAND | LAST, store_command(identity.instance)))
            + p_data(pdv(STORE, 0, explicit(0x7FE00010, b"OW", b"", 1 << 24)))
            + p_data(pdv(STORE, 0, b"\0" * 4000)) * 1000)


def _walk(folder: Path) -> Iterator[Path]:
    for path, _, names in os.walk(folder):
        for name in names:
            yield Path(path) / name
