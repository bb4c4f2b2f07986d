"""The installed server's index goes to PostgreSQL and back while it stores and deletes; wrong orders lose no image."""
from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.index.emptied import emptied
from tests.index.transferring import answers
from tests.interop.installed import DICOM_SERVER, PATIENCE, Installed, StartFailed, wait_until
from tests.interop.sender import Sender
from tests.interop.stored import check
from tests.interop.synthetic import CT, EXPLICIT, Sent, instance
from tests.postgres import PostgresServer

MOVED = "The index has moved: 1 patient, "


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return emptied(postgres).replace("//postgres@", "//postgres:open%20sesame@")


class Migrate:
    """`dicom-server index migrate`, running. said: what it has said so far, on both streams."""

    def __init__(self, server: Installed, *arguments: str) -> None:
        self.said = ""
        self.process = subprocess.Popen(
            [DICOM_SERVER, "index", "migrate", "--config", server.configuration, *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=server.folder, env=server.environment)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.said += line

    def waits(self) -> None:
        """Returns when it waits for the server's end."""
        wait_until(lambda: "Stop the server now" in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said

    def end(self) -> tuple[int, str]:
        """-> the exit code, and all that it said."""
        code = self.process.wait(PATIENCE)
        self._reader.join()
        self.process.stdout.close()
        return code, self.said


def migrate(server: Installed, *arguments: str) -> tuple[int, str]:
    return Migrate(server, *arguments).end()


class Scanner:
    """Stores without end, in studies by turns, until it is stopped. stored: what was acknowledged."""

    def __init__(self, server: Installed) -> None:
        self.stored: list[Sent] = []
        self._server = server
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Scanner:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with Sender(self._server.port, [(CT, [EXPLICIT])]) as sender:
            number = 0
            while not self._stopping.wait(0.002):
                number += 1
                one = instance(number % 4, number)
                if sender.store(1, CT, one.sop_instance, one.dataset).status == 0:
                    self.stored.append(one)


def store(server: Installed, numbers: Iterator[int] | range, study: int = 9) -> list[Sent]:
    made = [instance(study, number) for number in numbers]
    with Sender(server.port, [(CT, [EXPLICIT])]) as sender:
        assert {sender.store(1, CT, one.sop_instance, one.dataset).status for one in made} <= {0}
    return made


def refused(server: Installed, *arguments: str) -> str:
    """Why the server does not start."""
    with pytest.raises(StartFailed) as failed:
        server.start(*arguments)
    assert failed.value.code == 78
    assert "sesame" not in "".join(failed.value.lines)
    return failed.value.lines[-1]


def test_there_and_back_while_the_server_runs(install: Callable[..., Installed], url: str,
                                              postgres: PostgresServer) -> None:
    server = install().start()
    former = store(server, range(1, 80))
    with Scanner(server) as scanner:
        moving = Migrate(server, "--to", url)
        wait_until(lambda: len(scanner.stored) > 50)
        command_line = Path(f"/proc/{moving.process.pid}/cmdline")
        deleted = server.run("delete", "--study", former[0].study, "--yes", *server.where)
        assert deleted.returncode == 0, deleted.stderr
        moving.waits()
        assert "sesame" not in command_line.read_text() and "--to" in command_line.read_text()
        before = len(scanner.stored)
        wait_until(lambda: len(scanner.stored) > before + 20)
    server.stop()
    code, said = moving.end()
    assert code == 0 and f"{MOVED}4 studies, 4 series, {len(scanner.stored)} instances" in said
    shown = url.replace(":open%20sesame", "")
    assert f"    {shown}\nwith the password" in said and "sesame" not in said

    # Whoever goes on as before is told so, and nothing is stored where nobody would look.
    line = refused(server)
    assert f"the index of this archive is {shown}; the one at sqlite://" in line
    server.configure(databaseURL=url)
    assert not any("filled from the files" in text for text in server.start().lines)
    assert server.stats()["instances"] == len(scanner.stored)
    scanned = store(server, range(100, 110))
    undeleted = server.run("undelete", "--study", former[0].study, *server.where)
    assert undeleted.returncode == 0, undeleted.stderr
    server.filed(len(scanner.stored) + 10 + 79)
    for one in (*scanner.stored[:3], *scanned, former[-1]):
        check(server.data, one)
    old = f"sqlite://{server.data}/dicom-server.db"
    code, said = migrate(server, "--to", old)
    assert code == 1 and "--replace" in said and "sesame" not in said
    moving = Migrate(server, "--to", old, "--replace")
    moving.waits()
    server.stop()
    assert moving.end()[0] == 0
    assert answers(old) == answers(url)
    assert old in refused(server)
    server.configure()
    server.start()
    assert server.stats()["instances"] == len(scanner.stored) + 89
    server.stop()


def test_killed_at_any_moment_it_goes_on(install: Callable[..., Installed], url: str, postgres: PostgresServer) -> None:
    server = install().start()
    store(server, range(1, 300))
    server.stop()
    unfinished = 0
    for pause in (0, 0.05, 0.1, 0.2):
        moving = Migrate(server, "--to", url)
        wait_until(lambda: postgres.execute("SELECT to_regclass('dicom_server.unfinished')") != [(None,)])
        time.sleep(pause)
        moving.process.kill()
        if moving.end()[0] == 0:
            break       # the machine was quick
        if postgres.execute("SELECT to_regclass('dicom_server.unfinished')") != [(None,)]:
            unfinished += 1
            assert "migrate" in refused(server, "--database-url", url)
    assert unfinished
    # 78: it had ended when it was killed, and the archive has it already.
    assert migrate(server, "--to", url)[0] in (0, 78)
    server.configure(databaseURL=url)
    server.start()
    assert server.stats()["instances"] == 299
    server.stop()


def test_wrong_orders(install: Callable[..., Installed], url: str, tmp_path: Path) -> None:
    server = install().start()
    store(server, range(1, 6))
    server.stop()
    own = f"sqlite://{server.data}/dicom-server.db"
    assert "that is the index which the server has" in migrate(server, "--to", own)[1]
    assert "in memory" in migrate(server, "--to", "memory:")[1]
    assert "absolute" in migrate(server, "--to", "sqlite://x.db")[1]
    # The configuration first, and a start: all is there, from the files. Then the old index is behind.
    server.configure(databaseURL=url)
    server.start()
    store(server, range(6, 8))
    assert server.stats()["instances"] == 7
    server.stop()
    code, said = migrate(server, "--to", url)
    assert code == 1 and "that is the index which the server has" in said
    code, said = migrate(server, "--to", url, "--database-url", own)
    assert code == 78 and "does not know what came and went since" in said
    server.configure()
    refused(server)
    # What always helps.
    assert "Index rebuilt: 7 instances" in server.rebuild()
    server.start()
    assert server.stats()["instances"] == 7
    server.stop()
    server.configure(databaseURL=url)
    assert own in refused(server)


def test_ctrl_c_is_one_line(install: Callable[..., Installed], tmp_path: Path) -> None:
    server = install().start()
    store(server, range(1, 6))
    moving = Migrate(server, "--to", f"sqlite://{tmp_path}/new.db")
    moving.waits()
    os.kill(moving.process.pid, signal.SIGINT)
    code, said = moving.end()
    assert code == 130 and "Traceback" not in said
    assert server.stats()["instances"] == 5
    server.stop()
    server.start()
    server.stop()
    assert migrate(server, "--to", f"sqlite://{tmp_path}/new.db")[0] == 0
