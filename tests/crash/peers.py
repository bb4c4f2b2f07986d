"""The same power cuts for Orthanc and dcmqrscp: python -m tests.crash.peers [--states 40] [--seed 1] [dcmqrscp]

They run as they are shipped. 60 instances are stored over one association, under strace; on each disk the peer is
started, and has to find and serve what it acknowledged. ORTHANC in the environment is the program, ORTHANC_ROOT the
folder that it takes for the root, where it lives in a chroot.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.crash.asking import Answers, ask_all
from tests.crash.cutting import Cut, cuts
from tests.crash.interpreting import Interpreter
from tests.crash.ledger import Ledger
from tests.crash.model import Disk, Fate, Rules, moments
from tests.crash.steps import Step
from tests.crash.strace import OPTIONS, Call, parse
from tests.crash.traffic import CT, sample
from tests.interop.sender import Ended, Sender
from tests.interop.synthetic import EXPLICIT
from tests.ports import free_port
from tests.services.commitments import IMPLICIT, VERIFICATION

INSTANCES = 60
AE_TITLE = "CRASH_SCP"
_READING = [*OPTIONS[:-1], OPTIONS[-1] + ",lseek,read"]
_PATIENCE = 20.0


class DoesNotStart(Exception):
    """It ended before it answered, or does not answer."""


@dataclass(frozen=True, slots=True)
class Peer:
    """root: the folder that it takes for the root. command: from that, its folder and port. forks: it has a process
    for each association."""

    name: str
    root: Path
    command: Callable[[Path, Path, int], list[str]]
    forks: bool


def _orthanc(root: Path, folder: Path, port: int) -> list[str]:
    data = "/" + str((folder / "data").relative_to(root))
    (folder / "orthanc.json").write_text(json.dumps({
        "Name": "crash", "StorageDirectory": data, "IndexDirectory": data, "DicomPort": port, "HttpPort": free_port(),
        "DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True,
        "DicomCheckCalledAet": False}))
    return [os.environ.get("ORTHANC", "Orthanc"), str(folder / "orthanc.json")]


def _dcmqrscp(root: Path, folder: Path, port: int) -> list[str]:
    (folder / "dcmqrscp.cfg").write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nHostTable END\n"
        f"VendorTable BEGIN\nVendorTable END\nAETable BEGIN\n{AE_TITLE} {folder / 'data'} RW (500, 1024mb) ANY\n"
        "AETable END\n")
    return ["dcmqrscp", "-c", str(folder / "dcmqrscp.cfg")]


@contextmanager
def running(peer: Peer, folder: Path, trace: Path | None = None) -> Iterator[int]:
    """On folder/data; -> its port. Killed at the end. Raises DoesNotStart."""
    port = free_port()
    command = peer.command(peer.root, folder, port)
    if trace is not None:
        command = ["strace", "-o", str(trace), *_READING, *command]
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                                   start_new_session=True)
    try:
        _wait_for_echo(port, process)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for_echo(port: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            with Sender(port, [(VERIFICATION, [IMPLICIT])], called=AE_TITLE) as sender:
                sender.echo()
            return
        except OSError:
            time.sleep(0.02)
    raise DoesNotStart


def record(peer: Peer, folder: Path) -> tuple[list[Step], Ledger]:
    """What it does while it stores."""
    ledger, trace = Ledger(), folder / "trace"
    (folder / "data").mkdir()
    with running(peer, folder, trace) as port, Sender(port, [(CT, [EXPLICIT])], called=AE_TITLE) as sender:
        for one in (sample(number, 1 + number % 4, octets=4000) for number in range(INSTANCES)):
            sender.begin_store(1, CT, one.uid, one.dataset, ledger.sending(one))
            assert sender.answer().status == 0
    whole, _, _ = trace.read_text().rpartition("\n")    # strace was killed too
    calls = parse(whole.split("\n"))
    interpreter = Interpreter("/" + str((folder / "data").relative_to(peer.root)))
    return [step for process in _processes(peer, calls) for step in interpreter.process(process)], ledger


def _processes(peer: Peer, calls: list[Call]) -> list[list[Call]]:
    """Descriptors are numbers in one process only. Of those that fork one writes after the other."""
    if not peer.forks:
        return [calls]
    by_process: dict[int, list[Call]] = {}
    for call in sorted(calls, key=lambda call: call.begin):
        by_process.setdefault(call.thread, []).append(call)
    return list(by_process.values())


def look(peer: Peer, folder: Path, cut: Cut) -> Counter[str]:
    """What has become of what was acknowledged."""
    shutil.rmtree(folder / "data")
    cut.state.write(folder / "data")
    promised = {uid: promise.contents for uid, promise in cut.promises.instances.items() if not promise.missing}
    try:
        with running(peer, folder) as port:
            answers = ask_all(port, AE_TITLE)
    except (DoesNotStart, Ended, OSError):
        return Counter({"lost": len(promised), "does not start": 1})
    return Counter({
        "lost": sum(uid not in answers.found for uid in promised),
        "found and not served": sum(uid in answers.found and answers.served.get(uid) not in contents
                                    for uid, contents in promised.items())})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=40, help="disks under each set of rules (default: 40)")
    parser.add_argument("--seed", type=int, default=1, help="another one cuts elsewhere (default: 1)")
    parser.add_argument("peers", nargs="*", default=["Orthanc", "dcmqrscp"], help="which (default: both)")
    options = parser.parse_args()
    chroot = Path(os.environ.get("ORTHANC_ROOT", "/"))
    print("| peer | rules | disks | lost | found and not served | does not start |\n|---|---|---|---|---|---|")
    peers = [Peer("Orthanc", chroot, _orthanc, False), Peer("dcmqrscp", Path("/"), _dcmqrscp, True)]
    for peer in (peer for peer in peers if peer.name in options.peers):
        with tempfile.TemporaryDirectory(dir=peer.root / "tmp", prefix="crash-") as name:
            _print(peer, Path(name), options.states, options.seed)


def _print(peer: Peer, folder: Path, states: int, seed: int) -> None:
    steps, ledger = record(peer, folder)
    counts: dict[str, Counter[str]] = {"no cut": Counter(disks=1) + look(peer, folder, uncut(steps, ledger))}
    for cut in cuts(steps, lambda now: ledger.at(steps, now), states, seed):
        counts.setdefault(cut.rules.value, Counter()).update(Counter(disks=1) + look(peer, folder, cut))
    for rules, found in counts.items():
        print(f"| {peer.name} | {rules} | {found['disks']} | {found['lost']} | {found['found and not served']} "
              f"| {found['does not start']} |", flush=True)


def uncut(steps: list[Step], ledger: Ledger) -> Cut:
    """The disk with all that was written: on it nothing may be lost, else the fault is in what we have recorded."""
    disk = Disk()
    for _, is_over, step in moments(steps):
        if is_over:
            disk.apply(step)
    state = disk.state(Rules.POSIX, Fate.ALL_KEPT, random.Random(0))
    return Cut("nowhere", Rules.POSIX, state, ledger.at(steps, 1 << 61))


if __name__ == "__main__":
    main()
