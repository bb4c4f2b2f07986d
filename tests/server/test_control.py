import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from dicomserver.server import control, control_client, control_socket
from dicomserver.server.control import CommandFailed, Control, ControlUnavailable

PORT = 11112


class Desk:
    def __init__(self) -> None:
        self.stop_asked = threading.Event()
        self.proceed = threading.Event()
        self.control = Control(PORT, {"stats": self.stats, "delete": self.delete, "fail": self.fail,
                                      "fault": self.fault, "long": self.long}, self.stop_asked.set,
                               logging.getLogger("test.control"))

    def stats(self, args, progress):
        return {"instances": 3, "args": args}

    def delete(self, args, progress):
        for done in (1, 2):
            progress({"done": done})
        return {"deleted": 2}

    def fail(self, args, progress):
        raise CommandFailed("no such study")

    def fault(self, args, progress):
        raise KeyError("DOE^JOHN")

    def long(self, args, progress):
        while True:
            progress({})
            self.proceed.wait(0.01)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(control_socket, "RUN_FOLDER", folder)
    desk = Desk()
    desk.control.start()
    yield desk
    desk.control.close()
    desk.control.finish()
    assert list(folder.iterdir()) == []


def test_the_socket_is_ours_alone(desk):
    assert desk.control.path.stat().st_mode & 0o7777 == 0o600


def test_a_command_and_its_result(desk):
    assert control_client.call(PORT, "stats", {"a": 1}) == {"instances": 3, "args": {"a": 1}}


def test_progress_comes_before_the_result(desk):
    seen = []
    assert control_client.call(PORT, "delete", on_progress=seen.append) == {"deleted": 2}
    assert seen == [{"done": 1}, {"done": 2}]


def test_a_command_that_fails_says_why_and_a_fault_does_not_quote(desk, caplog):
    with pytest.raises(control_client.CommandFailed, match="^no such study$"):
        control_client.call(PORT, "fail")
    with pytest.raises(control_client.CommandFailed) as failure:
        control_client.call(PORT, "fault")
    assert "KeyError at test_control.py" in str(failure.value) and "DOE" not in str(failure.value) + caplog.text


@pytest.mark.parametrize("line", [
    b'{"command":"rm"}', b'{"command":5}', b'{}', b'{"command":"stats","args":[]}', b"GET /"])
def test_what_is_no_command_gets_an_error(desk, line):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(desk.control.path))
        peer.sendall(line + b"\n")
        assert "error" in json.loads(peer.makefile().readline())


def test_peers_that_hang_are_dropped_and_block_nobody(desk, monkeypatch):
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.3)
    hung = [socket.socket(socket.AF_UNIX) for _ in range(control.PEERS_AT_ONCE - 1)]
    for peer in hung:
        peer.connect(str(desk.control.path))
        peer.sendall(b'{"comm')
    assert control_client.call(PORT, "stats")["instances"] == 3
    for peer in hung:
        assert "too slow" in peer.makefile().readline()


def test_too_many_peers_are_told_so(desk, tools):
    hung = [socket.socket(socket.AF_UNIX) for _ in range(control.PEERS_AT_ONCE)]
    for peer in hung:
        peer.connect(str(desk.control.path))
    tools.wait_until(lambda: len(desk.control._peers) == control.PEERS_AT_ONCE)
    with pytest.raises(control_client.CommandFailed, match="too many"):
        control_client.call(PORT, "stats")
    hung[0].close()
    tools.wait_until(lambda: len(desk.control._peers) < control.PEERS_AT_ONCE)
    assert control_client.call(PORT, "stats")["instances"] == 3


def test_stop_is_answered_when_all_is_over(desk):
    answered = threading.Event()
    asking = threading.Thread(target=lambda: (control_client.stop(PORT, 20), answered.set()))
    asking.start()
    assert desk.stop_asked.wait(10)
    desk.control.close()
    assert not answered.is_set()
    with pytest.raises(control_client.NotRunning):
        control_client.call(PORT, "stats")
    desk.control.finish()
    asking.join(10)
    assert answered.is_set()


def test_a_long_command_ends_at_its_next_progress_when_the_server_stops(desk):
    failures = []

    def ask():
        try:
            control_client.call(PORT, "long")
        except control_client.CommandFailed as error:
            failures.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    while not desk.control._running:
        time.sleep(0.001)
    desk.control.close()
    asking.join(10)
    assert failures == ["the server is stopping"]


def test_closing_does_not_wait_for_a_peer_that_says_nothing(desk):
    with socket.socket(socket.AF_UNIX) as mute:
        mute.connect(str(desk.control.path))
        while not desk.control._peers:
            time.sleep(0.001)
        begin = time.monotonic()
        desk.control.close()
        desk.control.finish()
        assert time.monotonic() - begin < control.REQUEST_SECONDS


def test_the_socket_of_a_killed_server_is_taken_over_that_of_a_living_one_is_not(desk):
    with pytest.raises(ControlUnavailable, match="another server"):
        Control(PORT, {}, lambda: None, logging.getLogger()).start()
    assert control_client.call(PORT, "stats")["instances"] == 3
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(control_socket.RUN_FOLDER / "104.sock"))
    stale.close()
    heir = Control(104, {"stats": desk.stats}, lambda: None, logging.getLogger())
    heir.start()
    assert control_client.call(104, "stats")["instances"] == 3
    heir.close()
    heir.finish()


AS_NOBODY = """
import json, os, socket, sys
path = sys.argv[1]
os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as peer:
    peer.connect(path)
    try:
        peer.sendall(b'{"command":"stats"}\\n')
    except BrokenPipeError:
        pass    # the refusal was faster
    print(peer.makefile().readline(), end="")
"""


def ask_as_another_user(path, monkeypatch) -> str:
    """What another user reads or fails with. Only root can become one; else the server takes itself for one."""
    if os.geteuid() == 0:
        for folder in path.parents:
            if folder.owner() == "root" and "pytest" in str(folder):
                folder.chmod(0o755)
        done = subprocess.run([sys.executable, "-c", AS_NOBODY, str(path)], capture_output=True, text=True,
                              timeout=60)
        return done.stdout + done.stderr
    monkeypatch.setattr(control.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(control_client.CommandFailed) as refusal:
        control_client.call(PORT, "stats")
    return str(refusal.value) if path.stat().st_mode & 0o077 else f"PermissionError, not only {refusal.value}"


def test_another_user_does_not_get_in_by_the_files_mode(desk, monkeypatch):
    assert "PermissionError" in ask_as_another_user(desk.control.path, monkeypatch)


def test_another_user_is_refused_even_if_the_files_mode_lets_him_in(desk, monkeypatch):
    desk.control.path.chmod(0o666)
    assert "this server belongs to another user" in ask_as_another_user(desk.control.path, monkeypatch)
