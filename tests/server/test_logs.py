import errno
import io
import logging
import os
import sys

import pytest

from dicomserver.server import logs
from dicomserver.server.settings import LogSettings


@pytest.fixture(autouse=True)
def leave_no_handlers():
    yield
    log = logging.getLogger(logs.NAME)
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    log.propagate = True
    log.setLevel(logging.NOTSET)


def test_lines_have_time_and_level_on_a_terminal(capsys):
    logs.set_up(LogSettings()).warning("port %d", 104)
    line = capsys.readouterr().err
    assert line.endswith("Z WARNING port 104\n") and line[4] == "-" and line[10] == "T"


def test_verbose_adds_debug_lines(capsys):
    log = logs.set_up(LogSettings())
    log.debug("hidden")
    log = logs.set_up(LogSettings(verbose=True))
    log.debug("shown")
    err = capsys.readouterr().err
    assert "hidden" not in err and err.count("shown") == 1


def test_the_journal_has_its_own_clock(monkeypatch, tmp_path):
    with open(tmp_path / "stderr", "w+") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        monkeypatch.setattr(sys, "stderr", stream)
        log = logs.set_up(LogSettings())
        log.info("ready")
        log.error("not good")
        stream.seek(0)
        assert stream.read() == "<6>ready\n<3>not good\n"


def test_a_stream_that_is_not_the_journals(monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    assert not logs.to_journal(io.StringIO())


def test_nobody_can_forge_a_line(capsys):
    logs.set_up(LogSettings()).info("AE %s", "EVIL\n2026 INFO all is well\x1b[2J\x85")
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and r"EVIL\x0a2026 INFO all is well\x1b[2J\x85" in err


def test_exceptions_say_type_and_place_but_do_not_quote(capsys):
    log = logs.set_up(LogSettings())
    try:
        raise ValueError("DOE^JOHN")
    except ValueError:
        log.exception("it failed")
    err = capsys.readouterr().err
    assert "ERROR it failed: ValueError at test_logs.py:" in err and "DOE" not in err


def test_a_system_error_is_known_by_its_number():
    assert logs.failure_text(OSError(errno.ENOSPC, "x", "/data/1.2.3")) == "OSError ENOSPC"


def test_a_file_is_private_and_rotates(tmp_path):
    log = logs.set_up(LogSettings(file=tmp_path / "log", max_bytes=200, backups=2))
    for number in range(20):
        log.info("line %d of the log", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert "line 19" in (tmp_path / "log").read_text()
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())


def test_a_file_that_cannot_be_opened_leaves_the_log_where_it_was(tmp_path, capsys):
    logs.set_up(LogSettings())
    with pytest.raises(OSError):
        logs.set_up(LogSettings(file=tmp_path / "missing" / "log"))
    logging.getLogger(logs.NAME).info("still here")
    assert "still here" in capsys.readouterr().err
