"""`dicom-server status`: a C-ECHO."""

from __future__ import annotations

import argparse

from dicomserver.cli import arguments
from dicomserver.cli.stats import fetch, table
from dicomserver.config import values
from dicomserver.scu.echo import Echo, echo
from dicomserver.scu.failures import AssociationFailed


def parser() -> argparse.ArgumentParser:
    """The options of `status`; -h is the host."""
    made = arguments.parser(
        "status", "Ask a server whether it runs and answers (C-ECHO); exit 0 or 1.",
        "dicom-server status --port 11112 --verbose --calling-ae TEST_SCU --called-ae MY_PACS",
        short_help=False)
    host, title = arguments.checked(values.host), arguments.checked(values.ae_title)
    made.add_argument("--host", "-h", type=host, default="localhost", metavar="HOST",
                      help="where the server runs (default: localhost)")
    arguments.add_port(made)
    made.add_argument("--calling-ae", type=title, default="DICOM_ECHO", metavar="AET",
                      help="our AE title (default: DICOM_ECHO)")
    made.add_argument("--called-ae", type=title, default="DICOMKIT_SCP", metavar="AET",
                      help="the server's AE title (default: DICOMKIT_SCP)")
    made.add_argument("--timeout", type=arguments.checked(values.seconds), default=30.0, metavar="SECONDS",
                      help="the longest wait for each answer (default: 30)")
    made.add_argument("--verbose", "-v", action="store_true",
                      help="also the status, the times and, on the same machine, what stats knows")
    return made


def run(options: argparse.Namespace) -> int:
    """Prints whether the server answers; 0 or 1."""
    where = f"{options.host}:{options.port}"
    try:
        answer = echo(options.host, options.port, calling_ae_title=options.calling_ae,
                      called_ae_title=options.called_ae, timeout=options.timeout)
    except AssociationFailed as error:
        print(f"The server at {where} {error}")
        return arguments.EXIT_FAILED
    runs = f"The server at {where} runs and answers"
    print(runs if answer.status == 0 else f"{runs} C-ECHO with the failure status {answer.status:04X}H")
    if options.verbose:
        _tell_more(answer, options.port)
    return arguments.EXIT_SUCCESS if answer.status == 0 else arguments.EXIT_FAILED


def _tell_more(answer: Echo, port: int) -> None:
    print(f"Status                  {answer.status:04X}H")
    print(f"Association             {answer.association_seconds * 1000:.1f} ms")
    print(f"Round trip              {answer.echo_seconds * 1000:.1f} ms")
    if not answer.is_same_machine:
        return
    try:
        print("\n".join(table(fetch(port))))
    except arguments.Failed as error:
        print(f"Statistics              none ({error})")
