from pathlib import Path

import pytest

from dicomserver.cli import arguments
from dicomserver.config import values


def refused(made, *typed):
    with pytest.raises(SystemExit) as ended:
        made.parse_args(typed)
    return ended.value.code


def test_a_mistake_is_one_line(capsys):
    made = arguments.parser("x", "Does x.", "dicom-server x")
    assert refused(made, "--a\nb") == 2
    line = "dicom-server x: unrecognized arguments: --a\\nb; see dicom-server x --help\n"
    assert capsys.readouterr() == ("", line)


def test_options_are_not_guessed():
    made = arguments.parser("x", "Does x.", "dicom-server x")
    made.add_argument("--verbose", action="store_true")
    assert refused(made, "--verb") == 2


def test_help_may_leave_h_to_others(capsys):
    made = arguments.parser("x", "Does x.", "dicom-server x --host h", short_help=False)
    made.add_argument("--host", "-h")
    assert made.parse_args(["-h", "pacs"]).host == "pacs"
    assert refused(made, "--help") == 0
    assert "example: dicom-server x --host h" in capsys.readouterr().out


def test_a_check_speaks_for_itself(capsys):
    made = arguments.parser("x", "Does x.", "dicom-server x")
    made.add_argument("--port", type=arguments.checked(values.port))
    assert made.parse_args(["--port", "104"]).port == 104
    assert refused(made, "--port", "0") == 2
    assert "argument --port: '0' is not a whole number from 1 to 65535;" in capsys.readouterr().err


def test_a_server_on_this_machine_is_found_by_its_port_and_folder(monkeypatch):
    made = arguments.parser("x", "Does x.", "dicom-server x")
    arguments.add_control(made)
    found = made.parse_args([])
    assert (found.port, found.control_dir) == (11112, None)
    found = made.parse_args(["-p", "104", "--control-dir", "/run/x"])
    assert (found.port, found.control_dir) == (104, Path("/run/x"))


def test_the_environment_finds_it_too(monkeypatch, capsys):
    monkeypatch.setenv("DICOM_SERVER_PORT", "104")
    monkeypatch.setenv("DICOM_SERVER_CONTROL_SOCKET_DIRECTORY", "/run/x")
    made = arguments.parser("x", "Does x.", "dicom-server x")
    arguments.add_control(made)
    found = made.parse_args([])
    assert (found.port, found.control_dir) == (104, Path("/run/x"))
    assert made.parse_args(["--port", "105"]).port == 105
    monkeypatch.setenv("DICOM_SERVER_PORT", "tcp://10.0.0.1:1")
    made = arguments.parser("x", "Does x.", "dicom-server x")
    arguments.add_control(made)
    assert refused(made) == 2
    assert "'tcp://10.0.0.1:1' is not a whole number" in capsys.readouterr().err
