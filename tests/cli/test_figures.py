from dicomserver.cli.figures import counted, rate


def test_counted():
    assert [counted(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_rate():
    assert rate(3_000_000, 2) == "1.5 MB/s"
    assert rate(3, 0) == "-"
