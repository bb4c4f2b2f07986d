import io

import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def asked(monkeypatch, request):
    asked = []
    asked_days = getattr(request, "param", 7)

    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        asked.append((port, command, args))
        number = {"1.2.3": 2, "1.2.4": 1}.get(next(iter(args.values())), 0)
        if command == "count":
            return {"studies": 1, "instances": number, "bytes": 1500, "trashSeconds": asked_days * 86400}
        return {"deleted": number}

    monkeypatch.setattr(control_client, "call", call)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    return asked


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_each_level(level, asked, capsys):
    assert main(["delete", f"--{level}", "1.2.3", "--yes"]) == 0
    assert asked == [(11112, "delete", {level: "1.2.3"})]
    assert capsys.readouterr() == ("Deleted 2 instances\n", "")


def test_with_nobody_to_ask_it_refuses(asked, capsys):
    assert main(["delete", "--study", "1.2.3"]) == 2
    line = "dicom-server: delete asks before it deletes, and there is nobody to ask: give --yes\n"
    assert (asked, capsys.readouterr()) == ([], ("", line))


@pytest.mark.parametrize("answer", ["y\n", "YES\n", " yes \n"])
def test_agreed(answer, asked, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["delete", "--instance", "1.2.4", "-p", "104"]) == 0
    assert asked == [(104, "count", {"instance": "1.2.4"}), (104, "delete", {"instance": "1.2.4"})]
    assert capsys.readouterr() == (
        "Deleted 1 instance\n", "Delete the instance 1.2.4 (1 instance, 1.5 kB) into the trash, for 7 days? [y/N] ")


@pytest.mark.parametrize("asked", [0], indirect=True)
def test_agreed_where_there_is_no_trash(asked, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("y"))
    assert main(["delete", "--instance", "1.2.4"]) == 0
    assert capsys.readouterr().err == "Delete the instance 1.2.4 (1 instance, 1.5 kB) for ever? [y/N] "


def test_a_patient(asked, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("y"))
    assert main(["delete", "--patient", "1.2.3", "--issuer", ""]) == 0
    assert asked[1:] == [(11112, "delete", {"patient": "1.2.3", "issuer": ""})]
    assert "Delete the patient 1.2.3 (1 study, 2 instances, 1.5 kB) into" in capsys.readouterr().err


def test_an_issuer_goes_with_a_patient(asked, capsys):
    assert main(["delete", "--study", "1.2.3", "--issuer", "HERE", "--yes"]) == 2
    assert (asked, capsys.readouterr().err) == ([], "dicom-server: an issuer goes with a patient\n")


def test_now(asked, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("y"))
    assert main(["delete", "--study", "1.2.3", "--now"]) == 0
    assert asked[1:] == [(11112, "delete", {"study": "1.2.3", "now": True})]
    assert capsys.readouterr() == (
        "Deleted 2 instances\n",
        "Delete the study 1.2.3 (2 instances, 1.5 kB, and what of it is in the trash) for ever? [y/N] ")


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yes please\n"])
def test_not_agreed(answer, asked, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["delete", "--study", "1.2.3"]) == 1
    assert asked == [(11112, "count", {"study": "1.2.3"})]
    assert capsys.readouterr().err.endswith("dicom-server: nothing was deleted\n")


def test_nobody_is_asked_about_nothing(asked, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert main(["delete", "--study", "9.9"]) == 1
    assert capsys.readouterr() == ("", "dicom-server: this server has no such study\n")


def test_what_is_not_there(asked, capsys):
    assert main(["delete", "--series", "9.9", "--yes"]) == 1
    assert capsys.readouterr() == ("", "dicom-server: this server has no such series\n")


@pytest.mark.parametrize(
    "arguments, line",
    [
        ([], "one of the arguments --study --series --instance --patient is required"),
        (["--study", "1.2", "--series", "1.3"], "argument --series: not allowed with argument --study"),
        (
            ["--study", "1..2"],
            "argument --study: '1..2' is not a UID: digits and single dots, at most 64 characters",
        ),
        (
            ["--study", "*"],
            "argument --study: '*' is not a UID: digits and single dots, at most 64 characters",
        ),
        (
            ["--study", ""],
            "argument --study: '' is not a UID: digits and single dots, at most 64 characters",
        ),
    ],
)
def test_wrong_usage(arguments, line, asked, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["delete", *arguments])
    assert (ended.value.code, asked) == (2, [])
    assert capsys.readouterr().err == f"dicom-server delete: {line}; see dicom-server delete --help\n"
