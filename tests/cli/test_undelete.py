import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client


@pytest.fixture
def asked(monkeypatch):
    asked = []

    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        asked.append((port, command, args))
        match next(iter(args.values())):
            case "1.2.3" | "5-1":
                on_progress({"restored": 2, "stays": 0, "total": 2})
                return {"restored": 2, "stays": 0, "total": 2}
            case "1.2.4":
                on_progress({"staysInTrash": "1.2.4.1", "why": "it was stored anew"})
                on_progress({"restored": 1, "stays": 1, "total": 2})
                return {"restored": 1, "stays": 1, "total": 2}
            case "1.2.5":
                raise control_client.CommandFailed("no space")
            case _:
                return {"restored": 0, "stays": 0, "total": 0}

    monkeypatch.setattr(control_client, "call", call)
    return asked


@pytest.mark.parametrize("level, name", [("study", "1.2.3"), ("series", "1.2.3"), ("instance", "1.2.3"),
                                         ("deletion", "5-1")])
def test_each_way(level, name, asked, capsys):
    assert main(["undelete", f"--{level}", name, "-p", "104"]) == 0
    assert asked == [(104, "undelete", {level: name})]
    assert capsys.readouterr() == ("Brought back 2 instances\n", "")


def test_what_stays_is_told(asked, capsys):
    assert main(["undelete", "--study", "1.2.4"]) == 1
    assert capsys.readouterr().out == (
        "1.2.4.1 stays in the trash: it was stored anew\nBrought back 1 instance\n")


@pytest.mark.parametrize("arguments, line", [
    (["--study", "9.9"], "the trash has no such study"), (["--deletion", "9-9"], "the trash has no such deletion"),
    (["--study", "1.2.5"], "no space")])
def test_nothing_comes_back(arguments, line, asked, capsys):
    assert main(["undelete", *arguments]) == 1
    assert capsys.readouterr() == ("", f"dicom-server: {line}\n")


@pytest.mark.parametrize("arguments", [[], ["--study", "1.2", "--deletion", "1-1"], ["--series", "x"]])
def test_wrong_usage(arguments, asked):
    with pytest.raises(SystemExit) as ended:
        main(["undelete", *arguments])
    assert (ended.value.code, asked) == (2, [])
