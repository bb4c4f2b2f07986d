"""`dicom-server backup`: everything into a folder on another disk, while the server runs or not."""

from __future__ import annotations

import argparse
import os
import sys

from dicomserver.cli import arguments
from dicomserver.cli.configured import add_storage
from dicomserver.cli.control import translated
from dicomserver.cli.failures import disk_told, told
from dicomserver.cli.figures import counted, size
from dicomserver.cli.progress import Progress
from dicomserver.cli.running_or_stopped import running_or_stopped
from dicomserver.server.backup import KEPT, BackupReport, back_up
from dicomserver.server.backup_origins import Origin, RunningServer, StoppedServer


def parser() -> argparse.ArgumentParser:
    """The options of `backup`."""
    made = arguments.parser(
        "backup",
        "Copy all images, the index and everything else of the server on this machine into a folder on another\n"
        "disk, while the server runs (or not). Only what is new since the last backup in that folder is copied;\n"
        "each copy is read again from the disk and checked. A backup that was cut short is gone on with the next\n"
        "time; the earlier ones stay good. Exit code 0: all is in the backup.",
        "dicom-server backup /mnt/usb/pacs-backup")
    made.add_argument("target", metavar="TARGET", help="a folder, empty or with earlier backups of this server")
    made.add_argument("--keep", type=arguments.checked(_positive), default=KEPT, metavar="N",
                      help="the backups that can be restored: what was deleted from the server is gone from the folder "
                           f"after N more backups (default: {KEPT})")
    made.add_argument("--reread", action="store_true",
                      help="read what is in the folder already, too, and copy anew what is damaged there")
    arguments.add_control(made)
    add_storage(made)
    return made


def run(options: argparse.Namespace) -> int:
    """Backs up; the exit code. Raises ConfigurationError, Failed."""
    unfinished = "This backup is not complete; earlier ones are still good"
    with told(), translated(), running_or_stopped(options, RunningServer, StoppedServer) as origin, \
            disk_told(options.target, unfinished), Progress("backup", "files") as progress:
        _warn_of_one_disk(options.target, origin)
        report = back_up(origin, options.target, lambda so_far: progress.reached(so_far.instances, so_far.total),
                         kept=options.keep, reread=options.reread)
    for path, why in report.damaged:
        print(f"{path}: {why}")
    print(_in_words(report))
    return arguments.EXIT_FAILED if report.damaged or report.left_behind else arguments.EXIT_SUCCESS


def _warn_of_one_disk(target: str, origin: Origin) -> None:
    try:
        if os.stat(target).st_dev == os.stat(origin.data_directory).st_dev:
            print("warning: the backup is on the same disk as the images: if that breaks, both are lost",
                  file=sys.stderr)
    except OSError:
        return      # whoever works on them says what is wrong


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise ValueError("a whole number from 1 to 10000")
    return int(text)


def _in_words(report: BackupReport) -> str:
    parts = [f"Backup {report.number}: {counted(report.instances, 'image')}, {size(report.octets)}, "
             f"and {counted(report.other_files, 'other file')}",
             f"new and verified: {counted(report.copied, 'image')}, {size(report.copied_octets)}"]
    if report.removed:
        parts.append(f"removed from the folder: {counted(report.removed, 'image')} of no kept backup")
    if report.damaged:
        parts.append(f"NOT in the backup: {counted(len(report.damaged), 'file')} damaged or missing in the archive "
                     "itself (see above)")
    if report.left_behind:
        parts.append(f"This backup is complete, but earlier ones could not be removed: {report.left_behind}. See if "
                     "the disk is still good; if in doubt, begin a new folder on another one")
    return "\n".join(parts)
