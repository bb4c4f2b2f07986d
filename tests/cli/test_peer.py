import pytest

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Usage
from dicomserver.cli.peer import add_peer, peer_of


def peer(*typed):
    made = arguments.tool_parser("dicom-x", "Does x.", "dicom-x pacs")
    add_peer(made, "DICOM_X")
    return peer_of(made.parse_args(typed))


@pytest.mark.parametrize("typed, host, port, called", [
    ("pacs://localhost:11112", "localhost", 11112, "ANY-SCP"),
    ("pacs://localhost", "localhost", 11112, "ANY-SCP"),
    ("PACS://localhost:104/", "localhost", 104, "ANY-SCP"),
    ("localhost:104", "localhost", 104, "ANY-SCP"),
    ("localhost --port 104", "localhost", 104, "ANY-SCP"),
    ("localhost -p 104", "localhost", 104, "ANY-SCP"),
    ("localhost:104 --port 104", "localhost", 104, "ANY-SCP"),
    ("MY_PACS@localhost:104", "localhost", 104, "MY_PACS"),
    ("pacs://MY_PACS@localhost", "localhost", 11112, "MY_PACS"),
    ("MY_PACS@localhost --called-ae OTHER", "localhost", 11112, "OTHER"),
    ("[::1]:104", "::1", 104, "ANY-SCP"),
    ("::1", "::1", 11112, "ANY-SCP"),
    ("A@[fe80::1]", "fe80::1", 11112, "A"),
    ("10.0.0.1:104", "10.0.0.1", 104, "ANY-SCP"),
])
def test_every_spelling_of_a_server(typed, host, port, called):
    found = peer(*typed.split())
    assert (found.host, found.port, found.called_ae_title) == (host, port, called)


@pytest.mark.parametrize("typed", [
    "--aet US --called-ae THEM", "--aet US --called-aet THEM", "-aet US -aec THEM"])
def test_both_spellings_of_the_titles(typed):
    found = peer("localhost", *typed.split())
    assert (found.calling_ae_title, found.called_ae_title) == ("US", "THEM")


def test_the_deadlines_of_dcmtk():
    found = peer("localhost", "-to", "3", "-td", "5", "-pdu", "32768")
    assert (found.connect_timeout, found.timeout, found.maximum_length) == (3, 5, 32768)
    assert peer("localhost", "-ta", "5").timeout == peer("localhost", "--timeout", "5").timeout == 5
    found = peer("localhost")
    assert (found.connect_timeout, found.timeout, found.maximum_length, found.calling_ae_title) == (
        None, 60, 16384, "DICOM_X")


@pytest.mark.parametrize("typed", [
    "", "local host", "a@b@c", "localhost:0", "localhost:70000", "localhost:x", "http://localhost", "@localhost",
    ":104", "localhost -pdu 5", "localhost --aet SEVENTEENLETTERS!", "localhost --timeout 0"])
def test_what_is_none(typed, capsys):
    with pytest.raises(SystemExit) as ended:
        peer(*(typed.split(" ") if typed.startswith("localhost ") else [typed]))
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_two_different_ports():
    with pytest.raises(Usage, match="SERVER says port 104 and --port says 105"):
        peer("localhost:104", "--port", "105")
