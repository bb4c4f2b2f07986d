"""Where log lines go, and what never gets into one: control characters, and what an exception quotes."""
from __future__ import annotations

import errno
import logging
import logging.handlers
import os
import sys
import time
import traceback
from typing import TextIO

from dicomserver.server.settings import LogSettings

NAME = "dicomserver"
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def failure_text(error: BaseException) -> str:
    """Type and places of an exception, for a log line.

    Its message is left out: it may quote what a peer sent, and that may be a patient's.
    """
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        kind += f" {errno.errorcode.get(error.errno, error.errno)}"
    places = [f"{os.path.basename(frame.filename)}:{frame.lineno} {frame.name}"
              for frame in traceback.extract_tb(error.__traceback__)]
    return f"{kind} at {' < '.join(reversed(places))}" if places else kind


class _Lines(logging.Formatter):
    """One line a record, whatever is in it."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {failure_text(record.exc_info[1])}"
        return self.prefix(record) + text.translate(_ESCAPES)

    def prefix(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{clock}.{int(record.msecs):03d}Z {record.levelname} "


class _JournalLines(_Lines):
    """The journal has its own clock; a line's priority is told by its prefix (sd-daemon(3))."""

    def prefix(self, record: logging.LogRecord) -> str:
        return f"<{_PRIORITIES.get(record.levelno, 6)}>"


class _PrivateFile(logging.handlers.RotatingFileHandler):
    def _open(self) -> TextIO:
        return open(self.baseFilename, self.mode, encoding="utf-8",
                    opener=lambda path, flags: os.open(path, flags | os.O_CLOEXEC, 0o600))


def to_journal(stream: TextIO) -> bool:
    """Whether `stream` is what systemd connected to the journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def set_up(settings: LogSettings) -> logging.Logger:
    """The server's logger, writing where `settings` say. Can be called again with other settings.

    Raises OSError when the file cannot be opened; the log then goes where it went before.
    """
    handler = _handler(settings)
    log = logging.getLogger(NAME)
    former = list(log.handlers)
    log.addHandler(handler)
    for old in former:
        log.removeHandler(old)
        old.close()
    log.propagate = False
    log.setLevel(logging.DEBUG if settings.verbose else logging.INFO)
    return log


def _handler(settings: LogSettings) -> logging.Handler:
    if settings.file is not None:
        handler: logging.Handler = _PrivateFile(settings.file, maxBytes=settings.max_bytes,
                                                backupCount=settings.backups)
        handler.setFormatter(_Lines())
        return handler
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JournalLines() if to_journal(sys.stderr) else _Lines())
    return handler
