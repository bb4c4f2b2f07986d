import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client


@pytest.fixture(autouse=True)
def server(monkeypatch):
    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        if command == "kept":
            on_progress({"study": "1.2.2"})
            on_progress({"study": "1.2.3"})
            return {}
        assert (port, command) == (104, "keep")
        if args == {"study": "9.9"}:
            raise control_client.CommandFailed("this server has no such study")
        return {"changed": args == {"study": "1.2.3"}}

    monkeypatch.setattr(control_client, "call", call)


@pytest.mark.parametrize("study, says", [("1.2.3", "The study is kept"), ("1.2.4", "The study is kept already")])
def test_keep(study, says, capsys):
    assert main(["keep", "--study", study, "-p", "104"]) == 0
    assert capsys.readouterr() == (says + "\n", "")


def test_the_list(capsys):
    assert main(["keep"]) == 0
    assert capsys.readouterr() == ("1.2.2\n1.2.3\n", "")


def test_what_is_not_there(capsys):
    assert main(["keep", "--study", "9.9", "-p", "104"]) == 1
    assert capsys.readouterr() == ("", "dicom-server: this server has no such study\n")
