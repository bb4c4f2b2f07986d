import os
import subprocess
import sys
import threading

import pytest

from dicomserver.config.load import LONGEST_FILE, VARIABLES, Flag, check_file, load
from dicomserver.config.problems import ConfigurationError
from dicomserver.config.schema import KEYS, Destination

PORT = "a whole number from 1 to 65535"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a configuration file, whose name is then c.conf, as the working directory is its folder."""
    monkeypatch.chdir(tmp_path)

    def write(content):
        (tmp_path / "c.conf").write_bytes(content if isinstance(content, bytes) else content.encode())
        return "c.conf"

    return write


def refusal(*args, **kwargs):
    with pytest.raises(ConfigurationError) as raised:
        load(*args, **kwargs)
    return raised.value


def test_without_anything_there_are_the_defaults_with_absolute_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = load()
    assert chosen.data_directory == f"{tmp_path}/dicom-data"
    assert chosen.database_url == f"sqlite://{tmp_path}/dicom-data/dicom-server.db"
    assert (chosen.ae_title, chosen.port) == ("DICOMKIT_SCP", 11112)
    assert list(tmp_path.iterdir()) == []


def test_command_line_then_environment_then_file_then_default(written):
    file = written("port: 1\naeTitle: FILE\nmaxPDUSize: 5000\n")
    environment = {"DICOM_SERVER_PORT": "2", "DICOM_SERVER_AE_TITLE": "ENV"}
    chosen = load(file, [Flag("port", "--port", "3")], environment)
    assert (chosen.port, chosen.ae_title, chosen.max_pdu_size, chosen.max_concurrent_connections) == (
        3,
        "ENV",
        5000,
        10,
    )


def test_the_environment_may_name_the_file_and_the_command_line_another(written):
    written("port: 1")
    assert load(environment={"DICOM_SERVER_CONFIG": "c.conf"}).port == 1
    assert load("c.conf", environment={"DICOM_SERVER_CONFIG": "absent"}).port == 1
    assert "absent: cannot be read" in str(refusal(environment={"DICOM_SERVER_CONFIG": "absent"}))


@pytest.mark.parametrize(
    "variable, text, attribute, value",
    [
        ("DICOM_SERVER_PORT", "104", "port", 104),
        ("DICOM_SERVER_AE_TITLE", "MY_PACS", "ae_title", "MY_PACS"),
        ("DICOM_SERVER_MAX_PDU_SIZE", "65536", "max_pdu_size", 65536),
        ("DICOM_SERVER_MAX_CONCURRENT_CONNECTIONS", "20", "max_concurrent_connections", 20),
        ("DICOM_SERVER_ALLOWED_CALLING_AE_TITLES", "A, B,", "allowed_calling_ae_titles", ["A", "B"]),
        ("DICOM_SERVER_CHECK_CALLED_AE_TITLE", "yes", "check_called_ae_title", True),
        ("DICOM_SERVER_VERBOSE", "0", "verbose", False),
        ("DICOM_SERVER_ARTIM_SECONDS", "2.5", "artim_seconds", 2.5),
        ("DICOM_SERVER_DATABASE_URL", "memory:", "database_url", "memory:"),
        ("DICOM_SERVER_LOG_FILE", "/var/log/x.log", "log_file", "/var/log/x.log"),
        (
            "DICOM_SERVER_KNOWN_DESTINATIONS",
            '{"WS1": {"host": "h", "port": 104}}',
            "known_destinations",
            {"WS1": Destination(host="h", port=104)},
        ),
        ("DICOM_SERVER_PORT", "", "port", 11112),
        ("HOME", "/x", "port", 11112),
    ],
)
def test_variables(variable, text, attribute, value):
    assert getattr(load(environment={variable: text}), attribute) == value


def test_each_option_has_a_variable():
    assert len(VARIABLES) == len(KEYS)
    assert {
        "DICOM_SERVER_ENABLE_TLS",
        "DICOM_SERVER_ACCEPT_PRIVATE_SOP_CLASSES",
        "DICOM_SERVER_MAX_IDENTIFIER_BYTES",
    } <= set(VARIABLES)


@pytest.mark.parametrize(
    "environment, line",
    [
        (
            {"DICOM_SERVER_PORT": "tcp://10.0.0.1:1"},
            f'DICOM_SERVER_PORT: "tcp://10.0.0.1:1" is not allowed; allowed is {PORT}',
        ),
        ({"DICOM_SERVER_PORT": "70000"}, f"DICOM_SERVER_PORT: 70000 is not allowed; allowed is {PORT}"),
        (
            {"DICOM_SERVER_PORT": "9" * 5000},
            f'DICOM_SERVER_PORT: "{"9" * 63}... is not allowed; allowed is {PORT}',
        ),
        (
            {"DICOM_SERVER_VERBOSE": "maybe"},
            'DICOM_SERVER_VERBOSE: "maybe" is not allowed; allowed is true or false',
        ),
        (
            {"DICOM_SERVER_ARTIM_SECONDS": "nan"},
            "DICOM_SERVER_ARTIM_SECONDS: NaN is not allowed; allowed is a number from 0.1 to 3600",
        ),
        (
            {"DICOM_SERVER_KNOWN_DESTINATIONS": "{"},
            'DICOM_SERVER_KNOWN_DESTINATIONS: "{" is not allowed; allowed is a mapping of AE titles',
        ),
        (
            {"DICOM_SERVER_KNOWN_DESTINATIONS": "[" * 100_000},
            f'DICOM_SERVER_KNOWN_DESTINATIONS: "{"[" * 63}... is not allowed; '
            "allowed is a mapping of AE titles",
        ),
        (
            {"DICOM_SERVER_KNOWN_DESTINATIONS": '{"WS1": {"host": "h", "port": 0}}'},
            f"DICOM_SERVER_KNOWN_DESTINATIONS.WS1.port: 0 is not allowed; allowed is {PORT}",
        ),
        (
            {"DICOM_SERVER_PROT": "1"},
            "DICOM_SERVER_PROT: unknown variable; the nearest known one is DICOM_SERVER_PORT",
        ),
        (
            {"DICOM_SERVER_AETITLE": "A"},
            "DICOM_SERVER_AETITLE: unknown variable; the nearest known one is DICOM_SERVER_AE_TITLE",
        ),
    ],
)
def test_bad_variables(environment, line):
    error = refusal(environment=environment)
    assert (str(error), error.exit_code) == (line, 78)


def test_bad_flags_are_told_by_their_name_and_are_usage():
    error = refusal(
        flags=[Flag("port", "--port", "x"), Flag("blocked_calling_ae_titles", "--blocked-ae", "A,B\\")]
    )
    assert str(error).splitlines() == [
        f'--port: "x" is not allowed; allowed is {PORT}',
        '--blocked-ae.1: "B\\\\" is not allowed; allowed is an AE title: 1 to 16 printable ASCII characters, '
        "no backslash, not like a path",
    ]
    assert error.exit_code == 2


def test_every_problem_of_every_source_is_reported(written):
    file = written("port: 0\nverbos: true\n")
    error = refusal(file, [Flag("port", "--port", "0")], {"DICOM_SERVER_PORT": "0"})
    assert str(error).splitlines() == [
        f"c.conf: port: 0 is not allowed; allowed is {PORT}",
        "c.conf: verbos: unknown key; the nearest known one is verbose",
        f"DICOM_SERVER_PORT: 0 is not allowed; allowed is {PORT}",
        f"--port: 0 is not allowed; allowed is {PORT}",
    ]
    assert error.exit_code == 78


@pytest.mark.parametrize(
    "content, line",
    [
        (b"port: \xff", "c.conf: not UTF-8 text (byte 6)"),
        (b"#" * (LONGEST_FILE + 1), f"c.conf: longer than {LONGEST_FILE} bytes: that is no configuration"),
        ("port: 1\nport: 2", 'c.conf: line 2, column 1: "port" is there twice'),
        ("port = 1", "c.conf: a configuration is keys and values, such as port: 11112"),
        (
            "databaseURL: memory:",
            "c.conf: line 1, column 20: a colon where none is allowed: write such a text in quotes",
        ),
        ("enableTLS: true", "c.conf: enableTLS: true is not allowed: this version has no TLS yet"),
    ],
)
def test_bad_files(written, content, line):
    with pytest.raises(ConfigurationError) as raised:
        check_file(written(content))
    assert (str(raised.value), raised.value.exit_code) == (line, 78)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigurationError, match=": cannot be read: No such file or directory$"):
        check_file(str(tmp_path / "absent"))
    with pytest.raises(ConfigurationError, match=": cannot be read: Is a directory$"):
        check_file(str(tmp_path))
    with pytest.raises(ConfigurationError, match=": cannot be read: embedded null byte$"):
        check_file("a\0b")


def test_a_device_without_end_is_no_configuration():
    with pytest.raises(ConfigurationError, match="longer than"):
        check_file("/dev/zero")


def test_a_pipe_that_nobody_writes_into_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    script = "import sys; from dicomserver.config.load import load; load(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "fifo"], capture_output=True, text=True, timeout=60)
    assert done.stderr.endswith(f": {tmp_path}/fifo: a pipe into which nobody has written\n")


def test_a_pipe_is_read_to_its_end():
    """As in --config <(jq .server all.json), however long that takes to begin."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    writer = threading.Timer(0.2, lambda: (os.write(writing, b"port: 0"), os.close(writing)))
    writer.start()
    with pytest.raises(ConfigurationError, match=PORT):
        check_file(f"/dev/fd/{reading}")
    writer.join()
    os.close(reading)


@pytest.mark.parametrize(
    "in_file, database, typed, url",
    [
        (None, None, None, "sqlite:///data/dicom-server.db"),
        (None, "sqlite", None, "sqlite:///data/dicom-server.db"),
        (None, "none", None, "memory:"),
        (None, None, "sqlite:///x.db", "sqlite:///x.db"),
        (None, "sqlite", "sqlite:///x.db", "sqlite:///x.db"),
        (None, None, "memory:", "memory:"),
        (None, "none", "memory:", "memory:"),
        ("sqlite:///f.db", None, None, "sqlite:///f.db"),
        ("sqlite:///f.db", "sqlite", None, "sqlite:///f.db"),
        ("sqlite:///f.db", "none", None, "memory:"),
        ("sqlite:///f.db", None, "sqlite:///x.db", "sqlite:///x.db"),
        ("memory:", None, None, "memory:"),
        ("memory:", "sqlite", None, "sqlite:///data/dicom-server.db"),
        (None, "postgres", None, "postgresql://"),
        ("memory:", "postgres", None, "postgresql://"),
        ("postgres://u:secret@h/d", "postgres", None, "postgres://u:secret@h/d"),
        ("postgres://u:secret@h/d", None, None, "postgres://u:secret@h/d"),
        ("postgres://u:secret@h/d", "sqlite", None, "sqlite:///data/dicom-server.db"),
        (None, "postgres", "postgresql://h/d", "postgresql://h/d"),
    ],
)
def test_which_database(written, in_file, database, typed, url):
    file = written(f"databaseURL: '{in_file}'" if in_file else "")
    flags = [Flag("data_directory", "--data-dir", "/data")]
    flags += [Flag("database_url", "--database-url", typed)] if typed else []
    assert load(file, flags, database=database).database_url == url


@pytest.mark.parametrize(
    "database, typed, line, code",
    [
        ("none", "sqlite:///x.db", '--database: none contradicts --database-url "sqlite:///x.db"', 2),
        ("sqlite", "memory:", '--database: sqlite contradicts --database-url "memory:"', 2),
        ("postgres", "memory:", '--database: postgres contradicts --database-url "memory:"', 2),
        (
            "sqlite",
            "postgres://u:secret@h/d",
            '--database: sqlite contradicts --database-url "postgres://u:***@h/d"',
            2,
        ),
        ("postgres", "sqlite:///x.db", '--database: postgres contradicts --database-url "sqlite:///x.db"', 2),
    ],
)
def test_contradicting_databases(database, typed, line, code):
    flags = [Flag("database_url", "--database-url", typed)] if typed else []
    error = refusal(flags=flags, database=database)
    assert (str(error), error.exit_code) == (line, code)


def test_tls_is_absent_wherever_it_is_asked_for():
    error = refusal(flags=[Flag("enable_tls", "--tls", True)])
    assert (str(error), error.exit_code) == ("--tls: true is not allowed: this version has no TLS yet", 78)


def test_a_relative_data_directory_starts_at_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/a")
    assert (
        load(flags=[Flag("data_directory", "--data-dir", "./test-data")]).data_directory
        == f"{tmp_path}/test-data"
    )
    assert load(flags=[Flag("data_directory", "--data-dir", "~/pacs")]).data_directory == "/home/a/pacs"
    assert os.listdir(tmp_path) == []


def test_several_nodes_need_postgresql(written):
    node = Flag("node", "--node", "2")
    for flags, database in ([node], None), ([node, Flag("database_url", "--database-url", "memory:")], None):
        with pytest.raises(ConfigurationError) as wrong:
            load(None, flags, database=database)
        assert str(wrong.value) == "node: 2 is one of several servers, which need a databaseURL of PostgreSQL"
        assert wrong.value.exit_code == 78
    assert load(None, [node], database="postgres").node == 2
    with pytest.raises(ConfigurationError, match="node: 2 is one of several"):
        check_file(written('{"node": 2, "databaseURL": "memory:"}'))
    check_file(written('{"node": 2}'))      # the database may be named elsewhere
    check_file(written('{"node": 2, "databaseURL": "postgres://h/d"}'))
