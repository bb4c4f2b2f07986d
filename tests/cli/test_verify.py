import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client


@pytest.fixture
def answers(monkeypatch):
    """What the server says, by the UID that it is asked for."""
    asked = []

    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        asked.append((port, command, args))
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
