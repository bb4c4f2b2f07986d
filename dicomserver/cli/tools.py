"""The commands of a user or a technician beside `dicom-server`; each loads its own module alone."""

from __future__ import annotations

import importlib
import sys

from dicomserver.cli.ending import ended


def dicom_echo() -> int:
    """`dicom-echo`."""
    return run("dicom-echo", sys.argv[1:])


def dicom_send() -> int:
    """`dicom-send`."""
    return run("dicom-send", sys.argv[1:])


def dicom_query() -> int:
    """`dicom-query`."""
    return run("dicom-query", sys.argv[1:])


def dicom_retrieve() -> int:
    """`dicom-retrieve`."""
    return run("dicom-retrieve", sys.argv[1:])


def run(program: str, arguments: list[str]) -> int:
    """One of them with these arguments; the exit code."""

    def command(typed: list[str]) -> int:
        module = importlib.import_module(f"dicomserver.cli.{program.replace('-', '_')}")
        return module.run(module.parser().parse_args(typed))

    return ended(program, command, arguments)
