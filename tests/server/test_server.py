import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dicomserver.archive.archive import Archive
from dicomserver.archive.errors import ArchiveLocked
from dicomserver.index import open_index
from dicomserver.server import commands, control_client, control_socket, server as server_module
from dicomserver.server.doors import PortInUse
from dicomserver.server.server import Server, StartInterrupted
from dicomserver.server.settings import LobbySettings, ScrubSettings, ServerSettings
from dicomserver.transcoding import decoding


class Talk:
    """An association that answers "hello", and stays until it is stopped."""

    def __init__(self, request, rooms) -> None:
        self.request = request
        self.rooms = rooms
        self.ended = threading.Event()

    def begin(self) -> None:
        self.request.socket.sendall(b"hello from " + self.rooms.ae_title.encode())

    def serve(self) -> None:
        assert self.ended.wait(20)
        self.rooms.events.append("association ended")

    def close(self) -> None:
        self.request.socket.close()

    def stop(self, grace_over: bool) -> None:
        if grace_over or not self.rooms.busy:
            self.ended.set()


class Rooms:
    """The real archive and index, an association of these tests; writes down the order of things."""

    def __init__(self, describe) -> None:
        self.describe = describe
        self.events: list[str] = []
        self.busy = False
        self.ae_title = ""

    def open_archive(self, settings):
        archive = Archive(settings.data_directory, reserve=0)
        return self.watched(archive, "archive", "close", "examine_intake", "file_batch")

    def open_index(self, settings):
        return self.watched(open_index(settings.index_url()), "index", "close")

    def watched(self, room, name, *methods):
        self.events.append(f"{name} open")
        for method in methods:
            def call(*args, real=getattr(room, method), said=f"{name} {method}"):
                self.events.append(said)
                return real(*args)

            setattr(room, method, call)
        return room

    def open_reception(self, settings, archive, index, on_stored, accept, statistics, log):
        self.events.append("reception open")
        self.archive, self.index, self.on_stored = archive, index, on_stored
        self.configure(settings)
        return self

    def configure(self, settings):
        self.ae_title = settings.ae_title

    def close(self):
        self.events.append("reception close")

    def serve(self, request):
        return Talk(request, self)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(control_socket, "RUN_FOLDER", tmp_path / "run")
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture
def build(place, store):
    """Makes servers on the address 127.0.0.1 and a free port; `store` is closed: its describe is what is wanted."""
    store.index.close()
    store.archive.close()
    servers = []
    before = {thread.name for thread in threading.enumerate()}      # a test elsewhere may have left tqdm's own

    def make(read_settings=None, **settings) -> Server:
        settings = {"port": 0, "bind_address": "127.0.0.1", "data_directory": place / "pacs",
                    "grace_seconds": 0.2} | settings
        server = Server(ServerSettings(**settings), Rooms(store.describe), logging.getLogger("test.server"),
                        read_settings)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()
    assert {thread.name for thread in threading.enumerate()} <= before


def talk(server, tools) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    peer.sendall(tools.associate_rq())
    return peer


def test_everything_starts_and_stops_in_its_order(build, tools, caplog):
    caplog.set_level(logging.INFO)
    server = build(ae_title="PACS")
    server.start()
    peer = talk(server, tools)
    assert peer.recv(100) == b"hello from PACS"
    assert f"ready: AE title PACS, port {server.port}, data directory" in caplog.text
    assert "database sqlite, 0 studies" in caplog.text
    assert server.healthy
    assert server.stop()
    assert tools.read_to_end(peer) == b""
    assert server._rooms.events == ["archive open", "index open", "archive examine_intake", "reception open",
                                    "association ended", "reception close", "index close", "archive close"]
    assert server.stop()
    with pytest.raises(ConnectionRefusedError):
        talk(server, tools)


def test_what_was_stored_is_filed_before_the_index_closes(build, tools, store):
    server = build()
    server.start()
    store.path, store.archive, store.index = server._rooms.archive.path, server._rooms.archive, server._rooms.index
    server._rooms.on_stored(store.receive("1.2.3.4.5", b"pixels", mover=False))
    assert server.stop()
    assert server._rooms.events[-3:] == ["archive file_batch", "index close", "archive close"]
    assert (Path(store.path) / "1.2.3" / "1.2.3.4" / "1.2.3.4.5.dcm").exists()


def test_the_scrub_reports_a_damaged_file(build, tools, store):
    server = build()
    server.start()
    store.path, store.archive, store.index = server._rooms.archive.path, server._rooms.archive, server._rooms.index
    server._rooms.on_stored(store.receive("1.2.3.4.5", b"pixels", mover=False))
    assert server.stop()
    path = Path(store.path) / "1.2.3" / "1.2.3.4" / "1.2.3.4.5.dcm"
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    server = build(scrub=ScrubSettings(first_pause_seconds=0))
    server.start()
    tools.wait_until(lambda: control_client.call(server.port, "stats")["scrub"] == "waiting"
                     and control_client.call(server.port, "stats")["scrubBeganAt"])
    figures = control_client.call(server.port, "stats")
    assert (figures["damaged"], figures["daysLeft"]) == (1, None)
    assert control_client.call(server.port, "damaged")["damaged"] == [
        ["1.2.3.4.5", "the dataset's checksum does not hold"]]
    assert server.stop()
    server = build()
    server.start()
    assert control_client.call(server.port, "stats")["damaged"] == 1


def test_one_more_than_allowed_is_refused_and_counted(build, tools):
    server = build(max_concurrent_connections=1)
    server.start()
    first = talk(server, tools)
    assert first.recv(5) == b"hello"
    second = talk(server, tools)
    assert tools.read_to_end(second) == bytes.fromhex("03000000000400020302")
    figures = control_client.call(server.port, "stats")
    assert (figures["associationsActive"], figures["connectionsRejected"], figures["connectionsTotal"]) == (1, 1, 2)


def test_a_place_that_becomes_free_is_given_to_who_waits(build, tools):
    server = build(max_concurrent_connections=1, lobby=LobbySettings(patience_seconds=20))
    server.start()
    first = talk(server, tools)
    assert first.recv(5) == b"hello"
    second = talk(server, tools)
    tools.wait_until(lambda: server._lobby._asking)
    next(iter(server._pool._associations)).ended.set()
    assert second.recv(5) == b"hello"


def test_a_busy_port_is_said_before_anything_is_touched(build, place):
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = build(port=other.getsockname()[1])
        with pytest.raises(PortInUse):
            server.start()
        assert server._rooms.events == [] and not (place / "pacs").exists()


def test_a_second_server_on_the_same_directory(build):
    build().start()
    second = build()
    with pytest.raises(ArchiveLocked):
        second.start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", second.port), timeout=10)


def test_a_start_that_fails_late_leaves_nothing(build, place, monkeypatch):
    server = build()

    def refuse(*args):
        raise OSError(errno.EIO, "it fails")

    monkeypatch.setattr("dicomserver.server.server.doors.listen", refuse)
    with pytest.raises(OSError):
        server.start()
    assert server._rooms.events[-2:] == ["index close", "archive close"]
    assert list((place / "run").iterdir()) == []
    monkeypatch.undo()


def test_a_part_that_fails_to_stop_does_not_keep_the_others(build, caplog):
    server = build()
    server.start()
    real = server._mover.stop

    def fails():
        real()
        raise RuntimeError("DOE^JOHN")

    server._steps = [(name, fails if name == "the mover" else undo) for name, undo in server._steps]
    assert not server.stop()
    assert server._rooms.events[-2:] == ["index close", "archive close"]
    assert "stopping the mover failed: RuntimeError" in caplog.text and "DOE" not in caplog.text


def test_a_transfer_gets_its_grace_and_a_second_wish_ends_it(build, tools):
    server = build(grace_seconds=60)
    server._rooms.busy = True
    server.start()
    peer = talk(server, tools)
    assert peer.recv(5) == b"hello"
    stopper = threading.Thread(target=server.stop)
    stopper.start()
    server.hasten()
    stopper.join(10)
    assert not stopper.is_alive()


def test_stop_over_the_control_socket(build):
    server = build()
    server.start()
    server.stop_soon = threading.Thread(target=server.stop).start
    server._control._on_stop = server.stop_soon
    control_client.stop(server.port, 20)
    assert server._rooms.events[-1] == "archive close"
    with pytest.raises(control_client.NotRunning):
        control_client.call(server.port, "stats")


def test_reload_takes_over_what_can_change(build, tools):
    new = []
    server = build(read_settings=lambda: new[0], ae_title="OLD")
    server.start()
    new.append(ServerSettings(ae_title="NEW", port=server.settings.port, bind_address="127.0.0.1",
                              data_directory=server.settings.data_directory, max_concurrent_connections=1))
    assert control_client.call(server.port, "reload") == {"restartNeeded": False}
    assert talk(server, tools).recv(100) == b"hello from NEW"
    assert server._pool.limit == 1
    new[0] = ServerSettings(port=4711)
    assert server.reload() is True
    assert server.settings.data_directory != Path("dicom-data")


def test_a_reload_that_fails_changes_nothing(build, tools):
    def bad():
        raise commands.ReloadFailed("aeTitle: 1-16 characters")

    server = build(read_settings=bad, ae_title="OLD")
    server.start()
    with pytest.raises(control_client.CommandFailed, match="aeTitle"):
        control_client.call(server.port, "reload")
    assert talk(server, tools).recv(100) == b"hello from OLD"


def test_decoders_that_ended_are_waited_for_now_and_then(build, monkeypatch):
    server = build()
    looked = threading.Event()
    monkeypatch.setattr(server_module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(decoding, "forget_ended", lambda: looked.set() or server.stop_soon())
    server.start()
    in_vain = threading.Timer(20, server.stop_soon)
    in_vain.start()
    server._watch()
    in_vain.cancel()
    in_vain.join()
    assert looked.is_set()


def test_a_wish_to_stop_during_recovery_is_heard(build, store):
    server = build()
    server.start()
    store.path, store.archive, store.index = server._rooms.archive.path, server._rooms.archive, server._rooms.index
    store.receive("1.2.3.4.5", b"pixels", mover=False)
    server.stop()
    again = build()
    again._stop_wanted = True
    with pytest.raises(StartInterrupted):
        again.start()
    assert again._rooms.events[-1] == "archive close"


PROCESS = """
import logging, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_server import Rooms
from dicomserver.server import control_socket
from dicomserver.server.server import Server
from dicomserver.server.settings import ServerSettings
control_socket.RUN_FOLDER = Path({place!r}) / "run"
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
rooms = Rooms(None)
rooms.busy = True
reloads = []
settings = ServerSettings(port=0, bind_address="127.0.0.1", data_directory=Path({place!r}) / "pacs",
                          grace_seconds=60)
server = Server(settings, rooms, logging.getLogger(), lambda: reloads.append(1) or settings)
code = server.run()
print(len(reloads), "reloads")
sys.exit(code)
"""


@pytest.fixture
def process(place):
    """A server in a process of its own, and the port that its start line says."""
    code = PROCESS.format(here=str(Path(__file__).parent), place=str(place))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place / "notify"))
        manager.settimeout(10)
        told = {"NOTIFY_SOCKET": str(place / "notify"), "WATCHDOG_USEC": "200000"}
        server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, env=os.environ | told)
        server.manager = manager
        while "ready: " not in (line := server.stderr.readline()):
            assert line
        server.port = int(line.split("port ")[1].split(",")[0])
        yield server
        server.kill()
        server.communicate()


def heard(server, state: str) -> bool:
    while state not in server.manager.recv(1000).decode():
        pass
    return True


def test_signals_and_the_systemd(process, tools):
    assert heard(process, "READY=1") and heard(process, "WATCHDOG=1")
    peer = talk(process, tools)
    assert peer.recv(5) == b"hello"
    process.send_signal(signal.SIGHUP)
    assert "reloaded" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert heard(process, "STOPPING=1") and heard(process, "WATCHDOG=1")
    process.send_signal(signal.SIGINT)      # the second one ends the grace of 60 seconds
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "1 reloads\n")
    assert "1 associations were aborted" in err and err.endswith("stopped\n")


def test_stop_from_another_process(process):
    control_client.stop(process.port, 30)
    assert process.wait(0) == 0
