import os
import socket

import pytest

from dicomserver.server import systemd


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_hears(tmp_path, monkeypatch, abstract):
    name = f"@dicom-server-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        systemd.notify("READY=1")
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/at/all"])
def test_nobody_to_tell_is_no_error(monkeypatch, address):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert systemd.notify("READY=1") is None


@pytest.mark.parametrize("usec, pid, seconds", [
    (None, None, None), ("30000000", None, 15.0), ("30000000", "1", None), ("30000000", "ours", 15.0),
    ("junk", None, None), ("0", None, None),
])
def test_how_often_the_watchdog_wants_to_hear(monkeypatch, usec, pid, seconds):
    pid = str(os.getpid()) if pid == "ours" else pid
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_seconds() == seconds
