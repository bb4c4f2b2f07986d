import time

from dicomserver.cli.figures import counted, moment, rate


def test_counted():
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_rate():
    assert rate(3_000_000, 2) == "1.5 MB/s"
    assert rate(3, 0) == "-"


def test_moment(monkeypatch):
    monkeypatch.setenv("TZ", "UTC-1")
    time.tzset()
    try:
        assert moment(86_399) == "1970-01-02 00:59"
    finally:
        monkeypatch.undo()
        time.tzset()
