import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client


class Asked(list):
    """Port, command and arguments of each call; `known` is what the server knows to be damaged."""

    def __init__(self) -> None:
        self.known: list[list[str]] = []


@pytest.fixture
def answers(monkeypatch):
    """What the server says, by the UID that it is asked for."""
    asked = Asked()

    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        asked.append((port, command, args))
        if command == "damaged":
            return {"damaged": asked.known}
        on_progress({"verified": 0, "bytes": 0, "damaged": 0, "total": 2})
        if args.get("study") == "9.9":
            return {"verified": 0, "bytes": 0, "damaged": 0, "total": 0}
        if args.get("series") == "1.2.5":
            on_progress({"damagedInstance": "1.2.5.1", "why": "its file is missing"})
            return {"verified": 1, "bytes": 1000, "damaged": 1, "total": 1}
        return {"verified": 2, "bytes": 1500, "damaged": 0, "total": 2}

    monkeypatch.setattr(control_client, "call", call)
    return asked


def test_all_of_them(answers, capsys):
    assert main(["verify", "-p", "104"]) == 0
    assert answers == [(104, "verify", {})]
    assert capsys.readouterr() == ("Verified 2 instances, 1.5 kB: all whole\n", "")


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_each_level(level, answers, capsys):
    assert main(["verify", f"--{level}", "1.2.3"]) == 0
    assert answers == [(11112, "verify", {level: "1.2.3"})]


def test_a_damaged_one(answers, capsys):
    assert main(["verify", "--series", "1.2.5"]) == 1
    assert capsys.readouterr().out == (
        "1.2.5.1: its file is missing\n"
        "Verified 1 instance, 1.0 kB: 1 damaged or missing\n")


def test_what_is_not_there(answers, capsys):
    assert main(["verify", "--study", "9.9"]) == 1
    assert capsys.readouterr() == ("", "dicom-server: this server has no such study\n")


def test_levels_exclude_each_other(answers, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--study", "1.2", "--series", "1.3"])
    assert (ended.value.code, answers) == (2, [])


def test_what_is_known_already(answers, capsys):
    assert main(["verify", "--known"]) == 0
    assert capsys.readouterr().out == "No instance is known to be damaged or missing\n"
    answers.known.append(["1.2.5.1", "its file is missing"])
    assert main(["verify", "--known"]) == 1
    assert capsys.readouterr().out == "1.2.5.1: its file is missing\n"
    assert answers == [(11112, "damaged", None)] * 2
    with pytest.raises(SystemExit):
        main(["verify", "--known", "--study", "1.2"])
