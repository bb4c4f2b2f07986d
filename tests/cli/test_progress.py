import sys

from dicomserver.cli.progress import Progress


def test_no_terminal_no_bar(capsys):
    with Progress("send", "files", 3) as progress:
        assert not progress.is_shown
        progress.done()
        progress.expect(9)
        progress.say("a word")
    assert capsys.readouterr() == ("", "a word\n")


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress("send", "files", 3) as progress:
        assert progress.is_shown
        progress.done(3)
        progress.expect(2)
        progress.say("a word")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3/3" in captured.err and "a word\n" in captured.err


def test_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Progress("backup", "files") as progress:
        for done in (2, 2, 5):
            progress.reached(done, 7)
    assert "5/7" in capsys.readouterr().err
