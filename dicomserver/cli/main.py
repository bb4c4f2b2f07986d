"""The `dicom-server` command: finds the subcommand, loads its module alone, and ends with its exit code.

0 success; 1 the thing failed; 2 usage; 78 bad configuration. A user's mistake is one line, never a traceback.
"""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from collections.abc import Sequence

from dicomserver import __version__
from dicomserver.cli.arguments import EXIT_FAILED, EXIT_SUCCESS, EXIT_USAGE, Failed, Usage
from dicomserver.config.problems import ConfigurationError, printable

# Each is a module of this package with parser() and run(options); loaded only when it is asked for,
# so that --help and status answer at once.
COMMANDS = {
    "start": ("start", "start the server (this is what dicom-server does without a command)"),
    "status": ("status", "ask a server whether it runs and answers (C-ECHO)"),
    "stop": ("stop", "stop the server on this machine in an orderly way"),
    "stats": ("stats", "show what the running server has done"),
    "check-config": ("check_config", "say what is wrong with a configuration file"),
    "delete": ("delete", "delete a study, a series or an instance"),
    "index": ("index", "rebuild the index from the stored files"),
}
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `dicom-server` with `arguments` (default: those of the process); the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no such letter is no failure
    try:
        return _run(arguments)
    except ConfigurationError as error:
        return _say(str(error), error.exit_code)
    except Usage as error:
        return _say(str(error), EXIT_USAGE)
    except Failed as error:
        return _say(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not try to flush it once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def _run(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first == "--version":
        print(f"dicom-server {__version__}")
        return EXIT_SUCCESS
    if first in ("--help", "-h", "help"):
        print(_help())
        return EXIT_SUCCESS
    if first and not first.startswith("-"):
        if first not in COMMANDS:
            nearest = difflib.get_close_matches(first, COMMANDS, n=1, cutoff=0)[0]
            raise Usage(f"{first!r} is no command; the nearest one is {nearest}; see dicom-server --help")
        arguments = arguments[1:]
    command = importlib.import_module(f"dicomserver.cli.{COMMANDS.get(first, COMMANDS['start'])[0]}")
    return command.run(command.parser().parse_args(arguments))


def _say(text: str, exit_code: int) -> int:
    for line in text.splitlines():
        print(f"dicom-server: {printable(line)}", file=sys.stderr)
    return exit_code


def _help() -> str:
    listed = "\n".join(f"  {name:<14}{summary}" for name, (_, summary) in COMMANDS.items())
    return f"""usage: dicom-server [COMMAND] [OPTION ...]

A PACS: receives, keeps, finds, hands out and shows medical images.

commands:
{listed}

dicom-server COMMAND --help explains a command; dicom-server --version says the version.

example: dicom-server start --aet MY_PACS --port 11112 --data-dir /var/lib/dicom-server"""


if __name__ == "__main__":
    sys.exit(main())
