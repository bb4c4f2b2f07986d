import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client


@pytest.fixture(autouse=True)
def server(monkeypatch):
    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        assert (port, command) == (104, "unkeep")
        return {"changed": args == {"study": "1.2.3"}}

    monkeypatch.setattr(control_client, "call", call)


def test_unkeep(capsys):
    assert main(["unkeep", "--study", "1.2.3", "-p", "104"]) == 0
    assert capsys.readouterr() == ("The study is no longer kept\n", "")


def test_what_was_not_kept(capsys):
    assert main(["unkeep", "--study", "9.9", "-p", "104"]) == 1
    assert capsys.readouterr() == ("", "dicom-server: the study was not kept\n")


def test_wrong_usage():
    with pytest.raises(SystemExit) as ended:
        main(["unkeep"])
    assert ended.value.code == 2
