import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client


def test_it_waits_until_the_server_is_gone(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        control_client, "stop", lambda port, timeout=None, folder=None: asked.append((port, timeout))
    )
    assert main(["stop", "--port", "11112"]) == 0
    assert main(["stop", "-p", "104", "--timeout", "2.5"]) == 0
    assert asked == [(11112, None), (104, 2.5)]
    assert (
        capsys.readouterr().out
        == "The server on port 11112 has stopped\nThe server on port 104 has stopped\n"
    )


@pytest.mark.parametrize(
    "error",
    [
        control_client.NotRunning("no server is running on port 11112 of this machine"),
        control_client.NotAllowed("the server on port 11112 belongs to another user"),
        control_client.CommandFailed("the server has stopped, but its process is still there"),
    ],
)
def test_it_says_why_it_could_not(error, monkeypatch, capsys):
    def stop(port, timeout=None, folder=None):
        raise error

    monkeypatch.setattr(control_client, "stop", stop)
    assert main(["stop"]) == 1
    assert capsys.readouterr() == ("", f"dicom-server: {error}\n")
