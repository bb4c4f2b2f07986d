"""What the subcommands' parsers have in common."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from dicomserver.config import values
from dicomserver.config.problems import printable

EXIT_SUCCESS = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PARTIAL = 2                # of the client tools: a part of it failed


class Failed(Exception):
    """The thing failed; `str()` is the one line that the user reads."""


class Usage(Exception):
    """The command line asks for something that cannot be; `str()` is the one line that the user reads."""


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Ends the process with exit code 2."""
        print(f"{self.prog}: {printable(message)}; see {self.prog} --help", file=sys.stderr)
        sys.exit(EXIT_USAGE)


def parser(command: str, summary: str, example: str, *, short_help: bool = True) -> Parser:
    """The parser of one subcommand; without `short_help` -h is free for something else."""
    return _parser(f"dicom-server {command}", summary, f"example: {example}", short_help=short_help)


def tool_parser(program: str, summary: str, *examples: str) -> Parser:
    """The parser of a command that is no part of dicom-server."""
    listed = "\n  ".join(examples)
    codes = "exit code: 0 all is well; 1 it failed; 2 wrong usage, or a part of it failed"
    return _parser(program, summary, f"examples:\n  {listed}\n\n{codes}", short_help=True)


def _parser(program: str, summary: str, epilog: str, *, short_help: bool) -> Parser:
    made = Parser(prog=program, description=summary, epilog=epilog,
                  formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, add_help=False)
    made.add_argument("--help", *(["-h"] if short_help else []), action="help", help="show this and exit")
    return made


def add_port(made: argparse.ArgumentParser, default: str = "11112") -> None:
    """--port, -p."""
    made.add_argument("--port", "-p", type=checked(values.port), default=default, metavar="PORT",
                      help=f"the DICOM port of the server (default: {default})")


def add_control(made: argparse.ArgumentParser) -> None:
    """The options that find the control socket of a server on this machine; the environment says the defaults."""
    add_port(made, os.environ.get("DICOM_SERVER_PORT") or "11112")
    made.add_argument("--control-dir", type=Path, metavar="DIR",
                      default=os.environ.get("DICOM_SERVER_CONTROL_SOCKET_DIRECTORY") or None,
                      help="where the control socket is, if the server's controlSocketDirectory says so")


def checked(check: Callable[[str], object]) -> Callable[[str], object]:
    """An argparse type that tells the check's own message."""

    def convert(text: str) -> object:
        try:
            return check(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {error}") from None

    return convert
