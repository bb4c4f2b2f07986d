"""The command as a user types it: every run here is the installed console script."""

import subprocess
import sys
from pathlib import Path

import pytest

from dicomserver import __version__
from dicomserver.cli.main import COMMANDS, main

DICOM_SERVER = Path(sys.executable).parent / "dicom-server"


def typed(*arguments, environment=None, folder=None):
    return subprocess.run(
        [DICOM_SERVER, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **(environment or {})},
    )


def test_help_lists_every_command():
    done = typed("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
    assert "example: dicom-server start" in done.stdout
    assert "hands out medical images" in done.stdout, "this version shows none"
    assert typed("-h").stdout == typed("help").stdout == done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    done = typed(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: dicom-server {command}")
    assert f"example: dicom-server {command}" in done.stdout


def test_version():
    done = typed("--version")
    assert (done.returncode, done.stdout) == (0, f"dicom-server {__version__}\n")


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["strat"], "dicom-server: 'strat' is no command; the nearest one is "),
        (["check-conf"], "dicom-server: 'check-conf' is no command; the nearest one is check-config;"),
        (["a\nb\x1b[2J"], "dicom-server: 'a\\nb\\x1b[2J' is no command;"),
        (["start", "--prot", "1"], "dicom-server start: unrecognized arguments: --prot 1;"),
        (["--prot", "1"], "dicom-server start: unrecognized arguments: --prot 1;"),
        (["start", "--por", "1"], "dicom-server start: unrecognized arguments: --por 1;"),
        (
            ["start", "--database", "mysql"],
            "dicom-server start: argument --database: invalid choice: 'mysql'",
        ),
        (["stop", "--port"], "dicom-server stop: argument --port/-p: expected one argument;"),
        (
            ["stop", "--port", "0"],
            "dicom-server stop: argument --port/-p: '0' is not a whole number from 1 to 65535;",
        ),
        (["check-config"], "dicom-server check-config: the following arguments are required: FILE;"),
        (["index"], "dicom-server index: the following arguments are required: COMMAND;"),
        (
            ["start", "--port", "70000"],
            "dicom-server: --port: 70000 is not allowed; allowed is a whole number from 1 to 65535",
        ),
        (["--aet", "SEVENTEENLETTERS!"], 'dicom-server: --aet: "SEVENTEENLETTERS!" is not allowed;'),
        (
            ["start", "--database", "none", "--database-url", "sqlite:///x.db"],
            'dicom-server: --database: none contradicts --database-url "sqlite:///x.db"',
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments, line, tmp_path):
    done = typed(*arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_help_loads_no_more_than_it_needs():
    code = (
        "import sys; from dicomserver.cli.main import main; main(['--help']); "
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'pydantic', 'yaml', 'pydicom', 'apsw', 'tqdm'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("[]\n")


def test_who_stops_reading_gets_no_traceback():
    with subprocess.Popen(
        [DICOM_SERVER, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as child:
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()


def test_a_terminal_without_our_letters_gets_escapes(tmp_path):
    (tmp_path / "ü.yaml").write_text("")
    done = typed("check-config", "ü.yaml", environment={"PYTHONIOENCODING": "ascii"}, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\xfc.yaml: good\n", "")


def test_ctrl_c_ends_without_a_traceback(monkeypatch, capsys):
    import dicomserver.cli.check_config as command

    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", interrupted)
    assert main(["check-config", "x"]) == 130
    assert capsys.readouterr() == ("", "")
