"""`dicom-send`: files to a server (C-STORE)."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Failed
from dicomserver.cli.figures import counted, rate, size
from dicomserver.cli.peer import add_peer, peer_of
from dicomserver.cli.progress import Progress
from dicomserver.cli.uids import transfer_syntax
from dicomserver.config.problems import printable
from dicomserver.scu.delivery import Delivery, Outcome
from dicomserver.scu.failures import AssociationFailed
from dicomserver.scu.part10_files import NotSendable, Part10File, find_files, read_file
from dicomserver.scu.peer import Peer
from dicomserver.standard.dictionary import uid_name
from dicomserver.wire.commands import PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_MEDIUM

_PRIORITIES = {"low": PRIORITY_LOW, "medium": PRIORITY_MEDIUM, "high": PRIORITY_HIGH}


@dataclass(slots=True)
class _Collected:
    """unsendable: path and why; skipped: files in folders that are no DICOM instances."""

    files: list[Part10File] = field(default_factory=list)
    unsendable: list[tuple[str, str]] = field(default_factory=list)
    skipped: int = 0


@dataclass(slots=True)
class _Sent:
    succeeded: list[Part10File] = field(default_factory=list)
    failed: int = 0
    octets: int = 0
    seconds: float = 0.0


def parser() -> argparse.ArgumentParser:
    """The options of `dicom-send`."""
    made = arguments.tool_parser(
        "dicom-send", "Send DICOM files to a server (C-STORE), as they are; where the server does not take a\n"
        "file's transfer syntax, converted without loss.",
        "dicom-send pacs://localhost:11112 --aet TEST_SCU --called-ae TEST_PACS study/*.dcm",
        "dicom-send pacs.example:104 -r /media/cdrom --retry 4 --verify")
    add_peer(made, "DICOM_SEND")
    made.add_argument("paths", nargs="+", metavar="PATH",
                      help="a file, a folder (with -r) or a pattern such as '*.dcm'")
    made.add_argument("-r", "--recursive", action="store_true",
                      help="send what is in folders and those below; files that are no DICOM files are left out")
    made.add_argument("--verify", action="store_true",
                      help="afterwards ask the server (C-FIND) whether it has every instance")
    made.add_argument("--retry", type=arguments.checked(_retries), default=0, metavar="N",
                      help="try again up to N times what may be a passing failure, after 1, 2, 4, 8 s (default: 0)")
    made.add_argument("--dry-run", action="store_true", help="only say what would be sent")
    made.add_argument("--priority", choices=_PRIORITIES, default="medium", help="of the requests (default: medium)")
    made.add_argument("--transfer-syntax", type=arguments.checked(transfer_syntax), metavar="UID",
                      help="send only files in this transfer syntax; others count as failed")
    made.add_argument("-v", "--verbose", action="store_true", help="say what became of each file")
    return made


def run(options: argparse.Namespace) -> int:
    """Sends; the exit code. Raises Usage, Failed."""
    peer = peer_of(options)
    collected = _collect(options.paths, options.recursive, options.transfer_syntax)
    for path, why in collected.unsendable:
        print(f"dicom-send: {printable(path)}: {why}", file=sys.stderr)
    if not collected.files and not collected.unsendable:
        raise Failed("there is nothing to send")
    if options.dry_run:
        return _rehearse(peer, collected)
    sent = _send(peer, collected.files, options)
    sent.failed += len(collected.unsendable)
    print(_summary(sent, collected.skipped))
    lost = _verify(peer, sent.succeeded) if options.verify and sent.succeeded else 0
    return _exit_code(len(sent.succeeded) - lost, sent.failed + lost)


def _collect(paths: Sequence[str], recursive: bool, only: str | None) -> _Collected:
    collected = _Collected()
    for found in find_files(paths, recursive=recursive):
        try:
            file = read_file(found.path)
        except NotSendable as error:
            if error.is_foreign and not found.is_named:
                collected.skipped += 1
            else:
                collected.unsendable.append((found.path, str(error)))
            continue
        if only and file.instance.transfer_syntax_uid != only:
            collected.unsendable.append((found.path, f"is in {uid_name(file.instance.transfer_syntax_uid)}"))
        else:
            collected.files.append(file)
    return collected


def _rehearse(peer: Peer, collected: _Collected) -> int:
    for file in collected.files:
        instance = file.instance
        print(f"{printable(file.path)}: {uid_name(instance.sop_class_uid)}, {uid_name(instance.transfer_syntax_uid)}, "
              f"{size(file.length)}")
    total = sum(file.length for file in collected.files)
    print(f"{counted(len(collected.files), 'file')}, {size(total)}, would go to {peer.called_ae_title} at "
          f"{peer.host}:{peer.port}; nothing was sent")
    return _exit_code(len(collected.files), len(collected.unsendable))


def _send(peer: Peer, files: Sequence[Part10File], options: argparse.Namespace) -> _Sent:
    sent = _Sent()
    begun = time.monotonic()
    with Progress("send", "files", len(files)) as progress:

        def paused(seconds: float, why: str) -> None:
            progress.say(f"dicom-send: {why}; next try in {seconds:g} s")

        delivery = Delivery(peer, files, priority=_PRIORITIES[options.priority], retries=options.retry, paused=paused)
        for outcome in delivery.outcomes():
            if outcome.failure:
                sent.failed += 1
            else:
                sent.succeeded.append(outcome.source)
                sent.octets += outcome.source.length
            if outcome.failure or outcome.answer.status or options.verbose:
                progress.say(f"dicom-send: {printable(outcome.source.path)}: {_in_words(outcome)}")
            progress.done()
    sent.seconds = time.monotonic() - begun
    return sent


def _in_words(outcome: Outcome) -> str:
    comment = f" ({printable(outcome.answer.comment)})" if outcome.answer and outcome.answer.comment else ""
    if outcome.failure:
        said = outcome.failure if outcome.failure.startswith("the file") else f"the server {outcome.failure}"
        return f"{said}{comment}"
    return f"stored, with warning {outcome.answer.status:04X}H{comment}" if outcome.answer.status else "stored"


def _summary(sent: _Sent, skipped: int) -> str:
    parts = [counted(len(sent.succeeded) + sent.failed, "file"), f"{len(sent.succeeded)} succeeded",
             f"{sent.failed} failed", *([f"{skipped} skipped"] if skipped else []), size(sent.octets),
             f"{sent.seconds:.1f} s", rate(sent.octets, sent.seconds)]
    return ", ".join(parts)


def _verify(peer: Peer, files: Sequence[Part10File]) -> int:
    """-> how many the server does not find."""
    from dicomserver.scu.query import RequestFailed
    from dicomserver.scu.verification import missing

    try:
        lost = missing(peer, files)
    except (AssociationFailed, RequestFailed) as error:
        print(f"dicom-send: not verified: the server {error}", file=sys.stderr)
        return len(files)
    for file in lost:
        print(f"dicom-send: {printable(file.path)}: the server does not find it", file=sys.stderr)
    print(f"verified: {len(files) - len(lost)} of {counted(len(files), 'file')} found on the server")
    return len(lost)


def _exit_code(good: int, bad: int) -> int:
    if not bad:
        return arguments.EXIT_SUCCESS
    return arguments.EXIT_PARTIAL if good else arguments.EXIT_FAILED


def _retries(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise ValueError("a whole number")
    return int(text)
