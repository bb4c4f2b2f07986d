import os
import socket
import subprocess
import sys

import pytest

from dicomserver.server import control_client, control_socket


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(control_socket, "RUN_FOLDER", folder)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "xdg"))
    return folder


def test_nobody_there(run_folder):
    with pytest.raises(control_client.NotRunning, match="no server is running on port 104.*: --port$"):
        control_client.call(104, "stats")


def test_a_socket_that_nobody_serves_any_more(run_folder):
    socket.socket(socket.AF_UNIX).bind(str(run_folder / "104.sock"))
    with pytest.raises(control_client.NotRunning):
        control_client.call(104, "stats")


def test_a_socket_in_a_folder_that_others_may_write_to_is_not_believed(run_folder, tmp_path):
    folder = tmp_path / "xdg" / "dicom-server"
    folder.mkdir(parents=True, mode=0o777)
    folder.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as false_server:
        false_server.bind(str(folder / "104.sock"))
        false_server.listen()
        with pytest.raises(control_client.NotRunning):
            control_client.call(104, "stats")


SLOW_TO_GO = """
import logging, sys, threading, time
from dicomserver.server import control_socket
from dicomserver.server.control import Control
from pathlib import Path
control_socket.RUN_FOLDER = Path(sys.argv[1])
asked = threading.Event()
control = Control(104, {}, asked.set, logging.getLogger())
control.start()
print("ready", flush=True)
asked.wait(20)
control.close()
control.finish()
time.sleep(0.3)
"""


def test_stop_returns_when_the_process_is_gone(run_folder):
    with subprocess.Popen([sys.executable, "-c", SLOW_TO_GO, str(run_folder)], stdout=subprocess.PIPE) as server:
        assert server.stdout.readline() == b"ready\n"
        control_client.stop(104, 20)
        assert os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
