"""`dicom-server stop`: the server on this machine ends in an orderly way."""

from __future__ import annotations

import argparse

from dicomserver.cli import arguments
from dicomserver.cli.control import translated
from dicomserver.config import values
from dicomserver.server import control_client


def parser() -> argparse.ArgumentParser:
    """The options of `stop`."""
    made = arguments.parser(
        "stop",
        "Stop the server on this machine: running transfers finish or, after the grace period,\n"
        "are aborted cleanly. Returns when the server is gone; exit 0, or 1 with the reason.",
        "dicom-server stop --port 11112")
    arguments.add_control(made)
    made.add_argument("--timeout", type=arguments.checked(values.seconds), metavar="SECONDS",
                      help="the longest wait for its end (default: no limit)")
    return made


def run(options: argparse.Namespace) -> int:
    """Stops the server; the exit code. Raises Failed."""
    with translated():
        control_client.stop(options.port, options.timeout, options.control_dir)
    print(f"The server on port {options.port} has stopped")
    return arguments.EXIT_SUCCESS
