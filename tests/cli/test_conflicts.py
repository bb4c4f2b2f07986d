import io
import json

import pytest

from dicomserver.cli.main import main
from dicomserver.server import control_client

FILE = {"id": "3f9a1c07", "kind": "conflict", "since": "2026-11-26T12:00:00.5+00:00", "sourceAE": "CT1",
        "sopInstanceUID": "1.2.3.1", "studyInstanceUID": "1.2.3", "reason": "the same UID",
        "file": "quarantine/0000000100000002.dcm", "bytes": 1500, "hasStored": True}
FOREIGN = FILE | {"id": "aa", "kind": "damaged", "since": "", "sourceAE": "", "sopInstanceUID": "",
                  "studyInstanceUID": "", "reason": "", "file": "quarantine/x.dcm", "hasStored": False}
STUDY = FILE | {"id": "bb", "kind": "patient", "file": "", "bytes": 0, "reason": "the study names several patients"}
JOHN = {"patientID": "P1", "issuerOfPatientID": "HERE", "patientName": "DOE^JOHN", "patientBirthDate": "19700131"}
NOBODY = dict.fromkeys(JOHN, "")
SHOWN = {
    "3f9a1c07": (FILE, {"received": "20261126120000.500000+0000", "patient": JOHN,
                        "first": "Rows (0028,0010), byte 900 of the dataset",
                        "differences": [{"what": "Rows (0028,0010)", "stored": "512", "newcomer": "\x1b[31m"},
                                        {"what": "Study Date (0008,0020)", "stored": "", "newcomer": "20260101"}]}),
    "aa": (FOREIGN, {"damage": "no header of this server"}),
    "cc": (FOREIGN | {"id": "cc"}, {"received": ""}),
    "bb": (STUDY, {"study": JOHN, "patient": JOHN | {"patientName": "ROE^JANE", "issuerOfPatientID": ""},
                   "others": [JOHN | {"patientID": "", "instances": ["1.2.3.2", "1.2.3.4"]},
                              NOBODY | {"instances": ["1.2.3.5"]}]}),
}


@pytest.fixture
def asked(monkeypatch):
    asked = []

    def call(port, command, args=None, on_progress=None, timeout=None, folder=None):
        asked.append((command, args))
        if command == "conflicts.list":
            for conflict in (FILE, FOREIGN, STUDY):
                on_progress(conflict)
            return {"conflicts": 3}
        conflict, shown = SHOWN[args["id"]]
        return {"conflict": conflict} | ({"shown": shown} if command == "conflicts.show" else {"done": "it is done"})

    monkeypatch.setattr(control_client, "call", call)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    return asked


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_table(asked, capsys):
    assert main(["conflicts", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ID        Kind      Since (UTC)       From  SOP Instance UID  Study Instance UID  Reason",
        "--------  --------  ----------------  ----  ----------------  ------------------  "
        "--------------------------------",
        "3f9a1c07  conflict  2026-11-26 12:00  CT1   1.2.3.1           1.2.3               the same UID",
        "aa        damaged   -                 -     -                 -                   -",
        "bb        patient   2026-11-26 12:00  CT1   1.2.3.1           1.2.3               "
        "the study names several patients",
        "Total: 3 conflicts"]


def test_for_a_program(asked, capsys):
    assert main(["conflicts", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [FILE, FOREIGN, STUDY]
    assert main(["conflicts", "show", "bb", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"conflict": STUDY, "shown": SHOWN["bb"][1]}


@pytest.mark.parametrize("wanted, lines", [
    ("3f9a1c07", [
        "3f9a1c07  conflict: the same UID", "Study Instance UID  1.2.3", "SOP Instance UID    1.2.3.1",
        "From                CT1", "Received (UTC)      2026-11-26 12:00",
        "File                quarantine/0000000100000002.dcm, 1.5 kB",
        "Patient             P1 of HERE, DOE^JOHN, born 19700131",
        "First difference    Rows (0028,0010), byte 900 of the dataset",
        "Rows (0028,0010)", "    stored    512", "    newcomer  \\x1b[31m",
        "Study Date (0008,0020)", "    stored    -", "    newcomer  20260101"]),
    ("aa", ["aa  damaged: -", "File                quarantine/x.dcm, 1.5 kB",
            "The file is damaged: no header of this server"]),
    ("cc", ["cc  damaged: -", "File                quarantine/x.dcm, 1.5 kB",
            "Nothing is stored under this SOP Instance UID."]),
    ("bb", ["bb  patient: the study names several patients", "Study Instance UID  1.2.3",
            "SOP Instance UID    1.2.3.1", "From                CT1",
            "The study is of     P1 of HERE, DOE^JOHN, born 19700131",
            "Other studies say   P1, ROE^JANE, born 19700131",
            "2 instances name    DOE^JOHN, born 19700131", "    1.2.3.2", "    1.2.3.4",
            "1 instance names    somebody whom an earlier version did not write down: rebuild the index",
            "    1.2.3.5"]),
])
def test_what_differs_in_words(asked, capsys, wanted, lines):
    assert main(["conflicts", "show", wanted]) == 0
    assert asked == [("conflicts.show", {"id": wanted})]
    assert capsys.readouterr().out.splitlines() == lines


def test_accepted(asked, capsys):
    assert main(["conflicts", "accept", "3f9a1c07"]) == 0
    assert asked == [("conflicts.accept", {"id": "3f9a1c07"})]
    assert capsys.readouterr().out == "Accepted 3f9a1c07: it is done\n"


def test_rejected_without_a_question(asked, capsys):
    assert main(["conflicts", "reject", "3f9a1c07", "--yes"]) == 0
    assert asked == [("conflicts.reject", {"id": "3f9a1c07"})]
    assert capsys.readouterr() == ("Rejected 3f9a1c07: it is done\n", "")


def test_with_nobody_to_ask_it_refuses(asked, capsys):
    assert main(["conflicts", "reject", "3f9a1c07"]) == 2
    assert asked == []
    assert "give --yes" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["y\n", " YES \n"])
def test_agreed(asked, capsys, monkeypatch, answer):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["conflicts", "reject", "aa"]) == 0
    assert [command for command, _ in asked] == ["conflicts.show", "conflicts.reject"]
    assert capsys.readouterr().err == ("Remove quarantine/x.dcm (damaged, 1.5 kB; nothing is stored under its SOP "
                                       "Instance UID) for ever? [y/N] ")


@pytest.mark.parametrize("answer", ["", "\n", "n\n"])
def test_not_agreed(asked, capsys, monkeypatch, answer):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert main(["conflicts", "reject", "3f9a1c07"]) == 1
    assert [command for command, _ in asked] == ["conflicts.show"]
    assert capsys.readouterr().err.endswith("dicom-server: nothing was removed\n")


def test_nobody_is_asked_about_a_study(asked, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    main(["conflicts", "reject", "bb"])
    assert [command for command, _ in asked] == ["conflicts.show", "conflicts.reject"]


@pytest.mark.parametrize("arguments", [[], ["accept"], ["show", "a", "b"], ["undo", "x"]])
def test_wrong_usage(asked, arguments):
    with pytest.raises(SystemExit) as ended:
        main(["conflicts", *arguments])
    assert (ended.value.code, asked) == (2, [])


def test_every_command_has_an_example(capsys):
    for command in ("list", "show", "accept", "reject"):
        with pytest.raises(SystemExit):
            main(["conflicts", command, "--help"])
        assert f"dicom-server conflicts {command}" in capsys.readouterr().out
