import json

import pytest

from dicomserver.cli import stats
from dicomserver.cli.main import main
from dicomserver.server import control_client

FIGURES = {
    "uptimeSeconds": 93784.5,
    "connectionsTotal": 12,
    "connectionsRejected": 2,
    "associationsTotal": 10,
    "bytesIn": 1_234_567_890,
    "bytesOut": 999,
    "instances": 5,
    "conflictsWaiting": 3,
    "somethingNew": 7,
    "diskFreeBytes": None,
    "services": {"C-ECHO": {"requests": 3, "failures": 0}, "C-STORE": {"requests": 6, "failures": 1}},
}


@pytest.fixture
def running(monkeypatch):
    asked = []

    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        asked.append((port, command))
        if port != 11112:
            raise control_client.NotRunning(f"no server is running on port {port} of this machine")
        return FIGURES

    monkeypatch.setattr(control_client, "call", call)
    return asked


def test_figures_for_a_person(running, capsys):
    assert main(["stats"]) == 0
    assert running == [(11112, "stats")]
    assert capsys.readouterr().out.splitlines() == [
        "Up for                  1 d 02:03:04",
        "Connections             12",
        "Connections rejected    2",
        "Associations            10",
        "Instances               5",
        "Conflicts to decide     3",
        "Received                1.2 GB",
        "Sent                    999 bytes",
        "Disk left               unknown",
        "somethingNew            7",
        "C-ECHO                  3 requests, 0 failed",
        "C-STORE                 6 requests, 1 failed",
    ]


def test_figures_for_a_program(running, capsys):
    assert main(["stats", "--port", "11112", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == FIGURES


def test_no_server(running, capsys):
    assert main(["stats", "-p", "104"]) == 1
    assert capsys.readouterr() == ("", "dicom-server: no server is running on port 104 of this machine\n")


@pytest.mark.parametrize(
    "count, text",
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_500_000, "1.5 MB"),
        (2 * 10**9, "2.0 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes(count, text):
    assert stats.size(count) == text


@pytest.mark.parametrize("seconds, text", [(0, "00:00:00"), (3661.9, "01:01:01"), (86400, "1 d 00:00:00")])
def test_durations(seconds, text):
    assert stats.duration(seconds) == text
