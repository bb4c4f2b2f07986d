import json
import time

import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client

ONE = {"deletion": "5-1", "asked": "study 1.2.3", "deletedAt": 1_700_000_000, "until": 1_700_604_800, "studies": 1,
       "instances": 20, "bytes": 10_500_000}


@pytest.fixture(autouse=True)
def server(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        assert (port, command) == (104, "trash")
        on_progress(ONE)
        on_progress(ONE | {"deletion": "4-2", "asked": "instance 1.2.4"})
        return {"deletions": 2}

    monkeypatch.setattr(control_client, "call", call)
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_table(capsys):
    assert main(["trash", "-p", "104"]) == 0
    assert capsys.readouterr().out == (
        "Deletion   Deleted          Until            Studies Instances       Size  Asked for\n"
        "5-1        2023-11-14 22:13 2023-11-21 22:13       1        20    10.5 MB  study 1.2.3\n"
        "4-2        2023-11-14 22:13 2023-11-21 22:13       1        20    10.5 MB  instance 1.2.4\n"
        "Total: 2 deletion(s), 21.0 MB\n")


def test_json(capsys):
    assert main(["trash", "-p", "104", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [ONE, ONE | {"deletion": "4-2", "asked": "instance 1.2.4"}]
