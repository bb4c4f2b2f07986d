import pytest

from dicomserver.config.problems import ConfigurationError, Problem, masked, printable, shown


@pytest.mark.parametrize(
    "url, without",
    [
        ("postgres://user:secret@localhost/pacsdb", "postgres://user:***@localhost/pacsdb"),
        ("postgres://user:s:e/c@r?et@localhost/pacsdb", "postgres://user:***@localhost/pacsdb"),
        ("user:secret@host", "user:***@host"),
        (
            "postgres://user@host/db?password=secret&sslmode=on",
            "postgres://user@host/db?password=***&sslmode=on",
        ),
        (
            "postgres://user:secret@host/db?sslpassword=secret",
            "postgres://user:***@host/db?sslpassword=***",
        ),
        ("sqlite:///var/lib/x.db", "sqlite:///var/lib/x.db"),
        ("memory:", "memory:"),
    ],
)
def test_a_password_never_shows(url, without):
    assert masked(url) == without
    assert "secret" not in masked(url)


def test_a_value_is_shown_in_one_bounded_line():
    assert shown("a\nb\x1b[2J") == '"a\\nb\\u001b[2J"'
    assert shown(True) == "true"
    assert shown(None) == "null"
    assert shown(float("inf")) == "Infinity"
    assert shown([1]) == "a list"
    assert shown({"a": 1}) == "a mapping"
    assert len(shown("x" * 1000)) < 70


def test_a_problem_is_one_line_whatever_is_in_it():
    assert str(Problem("port", "is wrong", file="/a\nb")) == "/a\\nb: port: is wrong"
    assert str(Problem("", "is wrong")) == "is wrong"
    assert printable("a\udcff\x85b") == "a\\udcff\\x85b"


def test_the_exit_code_says_whether_only_the_command_line_is_wrong():
    typed, written = Problem("--port", "", is_usage=True), Problem("port", "")
    assert ConfigurationError([typed]).exit_code == 2
    assert ConfigurationError([typed, written]).exit_code == 78
    assert str(ConfigurationError([Problem("a", "b"), Problem("c", "d")])) == "a: b\nc: d"
