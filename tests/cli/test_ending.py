import pytest

from dicomserver.cli.arguments import Failed, Usage
from dicomserver.cli.ending import ended
from dicomserver.config.problems import ConfigurationError, Problem


@pytest.mark.parametrize("error, code, line", [
    (Usage("no"), 2, "tool: no\n"), (Failed("a\x1bb"), 1, "tool: a\\x1bb\n"), (KeyboardInterrupt(), 130, ""),
    (ConfigurationError([Problem("port", "is no port")]), 78, "tool: port: is no port\n")])
def test_one_line_and_an_exit_code(error, code, line, capsys):
    def run(arguments):
        raise error

    assert ended("tool", run, []) == code
    assert capsys.readouterr() == ("", line)


def test_the_command_has_its_arguments():
    assert ended("tool", len, ["a", "b"]) == 2
