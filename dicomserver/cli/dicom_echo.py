"""`dicom-echo`: does a server answer, how fast, and if not, why not."""

from __future__ import annotations

import argparse
import sys
import textwrap

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Failed
from dicomserver.cli.peer import add_peer, peer_of
from dicomserver.scu.echo import echoes
from dicomserver.scu.failures import AssociationFailed
from dicomserver.scu.peer import Peer

_WIDTH = 100


def parser() -> argparse.ArgumentParser:
    """The options of `dicom-echo`."""
    made = arguments.tool_parser(
        "dicom-echo", "Ask a DICOM server whether it answers (C-ECHO).",
        "dicom-echo pacs://localhost:11112 --aet TEST_SCU --called-ae TEST_PACS",
        "dicom-echo pacs.example:104 -c 10 --stats", "dicom-echo PACS@pacs.example:104 --diagnose")
    add_peer(made, "DICOM_ECHO", timeout=30.0)
    made.add_argument("-c", "--count", type=arguments.checked(_count), default=1, metavar="N",
                      help="how many C-ECHOs, all over one association (default: 1)")
    made.add_argument("--stats", action="store_true", help="at the end minimum, average and maximum of the round trips")
    made.add_argument("--diagnose", action="store_true",
                      help="go through it step by step - name, TCP, TLS, association, C-ECHO - and say what to change")
    return made


def run(options: argparse.Namespace) -> int:
    """Echoes; the exit code. Raises Usage, Failed."""
    peer = peer_of(options)
    return _diagnose(peer) if options.diagnose else _echo(peer, options.count, options.stats)


def _echo(peer: Peer, count: int, with_statistics: bool) -> int:
    where = f"{peer.called_ae_title} at {peer.host}:{peer.port}"
    times = []
    failures = 0
    failed = None
    try:
        for answer in echoes(peer, count):
            good = answer.status == 0
            failures += not good
            times.append(answer.echo_seconds * 1000)
            print(f"{where} answers{'' if good else f' with the failure status {answer.status:04X}H'}: "
                  f"{times[-1]:.1f} ms", flush=True)
    except AssociationFailed as error:
        failed = Failed(f"the server at {peer.host}:{peer.port} {error}")
    if with_statistics and times:
        print(f"{count} sent, {len(times) - failures} answered with success; "
              f"min/avg/max {min(times):.1f}/{sum(times) / len(times):.1f}/{max(times):.1f} ms")
    if len(times) == failures:
        if failed is not None:
            raise failed
        return arguments.EXIT_FAILED
    if failed is not None:
        print(f"dicom-echo: {failed}", file=sys.stderr)
    return arguments.EXIT_PARTIAL if failures or failed is not None else arguments.EXIT_SUCCESS


def _diagnose(peer: Peer) -> int:
    from dicomserver.scu.diagnosis import diagnose

    good = True
    for step in diagnose(peer):
        good = good and step.is_good
        print(f"{'ok  ' if step.is_good else 'FAIL'}  {step.name:<12}{step.found}")
        for detail in step.details:
            print(f"{'':18}{detail}")
        for line in textwrap.wrap(step.advice, _WIDTH - 18):
            print(f"{'':18}{line}")
    return arguments.EXIT_SUCCESS if good else arguments.EXIT_FAILED


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) < 1:
        raise ValueError("a whole number, at least 1")
    return int(text)
