"""The commands of a user or a technician beside `dicom-server`; each loads its own module alone."""

from __future__ import annotations

import importlib
import signal
import sys

from dicomserver.cli.ending import ended


def dicom_echo() -> int:
    """`dicom-echo`."""
    return _typed("dicom-echo")


def dicom_send() -> int:
    """`dicom-send`."""
    return _typed("dicom-send")


def dicom_query() -> int:
    """`dicom-query`."""
    return _typed("dicom-query")


def dicom_retrieve() -> int:
    """`dicom-retrieve`."""
    return _typed("dicom-retrieve")


def _typed(program: str) -> int:
    # While a peer is waited for Python cannot act on a Ctrl-C: the default action, which is to end, needs no Python.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return run(program, sys.argv[1:])


def run(program: str, arguments: list[str]) -> int:
    """One of them with these arguments; the exit code."""

    def command(typed: list[str]) -> int:
        module = importlib.import_module(f"dicomserver.cli.{program.replace('-', '_')}")
        return module.run(module.parser().parse_args(typed))

    return ended(program, command, arguments)
