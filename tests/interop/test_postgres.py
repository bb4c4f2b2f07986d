"""The installed server on a real PostgreSQL, and a database that dies while four associations store."""
from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.index.emptied import emptied
from tests.interop.installed import DICOM_SERVER, PATIENCE, Installed, StartFailed, wait_until
from tests.interop.lane import Lane
from tests.interop.sender import Sender
from tests.interop.stored import check
from tests.interop.synthetic import CT, EXPLICIT, instance
from tests.postgres import PostgresServer

LANES = 4


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return emptied(postgres).replace("//postgres@", "//postgres:open%20sesame@")


def started(server: Installed, url: str) -> Installed:
    return server.start("--database", "postgres", "--database-url", url)


def query(server: Installed, *keys: str) -> list[str]:
    """C-FIND; the Study Instance UIDs."""
    found = subprocess.run([DICOM_SERVER.with_name("dicom-query"), f"127.0.0.1:{server.port}", "-f", "json", *keys],
                           capture_output=True, text=True, timeout=PATIENCE)
    assert found.returncode == 0, found.stderr
    return sorted(str(one["StudyInstanceUID"]) for one in json.loads(found.stdout))


def uids(postgres: PostgresServer) -> set[str]:
    return {uid for uid, in postgres.execute("SELECT uid FROM dicom_server.instances")}


def command_line(server: Installed) -> str:
    return Path(f"/proc/{server.process.pid}/cmdline").read_text()


def test_stores_finds_deletes_and_starts_again(install: Callable[..., Installed], url: str,
                                               postgres: PostgresServer) -> None:
    server = started(install(), url)
    sent = [instance(number % 3, number) for number in range(30)]
    with Sender(server.port, [(CT, [EXPLICIT])]) as sender:
        assert [sender.store(1, CT, one.sop_instance, one.dataset).status for one in sent] == [0] * 30
        assert sender.store(1, CT, sent[0].sop_instance, sent[0].dataset).status == 0
    server.filed(30)
    for one in sent:
        check(server.data, one)
    assert query(server, "--patient", "*oe^j*") == [sent[number].study for number in range(3)]
    assert query(server, "--patient", "nobody*") == []
    deleted = server.run("delete", "--study", sent[0].study, "--yes", *server.where)
    assert deleted.returncode == 0, deleted.stderr
    (server.folder / "backup").mkdir()
    backup = server.run("backup", str(server.folder / "backup"), *server.where)
    assert backup.returncode == 0, backup.stderr
    said = server.stop()
    assert uids(postgres) == {one.sop_instance for one in sent if one.study != sent[0].study}
    assert any("fsync = off" in line for line in said if " WARNING " in line)
    assert not any("sesame" in line for line in said)
    started(server, url)
    assert server.stats()["instances"] == 20
    undeleted = server.run("undelete", "--study", sent[0].study, *server.where)
    assert undeleted.returncode == 0, undeleted.stderr
    assert len(server.filed(30)) == 30
    assert "sesame" not in command_line(server) and "--database-url" in command_line(server)
    server.stop()


def test_a_new_database_is_filled_from_the_files(install: Callable[..., Installed], url: str,
                                                 postgres: PostgresServer) -> None:
    """So an archive moves from SQLite to PostgreSQL, and survives the loss of its database."""
    server = install().start()
    with Sender(server.port, [(CT, [EXPLICIT])]) as sender:
        for number in range(5):
            one = instance(1, number)
            assert sender.store(1, CT, one.sop_instance, one.dataset).status == 0
    server.stop()
    started(server, url)
    assert server.stats()["instances"] == 5
    server.stop()
    server.configure(databaseURL=url)
    postgres.execute("TRUNCATE dicom_server.instances CASCADE")
    assert "5 instances" in server.rebuild()
    server.start()
    assert server.stats()["instances"] == 5 and len(uids(postgres)) == 5
    server.stop()


def test_no_database_is_one_clear_line(install: Callable[..., Installed], url: str) -> None:
    with pytest.raises(StartFailed) as failed:
        started(install(), url.replace("/postgres?", "/absent?"))
    [line] = failed.value.lines
    assert failed.value.code == 1 and 'database "absent" does not exist' in line and "sesame" not in line


def test_a_database_that_dies_under_load(install: Callable[..., Installed], url: str,
                                         postgres: PostgresServer) -> None:
    """Running associations get A700 and go on; the server comes back by itself; nothing acknowledged is missing."""
    server = started(install(idleTimeoutSeconds=120), url)
    lanes = [Lane(server, number) for number in range(1, LANES + 1)]

    def each(status: int, more: int) -> None:
        before = [lane.count(status) for lane in lanes]
        wait_until(lambda: all(lane.ended or lane.count(status) >= count + more
                               for lane, count in zip(lanes, before)), every=0.05)

    each(0, 100)
    postgres.kill()
    try:
        each(0xA700, 1)
    finally:
        postgres.start()
    each(0, 100)
    postgres.kill()         # and once so shortly that nobody is refused
    postgres.start()
    each(0, 100)
    for lane in lanes:
        lane.stop()
    assert [lane.ended for lane in lanes] == [None] * LANES
    assert {status for lane in lanes for status in lane.statuses.values()} == {0, 0xA700}
    acknowledged = {uid for lane in lanes for uid in lane.acknowledged}
    server.kill()
    postgres.kill()
    postgres.start()
    started(server, url)
    wait_until(lambda: server.stats()["waitingInstances"] == 0, every=0.1)
    assert acknowledged - uids(postgres) == set()
    named = {path.stem for path in server.files()}
    assert named == uids(postgres) and server.quarantined() == []
    server.stop()
