import csv
import io
import json
from io import BytesIO

import pytest
from pydicom.filereader import read_dataset
from pynetdicom import evt

from dicomserver.cli.tools import run
from dicomserver.scu.query import associate
from tests.scu.scp import STUDY, Scp, instance

NAME = "Wang^XiaoDong=王^小東"


@pytest.fixture
def server():
    running = Scp(kept=[instance(1, name=NAME), instance(2, series=2, name=NAME), instance(study="1.2.9")])
    running.where = f"127.0.0.1:{running.port}"
    yield running
    running.close()


def test_studies_are_asked_for_by_default(server, capsys):
    assert run("dicom-query", [server.where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Total: 2 study(ies)"
    assert lines[0].startswith("Patient")
    assert NAME in lines[2] and STUDY in lines[2]


@pytest.mark.parametrize("level, more, footer", [
    ("series", ["--study-uid", STUDY], "Total: 2 series"),
    ("instance", ["--study-uid", STUDY, "--series-uid", f"{STUDY}.2"], "Total: 1 instance(s)")])
def test_other_levels(level, more, footer, server, capsys):
    assert run("dicom-query", [server.where, "-l", level, *more]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == footer


def test_json(server, capsys):
    assert run("dicom-query", [server.where, "-f", "json", "--study-uid", STUDY]) == 0
    one, = json.loads(capsys.readouterr().out)
    assert (one["PatientName"], one["StudyInstanceUID"], one["StudyDate"]) == (NAME, STUDY, "20260102")


def test_csv_and_compact(server, capsys):
    assert run("dicom-query", [server.where, "-f", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert {(row["PatientName"], row["PatientID"]) for row in rows} == {(NAME, "P1"), ("DOE^JOHN", "P1")}
    assert run("dicom-query", [server.where, "-f", "compact"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith(f"{NAME} | P1 | 20260102 | ")


def test_every_filter_is_a_key(server):
    for name in ("--patient", "--patient-name"):
        run("dicom-query", [server.where, name, "DOE*", "--patient-id", "7", "--study-date", "20260101-20260131",
                            "--accession-number", "A1", "--modality", "CT", "--study-description", "Thorax",
                            "--referring-physician", "WHO^DOCTOR"])
        keys = read_dataset(BytesIO(server.seen[-1].Identifier.getvalue()), is_implicit_VR=True, is_little_endian=True)
        assert (keys.PatientName, keys.PatientID, keys.StudyDate, keys.AccessionNumber, keys.ModalitiesInStudy,
                keys.StudyDescription, keys.ReferringPhysicianName) == (
            "DOE*", "7", "20260101-20260131", "A1", "CT", "Thorax", "WHO^DOCTOR")


def test_fuzzy_names_are_negotiated_if_wanted(server, monkeypatch):
    asked = []

    def associated(peer, model, **options):
        asked.append(options)
        return associate(peer, model, **options)
    monkeypatch.setattr("dicomserver.cli.dicom_query.associate", associated)
    for more in ([], ["--fuzzy"]):
        assert run("dicom-query", [server.where, "--patient", "Jon^Doe", *more]) == 0
    assert [options["fuzzy"] for options in asked] == [False, True]


def test_no_match(server, capsys):
    assert run("dicom-query", [server.where, "--study-uid", "1.2.77"]) == 0
    assert capsys.readouterr() == ("Total: 0 study(ies)\n", "")
    assert run("dicom-query", [server.where, "--study-uid", "1.2.77", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_nobody_there(capsys):
    assert run("dicom-query", ["127.0.0.1:1"]) == 1
    assert capsys.readouterr() == (
        "", "dicom-query: the server at 127.0.0.1:1 cannot be reached: Connection refused\n")


def test_a_server_without_patients(server, capsys):
    assert run("dicom-query", [server.where, "-l", "patient"]) == 1
    assert "does not offer queries (C-FIND) in this information model" in capsys.readouterr().err


def test_a_query_that_breaks_off_is_told(server, capsys, monkeypatch):
    def failing(event):
        yield from list(Scp._find(server, event))[:1]
        yield 0xA700, None

    running = server._server
    running.unbind(evt.EVT_C_FIND, server._find)
    running.bind(evt.EVT_C_FIND, failing)
    assert run("dicom-query", [server.where]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "Total: 1 study(ies)"
    assert "incomplete: the server at" in err and "refused the query with status A700H" in err


@pytest.mark.parametrize("typed", [
    "--study-date 2026", "--study-date yesterday", "--study-uid 1..2", "-l image", "-f xml"])
def test_wrong_usage(typed, capsys):
    with pytest.raises(SystemExit) as ended:
        run("dicom-query", ["localhost", *typed.split()])
    assert ended.value.code == 2
