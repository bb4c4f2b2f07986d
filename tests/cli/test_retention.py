import json
import time

import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client

RULE = {"days": 365, "freePercent": 10, "minimumDays": 30}
ONE = {"study": "1.2.3", "lastImage": 1_700_000_000, "instances": 20, "bytes": 10_500_000, "why": "age"}
OTHER = ONE | {"study": "1.2.4", "why": "room"}


@pytest.fixture
def server(monkeypatch):
    """Its rule, and what it would delete, may be changed."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    answer = {"rule": RULE, "found": [ONE, OTHER]}

    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        assert (port, command) == (104, "retention")
        for one in answer["found"]:
            on_progress(one)
        return answer["rule"]

    monkeypatch.setattr(control_client, "call", call)
    yield answer
    monkeypatch.undo()
    time.tzset()


def test_the_table(server, capsys):
    assert main(["retention", "-p", "104"]) == 0
    assert capsys.readouterr().out == (
        "Studies older than 365 days, or as many as keep 10 % of the disk free; none younger than 30 days\n"
        "Last image       Instances       Size Why   Study\n"
        "2023-11-14 22:13        20    10.5 MB age   1.2.3\n"
        "2023-11-14 22:13        20    10.5 MB room  1.2.4\n"
        "Total: 2 study(ies), 40 instance(s), 21.0 MB\n")


def test_json(server, capsys):
    assert main(["retention", "-p", "104", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "rule": RULE, "wouldDelete": [ONE, OTHER], "total": {"studies": 2, "instances": 40, "bytes": 21_000_000}}


@pytest.mark.parametrize("rule, says", [
    ({"days": 0, "freePercent": 0}, "The retention rule is off: no study is deleted by it"),
    ({"days": 9, "freePercent": 0}, "Studies older than 9 days; none younger than 30 days"),
    ({"days": 0, "freePercent": 9}, "Studies as many as keep 9 % of the disk free; none younger than 30 days")])
def test_the_rule_in_words(server, capsys, rule, says):
    server |= {"rule": RULE | rule, "found": []}
    assert main(["retention", "-p", "104"]) == 0
    assert capsys.readouterr().out == f"{says}\nTotal: 0 study(ies), 0 instance(s), 0 bytes\n"
