"""The trash of a running server: over its control socket, a restart and a reload."""
import dataclasses
import errno
import logging
import os

import pytest

from dicomserver.archive.errors import TrashFailed
from dicomserver.server import control_client
from dicomserver.server.rooms import RealRooms
from dicomserver.server.server import Server
from dicomserver.server.settings import RetentionSettings, ServerSettings
from dicomserver.server.trash import TrashKeeper


class Rooms(RealRooms):
    """The real ones, which can be looked into; datasets are those of these tests."""

    def __init__(self, describe) -> None:
        self.describe = describe

    def open_archive(self, settings):
        self.archive = super().open_archive(settings)
        return self.archive

    def open_index(self, settings):
        self.index = super().open_index(settings)
        return self.index


class Running:
    """Servers one after the other on one data directory."""

    def __init__(self, store) -> None:
        self.store = store
        store.close()
        (store.path.parent / "control").mkdir(mode=0o700)
        self.settings = ServerSettings(port=0, bind_address="127.0.0.1", data_directory=store.path,
                                       control_directory=store.path.parent / "control")
        self.server: Server | None = None

    def start(self) -> None:
        self.stop()
        self.rooms = Rooms(self.store.describe)
        self.server = Server(self.settings, self.rooms, logging.getLogger("test.server"), lambda: self.settings)
        self.server.start()
        store = self.store
        store.archive, store.index, store.mover = self.rooms.archive, self.rooms.index, self.server._mover

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()

    def reload(self, **settings) -> None:
        self.settings = dataclasses.replace(self.server.settings, **settings)
        self.server.reload()

    def call(self, command: str, **asked) -> dict:
        return control_client.call(self.server.port, command, asked, folder=self.settings.control_directory)


@pytest.fixture
def running(store):
    running = Running(store)
    running.start()
    yield running
    running.stop()


def test_what_was_interrupted_is_ended_by_the_next_start(running, monkeypatch):
    running.store.receive("1.2.3.4.5", b"pixels")
    assert running.call("delete", study="1.2.3") == {"deleted": 1}

    def broken():
        raise TrashFailed("bringing files back", errno.EIO)

    monkeypatch.setattr(running.rooms.archive.trash, "sync_back", broken)
    with pytest.raises(control_client.CommandFailed, match="^bringing files back: Input/output error; 0 instances"):
        running.call("undelete", instance="1.2.3.4.5")
    running.start()
    assert running.rooms.index.find("1.2.3.4.5") is not None
    assert running.server.healthy


def test_a_reload_may_take_the_trash_away(running):
    running.store.receive("1.2.3.4.5", b"pixels")
    running.reload(trash_seconds=0)
    assert running.call("count", study="1.2.3")["trashSeconds"] == 0
    assert running.call("delete", study="1.2.3") == {"deleted": 1}
    assert running.call("trash") == {"deletions": 0}


def test_a_trash_that_cannot_be_settled_does_not_keep_the_server_from_starting(running, monkeypatch, caplog):
    def broken(self):
        raise TrashFailed("reading the trash", errno.EIO)

    monkeypatch.setattr(TrashKeeper, "settle", broken)
    running.start()
    assert "what was interrupted in the trash is not ended yet: reading the trash: Input/output error" in caplog.text


def test_a_deletion_that_cannot_be_finished_does_not_keep_the_server_from_starting(running, monkeypatch, caplog):
    running.store.receive("1.2.3.4.5", b"pixels")
    assert running.server._mover.flush()
    archive, index = running.rooms.archive, running.rooms.index
    archive.begin_delete([index.find("1.2.3.4.5")])
    real = os.rmdir

    def rmdir(name, **keywords):
        if name == "1.2.3.4":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(name, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", rmdir)
        running.start()
        assert "a deletion that had stopped cannot be finished yet: deleting instances: Input" in caplog.text
        with pytest.raises(control_client.CommandFailed, match="Input/output error"):
            running.call("delete", study="1.2.3")
    running.call("delete", study="1.2.3")
    assert running.rooms.archive.interrupted_deletions() == []


def test_the_retention_rule_of_a_running_server(running):
    running.store.receive("1.2.3.4.5", b"received at the begin of the epoch")
    assert running.call("retention") == {"days": 0, "freePercent": 0, "minimumDays": 30}
    running.reload(retention=RetentionSettings(days=1, minimum_days=36500))
    assert running.call("retention") == {"days": 1, "freePercent": 0, "minimumDays": 36500}
    assert running.call("keep", study="1.2.3") == {"changed": True}
    running.start()
    assert "1.2.3" in running.rooms.archive.kept
