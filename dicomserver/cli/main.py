"""The `dicom-server` command: finds the subcommand, loads its module alone, and ends with its exit code.

0 success; 1 the thing failed; 2 usage; 78 bad configuration. A user's mistake is one line, never a traceback.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from dicomserver import __version__
from dicomserver.cli.arguments import EXIT_SUCCESS, Usage
from dicomserver.cli.ending import ended

# Each is a module of this package with parser() and run(options); loaded only when it is asked for,
# so that --help and status answer at once.
COMMANDS = {
    "start": ("start", "start the server (this is what dicom-server does without a command)"),
    "status": ("status", "ask a server whether it runs and answers (C-ECHO)"),
    "stop": ("stop", "stop the server on this machine in an orderly way"),
    "stats": ("stats", "show what the running server has done"),
    "check-config": ("check_config", "say what is wrong with a configuration file"),
    "verify": ("verify", "read the stored files anew: are they all whole?"),
    "delete": ("delete", "delete a patient, a study, a series or an instance; at first into the trash"),
    "undelete": ("undelete", "bring back what was deleted a short time ago"),
    "trash": ("trash", "list what was deleted and can be brought back"),
    "retention": ("retention", "show what the retention rule would delete now"),
    "keep": ("keep", "mark a study that the retention rule must not delete"),
    "unkeep": ("unkeep", "take such a mark away"),
    "backup": ("backup", "copy everything to another disk, while the server runs"),
    "restore": ("restore", "make a data directory from a backup, or check a backup"),
    "import": ("import_files", "take over the DICOM files of a CD, a dump or another PACS"),
    "conflicts": ("conflicts", "decide what two images with one UID, or a study with two patients, mean"),
    "index": ("index", "make the index anew from the stored files, or move it to another place"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `dicom-server` with `arguments` (default: those of the process); the exit code."""
    return ended("dicom-server", _run, list(sys.argv[1:] if arguments is None else arguments))


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


def _help() -> str:
    listed = "\n".join(f"  {name:<14}{summary}" for name, (_, summary) in COMMANDS.items())
    return f"""usage: dicom-server [COMMAND] [OPTION ...]

A PACS: receives, keeps, finds and hands out medical images.

commands:
{listed}

dicom-server COMMAND --help explains a command; dicom-server --version says the version.

example: dicom-server start --aet MY_PACS --port 11112 --data-dir /var/lib/dicom-server"""


if __name__ == "__main__":
    sys.exit(main())
