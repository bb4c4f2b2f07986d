"""`dicom-server check-config`: says what is wrong with a configuration file."""

from __future__ import annotations

import argparse

from dicomserver.cli import arguments
from dicomserver.config.load import check_file
from dicomserver.config.problems import ConfigurationError


def parser() -> argparse.ArgumentParser:
    """The options of `check-config`."""
    made = arguments.parser(
        "check-config",
        "Say what is wrong with a configuration file, in one line per problem; exit 0 or 78.",
        "dicom-server check-config /etc/dicom-server/dicom-server.yaml")
    made.add_argument("file", metavar="FILE", help="JSON or YAML")
    return made


def run(options: argparse.Namespace) -> int:
    """Prints every problem, or that there is none; 0 or 78."""
    try:
        check_file(options.file)
    except ConfigurationError as error:
        print(error)
        return error.exit_code
    print(f"{options.file}: good")
    return arguments.EXIT_SUCCESS
