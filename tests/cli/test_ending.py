import subprocess
import sys

import pytest

from dicomserver.cli.arguments import Failed, Usage
from dicomserver.cli.ending import ended
from dicomserver.config.problems import ConfigurationError, Problem


@pytest.mark.parametrize("error, code, line", [
    (Usage("no"), 2, "tool: no\n"), (Failed("a\x1bb"), 1, "tool: a\\x1bb\n"), (KeyboardInterrupt(), 130, ""),
    (FileNotFoundError(2, "No such file or directory", "x"), 1, "tool: x: No such file or directory\n"),
    (ConfigurationError([Problem("port", "is no port")]), 78, "tool: port: is no port\n")])
def test_one_line_and_an_exit_code(error, code, line, capsys):
    def run(arguments):
        raise error

    assert ended("tool", run, []) == code
    assert capsys.readouterr() == ("", line)


def test_the_command_has_its_arguments():
    assert ended("tool", len, ["a", "b"]) == 2


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check-config", "/dev/null"]])
def test_output_that_finds_no_room(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "dicomserver.cli.main", *arguments], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "dicom-server: No space left on device\n")
