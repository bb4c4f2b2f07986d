"""`dicom-server restore`: a data directory from a backup, or the proof that it could be made."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from dicomserver.cli import arguments
from dicomserver.cli.arguments import Usage
from dicomserver.cli.failures import disk_told, told
from dicomserver.cli.figures import counted, size
from dicomserver.cli.progress import Progress
from dicomserver.server.restore import RestoreReport, drill, restore


def parser() -> argparse.ArgumentParser:
    """The options of `restore`."""
    made = arguments.parser(
        "restore",
        "Make a data directory from a backup; a server can be started on it then. Or, with --verify, only check\n"
        "that this would work: every file is read and compared, and nothing is left behind. What is damaged in\n"
        "the backup is named, one line for each, and the exit code is 1.",
        "dicom-server restore /mnt/usb/pacs-backup --data-dir /var/lib/dicom-server")
    made.add_argument("source", metavar="SOURCE", help="the folder that was given to dicom-server backup")
    made.add_argument("--data-dir", metavar="NEW", help="a folder that is empty or not there yet")
    made.add_argument("--verify", action="store_true", help="check the backup, restore nothing")
    made.add_argument("--backup", type=int, metavar="N",
                      help="an earlier backup of that folder (default: the last one)")
    return made


def run(options: argparse.Namespace) -> int:
    """Restores or checks; the exit code. Raises Usage, Failed."""
    if options.verify == (options.data_dir is not None):
        raise Usage("either --data-dir NEW, to restore, or --verify, to check the backup")
    with told(), Progress("restore", "files") as progress:
        def show(so_far: RestoreReport) -> None:
            progress.reached(so_far.instances, so_far.total)
        if options.verify:
            with (_cleaned_up_when_stopped(),
                  disk_told(f"{options.source} or {tempfile.gettempdir()}", "The backup has not been checked")):
                report = drill(options.source, show, options.backup)
        else:
            with disk_told(options.data_dir, "Empty that folder before you try again"):
                report = restore(options.source, options.data_dir, show, options.backup)
    for path, why in report.damaged:
        print(f"{path}: {why}")
    print(_in_words(report, options))
    return arguments.EXIT_FAILED if report.damaged else arguments.EXIT_SUCCESS


@contextmanager
def _cleaned_up_when_stopped() -> Iterator[None]:
    """The copy of the index has patients' names: it must not stay behind when a timer or a shell ends the drill."""
    former = {number: signal.signal(number, lambda got, frame: sys.exit(128 + got))
              for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _in_words(report: RestoreReport, options: argparse.Namespace) -> str:
    done = "Verified" if options.verify else "Restored"
    parts = [f"{done} the backup of {report.begun}: {counted(report.instances, 'image')}, {size(report.octets)}, "
             f"and {counted(report.other_files, 'other file')}"]
    if report.damaged:
        parts.append(f"DAMAGED in the backup{'' if options.verify else ' and left out'}: "
                     f"{counted(len(report.damaged), 'file')} (see above)")
    elif options.verify:
        parts.append("All of it is whole")
    if report.absent:
        parts.append(f"Never in this backup: {counted(report.absent, 'image')} (damaged, missing or just being deleted "
                     "in the archive when it was made); another backup may have more (--backup)")
    if not options.verify:
        if not report.has_index:
            parts.append("There is no index: the first start makes it from the files, which takes a while")
        parts.append(f"Start with: dicom-server start --data-dir {options.data_dir}")
    return "\n".join(parts)
