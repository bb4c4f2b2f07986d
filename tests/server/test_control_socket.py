import os
import socket

import pytest

from dicomserver.server import control_socket


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setattr(control_socket, "RUN_FOLDER", tmp_path / "run")
    monkeypatch.setattr(control_socket, "RUNTIME_FOLDERS", tmp_path / "user", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "xdg"))
    monkeypatch.setattr(control_socket.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path


def test_the_run_folder_comes_first(places):
    (places / "run").mkdir()
    assert control_socket.make_folder() == places / "run"


def test_then_the_users_runtime_folder(places):
    (places / "xdg").mkdir()
    assert control_socket.make_folder() == places / "xdg" / "dicom-server"
    assert (places / "xdg" / "dicom-server").stat().st_mode & 0o777 == 0o700


def test_then_a_private_folder_among_the_temporary_ones(places):
    folder = control_socket.make_folder()
    assert folder == places / "tmp" / f"dicom-server-{os.geteuid()}"
    assert control_socket.is_private(folder)
    assert control_socket.make_folder() == folder


def test_cron_finds_the_server_of_a_session(places, monkeypatch):
    session = places / "user" / str(os.geteuid())
    session.mkdir(parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    made = control_socket.make_folder()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert made in control_socket.folders()
    assert control_socket.make_folder() == places / "tmp" / f"dicom-server-{os.geteuid()}", "a session's may vanish"


@pytest.mark.parametrize("trap", ["link", "file", "open to others", "another's"])
def test_a_temporary_folder_that_another_prepared_is_not_used(places, trap, monkeypatch):
    user = os.geteuid() + (trap == "another's")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    folder = places / "tmp" / f"dicom-server-{user}"
    if trap == "link":
        (places / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(places / "elsewhere")
    elif trap == "file":
        folder.touch()
    else:
        folder.mkdir(mode=0o700)
        if trap == "open to others":
            folder.chmod(0o750)
    assert not control_socket.is_trusted(folder)
    with pytest.raises(PermissionError, match="no private folder"):
        control_socket.make_folder()


def test_lines_come_whole_however_they_are_cut():
    ours, theirs = socket.socketpair()
    lines = control_socket.Lines(ours, 100)
    control_socket.send_line(theirs, {"a": "ä"})
    theirs.sendall(b'{"b":')
    assert lines.next(10) == {"a": "ä"}
    theirs.sendall(b'2}\n{"c":3}\n')
    assert [lines.next(10), lines.next(10)] == [{"b": 2}, {"c": 3}]


@pytest.mark.parametrize("sent, why", [
    (b"x" * 200, "too long"), (b"\xff\n", "not JSON"), (b"[" * 90 + b"\n", "not JSON"),
    (b"[1]\n", "not a JSON object"), (b'{"a"', "too slow"),
])
def test_lines_that_are_none(sent, why):
    ours, theirs = socket.socketpair()
    theirs.sendall(sent)
    with pytest.raises(control_socket.LineError, match=why):
        control_socket.Lines(ours, 100).next(0.05)


def test_a_closed_connection_gives_no_line():
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(control_socket.LineError, match="closed"):
        control_socket.Lines(ours, 100).next(None)


def test_the_other_side_is_known_by_the_system():
    ours, _theirs = socket.socketpair()
    assert control_socket.peer(ours) == (os.getpid(), os.geteuid())
