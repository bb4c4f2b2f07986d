import json

import pytest

from dicomserver.cli.main import main


@pytest.mark.parametrize("content", ["", "port: 104\n", '{"port": 104}', "# a comment"])
def test_a_good_file(content, tmp_path, capsys):
    file = tmp_path / "any.ending"
    file.write_text(content)
    assert main(["check-config", str(file)]) == 0
    assert capsys.readouterr() == (f"{file}: good\n", "")


def test_a_bad_file_has_one_line_for_each_problem(tmp_path, capsys):
    file = tmp_path / "c.json"
    file.write_text(
        json.dumps({"aeTitle": "", "prot": 1, "knownDestinations": {"WS1": {"host": "h", "port": "104"}}})
    )
    assert main(["check-config", str(file)]) == 78
    assert capsys.readouterr() == (
        f'{file}: aeTitle: "" is not allowed; allowed is an AE title: 1 to 16 printable ASCII characters, '
        "no backslash, not like a path\n"
        f'{file}: knownDestinations.WS1.port: "104" is not allowed; '
        "allowed is a whole number from 1 to 65535, without quotes\n"
        f"{file}: prot: unknown key; the nearest known one is port\n",
        "",
    )


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["check-config", str(tmp_path / "absent")]) == 78
    assert capsys.readouterr().out == f"{tmp_path}/absent: cannot be read: No such file or directory\n"


def test_the_environment_does_not_matter_to_a_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DICOM_SERVER_PORT", "nonsense")
    file = tmp_path / "c.yaml"
    file.write_text("port: 104")
    assert main(["check-config", str(file)]) == 0
