"""`dicom-retrieve`: studies, series or instances from a server, by C-GET to our disk or by C-MOVE to somebody else."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterable

from dicomserver.cli import arguments, uids
from dicomserver.cli.arguments import Failed, Usage
from dicomserver.cli.figures import counted, rate, size
from dicomserver.cli.peer import add_peer, peer_of
from dicomserver.cli.progress import Progress
from dicomserver.config import values
from dicomserver.config.problems import printable
from dicomserver.scu.failures import AssociationFailed
from dicomserver.scu.peer import Peer
from dicomserver.scu.query import RequestFailed
from dicomserver.scu.reception import Received, Reception
from dicomserver.scu.requester import Requester
from dicomserver.scu.retrieval import Retrieval
from dicomserver.scu.retrieve import Counters, Result, associate_to_get, associate_to_move, get, move
from dicomserver.scu.selection import Catalogue, Selection, sop_classes_if_told
from dicomserver.scu.storage_contexts import storage_contexts

MOST_PARALLEL = 16


def parser() -> argparse.ArgumentParser:
    """The options of `dicom-retrieve`."""
    uid = arguments.checked(uids.uid)
    made = arguments.tool_parser(
        "dicom-retrieve",
        "Retrieve from a server: to files here (C-GET), or to another application entity (C-MOVE).",
        "dicom-retrieve pacs://localhost:11112 --aet TEST_SCU --called-ae TEST_PACS --study-uid 1.2.3.4.5 "
        "--output ./retrieved/",
        "dicom-retrieve pacs.example:104 --study-uid 1.2.3.4.5 --move-dest WORKSTATION1",
        "dicom-retrieve pacs.example:104 --uid-list studies.txt --hierarchical --parallel 4")
    add_peer(made, "DICOM_RETRIEVE")
    made.add_argument("--study-uid", type=uid, metavar="UID", help="the study")
    made.add_argument("--series-uid", type=uid, metavar="UID", help="only this series of it")
    made.add_argument("--instance-uid", type=uid, metavar="UID", help="only this instance of the series")
    made.add_argument("--uid-list", metavar="FILE",
                      help="a Study Instance UID on each line, perhaps with a Series and a SOP Instance UID behind it; "
                           "- is standard input")
    made.add_argument("--output", "-o", metavar="DIR", help="where files go by C-GET (default: this folder)")
    made.add_argument("--method", choices=("c-move", "c-get"),
                      help="default: c-move if there is a --move-dest, else c-get")
    made.add_argument("--move-dest", type=arguments.checked(values.ae_title), metavar="AET",
                      help="who shall get it by C-MOVE: an AE title that the server knows")
    made.add_argument("--hierarchical", action="store_true",
                      help="files as STUDY/SERIES/INSTANCE.dcm instead of INSTANCE.dcm")
    made.add_argument("--parallel", type=arguments.checked(_parallel), default=1, metavar="N",
                      help="so many associations at once; a study is then retrieved by series (default: 1)")
    made.add_argument("--transfer-syntax", type=arguments.checked(uids.transfer_syntax), metavar="UID",
                      help="take files in this transfer syntax only (C-GET; default: each as the server has it)")
    made.add_argument("-v", "--verbose", action="store_true", help="say what became of each instance")
    return made


def run(options: argparse.Namespace) -> int:
    """Retrieves; the exit code. Raises Usage, Failed."""
    peer = peer_of(options)
    method = _method(options)
    selections = _selections(options)
    if options.parallel > 1:
        selections = _by_series(peer, selections)
    begun = time.monotonic()
    with Progress("retrieve", "instances") as progress:
        tally = _Tally(progress, options.verbose)
        if method == "c-get":
            retrieval = _getting(peer, selections, options, tally)
        else:
            retrieval = _moving(peer, options, tally)
        # Other threads wait for the peer from here on: a Ctrl-C lets them remove what is unfinished.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for selection, outcome in retrieval.outcomes(selections):
            tally.end(selection, outcome, is_moved=method == "c-move")
    print(_summary(tally, method, options, time.monotonic() - begun))
    if not tally.failures:
        return arguments.EXIT_SUCCESS
    return arguments.EXIT_PARTIAL if tally.instances else arguments.EXIT_FAILED


class _Tally:
    """What has come so far; the retrieving threads tell it. failures: instances, and retrievals that failed whole."""

    def __init__(self, progress: Progress, verbose: bool):
        self.instances = 0
        self.failures = 0
        self.octets = 0
        self._progress = progress
        self._verbose = verbose
        self._counters: dict[Selection, Counters] = {}
        self._came: set[Selection] = set()

    def received(self, selection: Selection, one: Received) -> None:
        """An instance came by C-GET."""
        self._came.add(selection)
        if one.path:
            self.instances += 1
            self.octets += one.octets
            self._progress.done()
        if one.failure or self._verbose:
            self._progress.say(f"dicom-retrieve: {one.sop_instance_uid}: "
                               f"{'not kept: ' + one.failure if one.failure else printable(one.path)}")

    def told(self, selection: Selection, counters: Counters, *, is_moved: bool) -> None:
        """What the server counts."""
        before = self._counters.get(selection, Counters())
        self._counters[selection] = counters
        if is_moved:
            more = counters.completed + counters.warning - before.completed - before.warning
            self.instances += more
            self._progress.done(more)
        known = self._counters.values()
        self._progress.expect(sum(one.remaining + one.completed + one.failed + one.warning for one in known))

    def end(self, selection: Selection, outcome: Result | AssociationFailed, *, is_moved: bool) -> None:
        """A retrieval is over; says what went wrong."""
        what = " ".join(filter(None, (selection.study, selection.series, selection.instance)))
        if isinstance(outcome, AssociationFailed):
            self.failures += 1
            self._progress.say(f"dicom-retrieve: {what}: the server {outcome}")
        elif not outcome.is_success:
            self.failures += outcome.counters.failed or 1
            self._progress.say(f"dicom-retrieve: {what}: {_in_words(outcome)}")
            if self._verbose:
                for uid in outcome.failed_uids:
                    self._progress.say(f"dicom-retrieve: failed: {printable(uid)}")
        elif not is_moved and selection not in self._came:
            self.failures += 1
            self._progress.say(f"dicom-retrieve: {what}: the server has nothing of it")


def _getting(peer: Peer, selections: list[Selection], options: argparse.Namespace, tally: _Tally) -> Retrieval:
    folder = options.output or "."
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise Failed(f"{folder}: {error.strerror}") from None
    sop_classes = sop_classes_if_told(peer, [selection.study for selection in selections])
    titles = (peer.calling_ae_title, peer.called_ae_title)

    def associate(selection: Selection) -> Requester:
        return associate_to_get(peer, storage_contexts(sop_classes.get(selection.study, ()), options.transfer_syntax))

    def retrieve(association: Requester, selection: Selection) -> Result:
        reception = Reception(folder, is_tree=options.hierarchical, titles=titles)
        return get(association, selection, reception, received=lambda one: tally.received(selection, one),
                   told=lambda counters: tally.told(selection, counters, is_moved=False))

    return Retrieval(associate, retrieve, parallel=options.parallel)


def _moving(peer: Peer, options: argparse.Namespace, tally: _Tally) -> Retrieval:
    def retrieve(association: Requester, selection: Selection) -> Result:
        def told(counters: Counters) -> None:
            tally.told(selection, counters, is_moved=True)

        result = move(association, selection, options.move_dest, told=told)
        told(result.counters)
        return result

    return Retrieval(lambda _: associate_to_move(peer), retrieve, parallel=options.parallel)


def _method(options: argparse.Namespace) -> str:
    method = options.method or ("c-move" if options.move_dest else "c-get")
    if method == "c-move" and not options.move_dest:
        raise Usage("--method c-move needs a --move-dest")
    if method == "c-get" and options.move_dest:
        raise Usage("--move-dest is for c-move, not for c-get")
    if method == "c-move" and (options.output or options.hierarchical or options.transfer_syntax):
        raise Usage("--output, --hierarchical and --transfer-syntax are for c-get: by c-move nothing comes here")
    return method


def _selections(options: argparse.Namespace) -> list[Selection]:
    if bool(options.study_uid) == bool(options.uid_list):
        raise Usage("either --study-uid or --uid-list is needed")
    if options.uid_list:
        if options.series_uid or options.instance_uid:
            raise Usage("--series-uid and --instance-uid go with --study-uid; in a list they stand behind it")
        return list(dict.fromkeys(_listed(options.uid_list)))
    if options.instance_uid and not options.series_uid:
        raise Usage("--instance-uid needs the --series-uid that it belongs to")
    return [Selection(options.study_uid, options.series_uid or "", options.instance_uid or "")]


def _listed(name: str) -> list[Selection]:
    try:
        if name == "-":
            lines = sys.stdin.read().splitlines()
        else:
            with open(name, encoding="utf-8-sig", errors="replace") as file:
                lines = file.read().splitlines()
    except OSError as error:
        raise Failed(f"{name}: {error.strerror}") from None
    found = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        try:
            if len(words) > 3:
                raise ValueError("three UIDs at most")
            if words:
                found.append(Selection(*map(uids.uid, words)))
        except ValueError as error:
            raise Usage(f"{name}, line {number}: not {error}") from None
    if not found:
        raise Usage(f"{name} has no UID")
    return found


def _by_series(peer: Peer, selections: Iterable[Selection]) -> list[Selection]:
    catalogue = Catalogue(peer)
    try:
        return [series for selection in selections for series in catalogue.series_of(selection) or [selection]]
    except (AssociationFailed, RequestFailed) as error:
        raise Failed(f"the server at {peer.host}:{peer.port} {error}, so that its series are not known; "
                     f"try without --parallel") from None


def _in_words(result: Result) -> str:
    comment = f" ({printable(result.comment)})" if result.comment else ""
    if result.counters.failed:
        counts = result.counters
        whole = counts.completed + counts.failed + counts.warning + counts.remaining
        return f"{counts.failed} of {counted(whole, 'instance')} failed, status {result.status:04X}H{comment}"
    return f"the server ended it with status {result.status:04X}H{comment}"


def _summary(tally: _Tally, method: str, options: argparse.Namespace, seconds: float) -> str:
    parts = [counted(tally.instances, "instance"), f"{tally.failures} failed"]
    if method == "c-get":
        parts += [size(tally.octets), f"{seconds:.1f} s", rate(tally.octets, seconds),
                  f"in {printable(options.output or '.')}"]
    else:
        parts += [f"{seconds:.1f} s", f"to {options.move_dest}"]
    return ", ".join(parts)


def _parallel(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 3 or not 1 <= int(text) <= MOST_PARALLEL:
        raise ValueError(f"a whole number from 1 to {MOST_PARALLEL}")
    return int(text)
