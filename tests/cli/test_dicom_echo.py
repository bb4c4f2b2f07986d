import re

import pytest

from dicomserver.cli.tools import run
from tests.scu.scp import Scp


@pytest.fixture
def server():
    running = Scp()
    yield f"MY_PACS@127.0.0.1:{running.port}"
    running.close()


def test_one_echo(server, capsys):
    assert run("dicom-echo", [server]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"MY_PACS at 127\.0\.0\.1:\d+ answers: [\d.]+ ms\n", out)
    assert err == ""


def test_several_and_their_statistics(server, capsys):
    assert run("dicom-echo", [server, "-c", "3", "--stats"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    found = re.fullmatch(r"3 sent, 3 answered with success; min/avg/max ([\d.]+)/([\d.]+)/([\d.]+) ms", lines[-1])
    assert float(found[1]) <= float(found[2]) <= float(found[3])


def test_diagnose(server, capsys):
    assert run("dicom-echo", [server, "--diagnose"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("ok")] == [
        "Name", "TCP", "TLS", "Association", "C-ECHO"]


def test_nobody_there(capsys):
    assert run("dicom-echo", ["127.0.0.1:1"]) == 1
    assert capsys.readouterr() == (
        "", "dicom-echo: the server at 127.0.0.1:1 cannot be reached: Connection refused\n")
    assert run("dicom-echo", ["127.0.0.1:1", "--diagnose"]) == 1
    out, err = capsys.readouterr()
    assert "FAIL  TCP" in out and "Start the server" in out
    assert err == ""


@pytest.mark.parametrize("typed", ["-c 0", "-c x", "-c -1"])
def test_wrong_counts(typed, capsys):
    with pytest.raises(SystemExit):
        run("dicom-echo", ["x", *typed.split()])
    assert "at least 1" in capsys.readouterr().err or typed == "-c -1"
