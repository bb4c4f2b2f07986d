"""How every command ends: with an exit code, and one line for what a user did wrong, never with a traceback."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

from dicomserver.cli.arguments import EXIT_FAILED, EXIT_USAGE, Failed, Usage
from dicomserver.config.problems import ConfigurationError, printable

_INTERRUPTED = 130


def ended(program: str, run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Runs a command that is called `program`; the exit code."""
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no such letter is no failure
    try:
        exit_code = run(arguments)
        sys.stdout.flush()      # what fails now is told here, not by the interpreter at its end
        return exit_code
    except ConfigurationError as error:
        return _say(program, str(error), error.exit_code)
    except Usage as error:
        return _say(program, str(error), EXIT_USAGE)
    except Failed as error:
        return _say(program, str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:     # whoever read our output has gone
        _forget_output()
        return EXIT_FAILED
    except OSError as error:
        _forget_output()
        return _say(program, f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error),
                    EXIT_FAILED)


def _open_closed() -> None:
    """Gives the numbers of standard streams that are closed to /dev/null, before a file gets one: what a library writes
    to standard error would damage it. Our messages, and the log, then go to standard output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)    # the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or sys.stdout


def _forget_output() -> None:
    """Where it cannot be written, the interpreter must not try it once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(program: str, text: str, exit_code: int) -> int:
    for line in text.splitlines():
        print(f"{program}: {printable(line)}", file=sys.stderr)
    return exit_code
