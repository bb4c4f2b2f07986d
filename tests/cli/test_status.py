import re

import pytest

from dicomserver.cli import status
from dicomserver.cli.arguments import Failed
from dicomserver.cli.main import main
from dicomserver.scu.echo import Echo
from dicomserver.scu.failures import AssociationFailed


@pytest.fixture
def asked(monkeypatch):
    """What was asked of whom; what the answer is can be set."""
    monkeypatch.setattr(status, "fetch", lambda port: {"instances": 3})

    class Asked:
        calls = []
        answer = Echo(status=0, association_seconds=0.0125, echo_seconds=0.0005, is_same_machine=True)

    def echo(host, port, **settings):
        Asked.calls.append((host, port, settings))
        if isinstance(Asked.answer, Exception):
            raise Asked.answer
        return Asked.answer

    Asked.calls = []
    monkeypatch.setattr(status, "echo", echo)
    return Asked


@pytest.mark.parametrize(
    "typed, host, port, calling, called, timeout",
    [
        ("", "localhost", 11112, "DICOM_ECHO", "DICOMKIT_SCP", 30),
        (
            "--port 11112 --verbose --calling-ae TEST_SCU --called-ae MY_PACS",
            "localhost",
            11112,
            "TEST_SCU",
            "MY_PACS",
            30,
        ),
        ("-h pacs -p 104 -v", "pacs", 104, "DICOM_ECHO", "DICOMKIT_SCP", 30),
        ("--host ::1 --timeout 2.5", "::1", 11112, "DICOM_ECHO", "DICOMKIT_SCP", 2.5),
    ],
)
def test_whom_it_asks(typed, host, port, calling, called, timeout, asked):
    assert main(["status", *typed.split()]) == 0
    assert asked.calls == [
        (host, port, {"calling_ae_title": calling, "called_ae_title": called, "timeout": timeout})
    ]


def test_one_line_if_it_answers(asked, capsys):
    assert main(["status"]) == 0
    assert capsys.readouterr() == ("The server at localhost:11112 runs and answers\n", "")


def test_one_line_if_it_does_not(asked, capsys):
    asked.answer = AssociationFailed("cannot be reached: Connection refused")
    assert main(["status", "--verbose"]) == 1
    assert capsys.readouterr() == (
        "The server at localhost:11112 cannot be reached: Connection refused\n",
        "",
    )


def test_a_failure_status_is_a_failure(asked, capsys):
    asked.answer = Echo(status=0x0122, association_seconds=1, echo_seconds=1, is_same_machine=False)
    assert main(["status"]) == 1
    line = "The server at localhost:11112 runs and answers C-ECHO with the failure status 0122H\n"
    assert capsys.readouterr() == (line, "")


def test_verbose_on_the_same_machine(asked, capsys):
    assert main(["status", "-v"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "The server at localhost:11112 runs and answers",
        "Status                  0000H",
        "Association             12.5 ms",
        "Round trip              0.5 ms",
        "Instances               3",
    ]


def test_verbose_when_the_statistics_are_not_ours_to_see(asked, capsys, monkeypatch):
    def fetch(port):
        raise Failed("the server on port 11112 belongs to another user")

    monkeypatch.setattr(status, "fetch", fetch)
    assert main(["status", "-v"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Statistics              none (the server on port 11112 belongs to another user)"
    )


def test_verbose_from_afar(asked, capsys):
    asked.answer = Echo(status=0, association_seconds=1, echo_seconds=1, is_same_machine=False)
    assert main(["status", "-v"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(
    "typed", ["-h a/b", "-h", "--called-ae SEVENTEENLETTERS!", "--calling-ae ..", "--timeout 0"]
)
def test_wrong_usage(typed, asked, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["status", *typed.split()])
    assert (ended.value.code, asked.calls) == (2, [])
    assert re.fullmatch(
        r"dicom-server status: argument .*; see dicom-server status --help\n", capsys.readouterr().err
    )


def test_nobody_there(machine):
    done = machine.typed("status", "--port", machine.port)
    line = f"The server at localhost:{machine.port} cannot be reached: Connection refused\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, line, "")
