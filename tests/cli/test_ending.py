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


_LOOKS = """
import os, sys
from dicomserver.cli.ending import ended

def look(arguments):
    with open(sys.argv[1], "w") as file:
        file.write(" ".join(os.readlink(f"/proc/self/fd/{number}") for number in range(3)))
    print("output")
    print("message", file=sys.stderr)
    return 5

sys.exit(ended("tool", look, []))
"""


@pytest.mark.parametrize("closed, led, output, messages", [
    ("2>&-", "{out} {out} /dev/null", "output\nmessage\n", ""),
    ("0<&- 1>&-", "/dev/null /dev/null {err}", "", "message\n"),
    ("0<&- 1>&- 2>&-", "/dev/null /dev/null /dev/null", "", ""),
], ids=["2", "0 and 1", "all"])
def test_no_file_gets_the_number_of_a_closed_stream(closed, led, output, messages, tmp_path):
    """What somebody writes to standard error would go into it. Messages go to the stream that is left."""
    names = {name: tmp_path / name for name in ("out", "err")}
    with open(names["out"], "w+") as out, open(names["err"], "w") as err:
        done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", _LOOKS, tmp_path / "led"],
                              stdin=out, stdout=out, stderr=err)
    assert (done.returncode, (tmp_path / "led").read_text()) == (5, led.format(**names))
    assert (names["out"].read_text(), names["err"].read_text()) == (output, messages)
