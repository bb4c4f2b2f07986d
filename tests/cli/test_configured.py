"""Every option of the contract, and every example of it word for word, says what it shall."""

import shlex

import pytest

from dicomserver.cli import start
from dicomserver.cli.configured import configuration
from dicomserver.cli.main import main
from dicomserver.config.problems import ConfigurationError


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.environ", {})
    return lambda line: configuration(start.parser().parse_args(shlex.split(line)))


@pytest.mark.parametrize(
    "typed, attribute, value",
    [
        ("--aet MY_PACS", "ae_title", "MY_PACS"),
        ("-a MY_PACS", "ae_title", "MY_PACS"),
        ("--aet=MY_PACS", "ae_title", "MY_PACS"),
        ("--port 104", "port", 104),
        ("-p 104", "port", 104),
        ("--data-dir /var/lib/x", "data_directory", "/var/lib/x"),
        ("--data-dir /var/lib/x", "database_url", "sqlite:///var/lib/x/dicom-server.db"),
        ("--database none", "database_url", "memory:"),
        (
            "--database sqlite --database-url sqlite:///var/lib/x.db",
            "database_url",
            "sqlite:///var/lib/x.db",
        ),
        ("--max-connections 3", "max_concurrent_connections", 3),
        ("--max-pdu-size 65536", "max_pdu_size", 65536),
        ("--allowed-ae WORKSTATION1,MODALITY1", "allowed_calling_ae_titles", ["WORKSTATION1", "MODALITY1"]),
        ("--blocked-ae OLD_SCANNER", "blocked_calling_ae_titles", ["OLD_SCANNER"]),
        ("--verbose", "verbose", True),
        ("-v", "verbose", True),
        ("", "ae_title", "DICOMKIT_SCP"),
        ("", "port", 11112),
        ("", "max_concurrent_connections", 10),
        ("", "max_pdu_size", 16384),
        ("", "allowed_calling_ae_titles", []),
        ("", "enable_tls", False),
        ("", "verbose", False),
    ],
)
def test_options(typed, attribute, value, chosen):
    assert getattr(chosen(typed), attribute) == value


@pytest.mark.parametrize(
    "typed, attributes",
    [
        ("--aet DEV_PACS --port 11112 --verbose", {"ae_title": "DEV_PACS", "port": 11112, "verbose": True}),
        (
            "--aet MY_PACS --port 11112 --database sqlite --data-dir /var/lib/dicom-server",
            {
                "data_directory": "/var/lib/dicom-server",
                "database_url": "sqlite:///var/lib/dicom-server/dicom-server.db",
            },
        ),
        (
            "--aet MY_PACS --port 11112 --database postgres --database-url postgres://user:password@localhost/pacsdb",
            {"database_url": "postgres://user:password@localhost/pacsdb"},
        ),
        (
            '--aet MY_PACS --port 11112 --allowed-ae "WORKSTATION1,WORKSTATION2,MODALITY1" --blocked-ae "OLD_SCANNER"',
            {
                "allowed_calling_ae_titles": ["WORKSTATION1", "WORKSTATION2", "MODALITY1"],
                "blocked_calling_ae_titles": ["OLD_SCANNER"],
            },
        ),
    ],
)
def test_the_examples_of_the_contract(typed, attributes, chosen):
    found = chosen(typed)
    assert {name: getattr(found, name) for name in attributes} == attributes


def test_a_data_directory_beside_us(chosen, tmp_path):
    assert (
        chosen("--aet TEST_PACS --port 11112 --data-dir ./test-data").data_directory
        == f"{tmp_path}/test-data"
    )


def test_a_file_and_what_overrides_it(chosen, tmp_path):
    (tmp_path / "dicom-server.conf").write_text("aeTitle: FILE\nverbose: true\nport: 104\n")
    found = chosen("--config dicom-server.conf --port 105")
    assert (found.ae_title, found.verbose, found.port) == ("FILE", True, 105)


@pytest.mark.parametrize(
    "typed, line",
    [
        (
            "--aet MY_PACS --port 11112 --tls --data-dir /var/lib/dicom-server",
            "--tls: true is not allowed: this version has no TLS yet",
        ),
    ],
)
def test_what_comes_with_later_versions_is_one_line(typed, line, chosen):
    with pytest.raises(ConfigurationError) as refused:
        chosen(typed)
    assert (str(refused.value), refused.value.exit_code) == (line, 78)


def test_the_help_says_what_this_version_does_not_have(capsys):
    with pytest.raises(SystemExit):
        main(["start", "--help"])
    assert " ".join(capsys.readouterr().out.split()).count("not in this version") == 1
