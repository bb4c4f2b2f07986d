import logging
import os
import shutil

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.durable import Folder
from dicomserver.archive.errors import ArchiveLocked, ArchiveUnusable
from dicomserver.archive.index_record import IndexRecord, write_record
from dicomserver.index.sqlite import copying
from dicomserver.server import control_client
from dicomserver.server.archive_index import WrongIndex
from dicomserver.server.backup import back_up
from dicomserver.server.backup_commands import table
from dicomserver.server.backup_origins import RunningServer, StoppedServer, listed
from dicomserver.server.control import Control
from dicomserver.server.restore import drill
from dicomserver.server.rooms import RealRooms
from dicomserver.server.settings import ServerSettings
from tests.server.backing_up import snapshot

LOG = logging.getLogger("test.backup")


@pytest.fixture
def control(store, tmp_path):
    """The control socket of a server with that store."""
    control = Control(11112, table(store.archive, store.index, ServerSettings(
        data_directory=store.path, database_url=store.url)), lambda: None, LOG, tmp_path / "control")
    control.start()
    yield control
    control.close()
    control.finish()


@pytest.fixture
def running(control, tmp_path):
    return RunningServer(11112, tmp_path / "control")


def test_a_running_server(store, running, tmp_path):
    waiting = [store.receive(f"1.2.3.4.{number}") for number in (1, 2)]
    assert (running.data_directory, running.database_url) == (str(store.path), store.url)
    assert running.identity == store.archive.identity()
    rows = list(running.rows())
    assert rows == list(map(listed, store.index.select())) and [row.slot for row in rows] == [
        one.slot for one in waiting]
    assert running.is_stored(rows[0])
    store.index.remove([rows[0].sop_instance_uid], [rows[0].slot])
    assert not running.is_stored(rows[0]) and running.is_stored(rows[1])
    (tmp_path / "target").mkdir()
    assert back_up(running, str(tmp_path / "target"), lambda report: None).instances == 1


def test_a_server_that_is_stopped_while_its_index_is_copied(store, running, control, tmp_path, monkeypatch):
    """It must be able to start again at once."""
    monkeypatch.setattr(copying, "PAGES_AT_ONCE", 1)
    store.receive("1.2.3.4.1")
    (tmp_path / "target").mkdir()

    def stop(report):
        control.close()
        control.finish()

    with pytest.raises(control_client.CommandFailed, match="stopped"):
        back_up(running, str(tmp_path / "target"), stop)
    store.reopen()
    assert store.index.find("1.2.3.4.1") is not None


def test_none_is_running(tmp_path):
    with pytest.raises(control_client.NotRunning):
        RunningServer(11112, tmp_path)


@pytest.fixture
def killed(store, tmp_path, monkeypatch):
    """A data directory as a killed server leaves it: one instance filed, one in the intake, without a row."""
    monkeypatch.setattr(RealRooms, "describe", staticmethod(store.describe))
    store.receive("1.2.3.4.1", b"one")
    store.mover.start()
    assert store.mover.flush()
    store.receive("1.2.3.4.2", b"two", row=False, mover=False)
    shutil.copytree(store.path, tmp_path / "killed")
    return tmp_path / "killed"


@pytest.mark.parametrize("url", ["", "memory:"])
def test_a_server_that_does_not_run(killed, tmp_path, url):
    settings = ServerSettings(data_directory=killed, database_url=url)
    (tmp_path / "target").mkdir()
    for _ in range(2):
        with StoppedServer(settings, LOG) as stopped:
            with pytest.raises(ArchiveLocked):
                Archive(killed)
            assert sorted(row.sop_instance_uid for row in stopped.rows()) == ["1.2.3.4.1", "1.2.3.4.2"]
            assert all(map(stopped.is_stored, stopped.rows()))
            assert back_up(stopped, str(tmp_path / "target"), lambda report: None).instances == 2
    assert drill(str(tmp_path / "target"), lambda report: None).damaged == []
    Archive(killed).close()


def test_the_archive_s_own_index_is_asked_for(killed):
    """Else a backup without the server's --database-url would make a new one, and call that the right one."""
    Archive(killed).close()
    with Folder(str(killed)) as root:
        write_record(root, IndexRecord("0" * 32, "postgres://elsewhere/pacs"))
    with pytest.raises(WrongIndex, match="postgres://elsewhere"):
        StoppedServer(ServerSettings(data_directory=killed, database_url=f"sqlite://{killed}/new.db"), LOG)
    Archive(killed).close()


def test_root_leaves_another_users_archive_alone(killed, monkeypatch):
    before = snapshot(killed)
    if os.geteuid() == 0:
        os.chown(killed, 65534, 65534)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ArchiveUnusable, match="another user"):
        StoppedServer(ServerSettings(data_directory=killed), LOG)
    assert snapshot(killed) == before


def test_one_that_cannot_be_opened_gives_the_lock_back(killed):
    with pytest.raises(Exception, match="no index engine"):
        StoppedServer(ServerSettings(data_directory=killed, database_url="other:"), LOG)
    (killed / "dicom-server.db").write_text("no database" * 1000)
    with pytest.raises(Exception, match="SQLITE_NOTADB"):
        StoppedServer(ServerSettings(data_directory=killed), LOG)
    Archive(killed).close()
