"""The installed server as a user starts and stops it."""

import os
import signal
import socket
import subprocess

import pytest

from tests.cli.conftest import DICOM_SERVER


def test_start_status_stats_stop(machine):
    port = machine.port
    with machine.server("start", "--aet", "DEV_PACS", "--port", port, "--verbose") as running:
        ready = running.lines[-1]
        for part in ("DEV_PACS", str(port), f"{machine.folder}/dicom-data", "sqlite", "0 studies"):
            assert part in ready
        asked = machine.typed(
            "status", "--port", port, "--calling-ae", "TEST_SCU", "--called-ae", "DEV_PACS"
        )
        assert (asked.returncode, asked.stdout) == (0, f"The server at localhost:{port} runs and answers\n")
        shown = machine.typed("stats", "--port", port)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "Associations            1\n" in shown.stdout
        assert "Instances               0\n" in shown.stdout
        stopped = machine.typed("stop", "--port", port)
        assert (stopped.returncode, stopped.stdout) == (0, f"The server on port {port} has stopped\n")
        # It is gone when the command returns: nothing is waited for here.
        assert os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        assert running.wait(10) == 0
    again = machine.typed("stop", "--port", port)
    assert (again.returncode, again.stderr) == (
        1,
        f"dicom-server: no server is running on port {port} of this machine; if it has another one: --port\n",
    )


def test_start_is_what_it_does_without_a_command(machine):
    with machine.server("--port", machine.port, "--data-dir", "d") as running:
        assert (machine.folder / "d" / "dicom-server.db").exists()
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(30) == 0


def test_a_configuration_file_and_the_environment(machine):
    (machine.folder / "dicom-server.conf").write_text(
        f'{{"aeTitle": "FILE", "port": {machine.port}, "databaseURL": "memory:", "dataDirectory": "kept",'
        f' "controlSocketDirectory": "{machine.folder}/sockets"}}'
    )
    machine.environment["DICOM_SERVER_AE_TITLE"] = "ENV"
    with machine.server("start", "--config", "dicom-server.conf") as running:
        assert "AE title ENV" in running.lines[-1]
        assert "in memory" in running.lines[-1]
        assert sorted(os.listdir(machine.folder / "sockets")) == [f"{machine.port}.sock"]
        assert machine.typed("stats", "--port", machine.port).returncode == 1
        found = machine.typed("stats", "--port", machine.port, "--control-dir", machine.folder / "sockets")
        assert found.returncode == 0


def test_sighup_reads_the_configuration_anew(machine):
    file = machine.folder / "c.yaml"
    file.write_text("aeTitle: FIRST\ncheckCalledAETitle: true\n")
    with machine.server("start", "--port", machine.port, "--config", file) as running:
        file.write_text("aeTitle: SECOND\ncheckCalledAETitle: true\n")
        os.kill(running.pid, signal.SIGHUP)
        assert "reloaded" in running.stderr.readline()
        assert machine.typed("status", "--port", machine.port, "--called-ae", "SECOND").returncode == 0
        assert machine.typed("status", "--port", machine.port, "--called-ae", "FIRST").returncode == 1
        file.write_text("aeTitel: THIRD\nport: 0\n")
        os.kill(running.pid, signal.SIGHUP)
        line = ""
        while "settings stay" not in line:
            line = running.stderr.readline()
        assert line.endswith("aeTitel: unknown key; the nearest known one is aeTitle\n")
        assert "port: 0 is not allowed" in line
        assert machine.typed("status", "--port", machine.port, "--called-ae", "SECOND").returncode == 0


def test_without_standard_error_the_log_goes_to_standard_output(machine):
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", DICOM_SERVER, "start", "--port", str(machine.port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=machine.folder, env=machine.environment
    ) as running:
        lines = [running.stdout.readline()]
        while " ready: " not in lines[-1] and lines[-1]:
            lines.append(running.stdout.readline())
        running.terminate()
        rest = running.stdout.read()
    assert " ready: " in lines[-1]
    assert rest.endswith(" INFO stopped\n")
    assert running.returncode == 0


def refused(machine, *arguments):
    done = machine.typed("start", *arguments)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_busy_port(machine):
    with socket.create_server(("", machine.port)):
        code, line = refused(machine, "--port", machine.port)
    assert code == 1
    assert line.startswith(f"dicom-server: port {machine.port} is in use")


def test_a_second_server_on_the_same_directory(machine, tmp_path_factory):
    with machine.server("start", "--port", machine.port, "--data-dir", "d") as running:
        other = type(machine)(tmp_path_factory.mktemp("other"))
        code, line = refused(machine, "--port", other.port, "--data-dir", "d")
        assert (code, line) == (
            1,
            f"dicom-server: the data directory {machine.folder}/d is in use by process {running.pid}\n",
        )
        rebuilt = machine.typed("index", "rebuild", "--data-dir", "d")
        assert (rebuilt.returncode, rebuilt.stdout, rebuilt.stderr) == (1, "", line)


@pytest.mark.parametrize("directory", ["/proc/x", "a-file/x", "a-file"])
def test_a_directory_that_cannot_be_used(directory, machine):
    (machine.folder / "a-file").write_text("")
    code, line = refused(machine, "--port", machine.port, "--data-dir", directory)
    assert code == 1
    assert line.startswith("dicom-server: the data directory ")


def test_a_data_directory_of_a_newer_version(machine):
    with machine.server("start", "--port", machine.port, "--data-dir", "d"):
        pass
    (machine.folder / "d" / "format").write_text('{"format": 999}')
    code, line = refused(machine, "--port", machine.port, "--data-dir", "d")
    assert code == 78
    assert "999" in line


def test_a_log_file_that_cannot_be_written(machine):
    (machine.folder / "c.yaml").write_text("logFile: /proc/none/x.log\n")
    code, line = refused(machine, "--port", machine.port, "--config", "c.yaml")
    assert (code, line) == (1, "dicom-server: /proc/none/x.log: No such file or directory\n")


@pytest.mark.parametrize(
    "content, line",
    [
        ("prot: 1", "c.yaml: prot: unknown key; the nearest known one is port"),
        ("port: 0", "c.yaml: port: 0 is not allowed; allowed is a whole number from 1 to 65535"),
        ("enableTLS: true", "c.yaml: enableTLS: true is not allowed: this version has no TLS yet"),
    ],
)
def test_a_bad_configuration(content, line, machine):
    (machine.folder / "c.yaml").write_text(content)
    assert refused(machine, "--config", "c.yaml") == (78, f"dicom-server: {line}\n")


@pytest.mark.parametrize(
    "arguments, line",
    [
        ("--aet MY_PACS --port 11112 --tls", "--tls: true is not allowed: this version has no TLS yet"),
    ],
)
def test_what_comes_with_later_versions(arguments, line, machine):
    assert refused(machine, *arguments.split()) == (78, f"dicom-server: {line}\n")
    assert os.listdir(machine.folder) == ["run"]
